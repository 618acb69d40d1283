//! The form of the shared files: `[profile]`, and below it `key = value`.

/// The entries of a profile, the first of which counts. `is_config`: all but `default` are called `profile name`.
pub(super) fn entries_of<'t>(
    text: &'t str,
    profile: &str,
    is_config: bool,
) -> Vec<(&'t str, &'t str)> {
    let (mut entries, mut is_meant) = (Vec::new(), false);
    for line in text.lines().map(str::trim) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(head) = line.strip_prefix('[') {
            let head = head.split(']').next().unwrap_or_default().trim();
            let name = match head.strip_prefix("profile ").filter(|_| is_config) {
                Some(name) => Some(name.trim()),
                None if is_config && head != "default" => None,
                None => Some(head),
            };
            is_meant = name == Some(profile);
        } else if let Some((key, value)) = line.split_once('=').filter(|_| is_meant) {
            entries.push((key.trim(), value.trim()));
        }
    }
    entries
}
