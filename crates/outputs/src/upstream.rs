//! A file of several receivers, in either format: `[UPSTREAM]`, and behind it a `[NODE]` for each.

use flb_config::{Disk, Document, FileKind, SectionKind, read_file};
use flb_plugin::keys::{Key, Text, hide_secrets};
use flb_plugin::{Build, BuildError, Options, Table, keys};

use flb_net::options::file;
use flb_plugin::log::Label;

keys! {
    /// What every node may have, beside what the output's table of nodes says.
    pub(super) const KEYS;
    NAME: Option<Text> = Key::new("name", "Name of the node");
}

/// What a file says of each receiver, for the output of this name, by this table.
pub(super) fn nodes(
    plugin: &str,
    path: &str,
    table: Table,
    build: &Build<'_>,
) -> Result<Vec<Options>, BuildError> {
    let mut document = Document::default();
    let path = file(path, build.service);
    let mut diagnostics = read_file(&mut document, &path, FileKind::Main, &Disk);
    hide_secrets(&mut document, &|_| table);
    let mut read = Vec::new();
    if !diagnostics.has_errors() {
        let upstreams = document.sections_of(SectionKind::Upstream);
        for node in upstreams.flat_map(|upstream| &upstream.children) {
            let known = &build.service.variables;
            read.push(Options::read("upstream", table, node, &[], known, &mut diagnostics));
        }
    }
    let shown = format!(
        "upstream {}: {}",
        path.display(),
        diagnostics.render(document.sources()).trim_end()
    );
    if diagnostics.has_errors() {
        return Err(BuildError::new(shown));
    }
    if !diagnostics.is_empty() {
        tracing::warn!("{} {shown}", Label::output(plugin, build));
    }
    if read.is_empty() {
        return Err(BuildError::new(format!("upstream {}: no [NODE] in it", path.display()))
            .help("each receiver is a section [NODE] with name, host and port"));
    }
    Ok(read)
}
