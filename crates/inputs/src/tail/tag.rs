//! Tags of files: a `*` in the input's tag stands for the file's path, or a `<name>` for what a pattern finds in the path.

use flb_event::{Tag, TagTooLong};
use flb_plugin::Regex;

/// Makes the tags of files.
#[derive(Debug, Clone)]
pub(super) struct Tags {
    tag: Tag,
    regex: Option<Regex>,
}

/// Why a file has no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TagError {
    #[error(transparent)]
    TooLong(#[from] TagTooLong),
    #[error("tag_regex does not match the path")]
    NoMatch,
}

impl Tags {
    /// `regex`: finds in the path what the tag has as `<name>`.
    pub(super) fn new(tag: Tag, regex: Option<Regex>) -> Self {
        Self { tag, regex }
    }

    /// The tag of the records of the file at `path`.
    pub(super) fn of(&self, path: &str) -> Result<Tag, TagError> {
        match &self.regex {
            Some(regex) => fill(&self.tag, regex, path),
            None => Ok(expand(&self.tag, path)?),
        }
    }
}

/// The tag with what the named groups have found; `_` for one that is not there.
fn fill(tag: &Tag, regex: &Regex, path: &str) -> Result<Tag, TagError> {
    let groups = regex.find(path.as_bytes()).ok().flatten().ok_or(TagError::NoMatch)?;
    let mut text = String::new();
    let mut rest = tag.as_str();
    while let Some((before, behind)) = rest.split_once('<') {
        let Some((name, behind)) = behind.split_once('>') else { break };
        text.push_str(before);
        let group = regex.names().find(|(_, known)| *known == name);
        match group.and_then(|(group, _)| groups.get(group)) {
            Some(found) => text.push_str(&String::from_utf8_lossy(found)),
            None => text.push('_'),
        }
        rest = behind;
    }
    text.push_str(rest);
    Ok(Tag::new(&text)?)
}

/// The tag of the records of the file at `path`: `kube.*` and `/var/log/a.log` make `kube.var.log.a.log`.
fn expand(tag: &Tag, path: &str) -> Result<Tag, TagTooLong> {
    let Some((before, behind)) = tag.as_str().split_once('*') else { return Ok(tag.clone()) };
    let mut text = String::with_capacity(tag.as_str().len() + path.len());
    for letter in before.chars().chain(path.chars()).chain(behind.chars()) {
        match letter {
            '/' | '\\' | ':' if text.is_empty() => {}
            '/' | '\\' | ':' | '.' if text.ends_with('.') => {}
            '/' | '\\' | ':' => text.push('.'),
            '*' => {}
            other => text.push(other),
        }
    }
    Tag::new(text.strip_suffix('.').unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(tag: &str, path: &str, expected: &str) {
        let tag = Tag::new(tag).unwrap();
        assert_eq!(expand(&tag, path).unwrap().as_str(), expected);
    }

    #[test]
    fn a_star_becomes_the_path_with_dots() {
        check("kube.*", "/var/log/a.log", "kube.var.log.a.log");
        check("*", "/var/log/a.log", "var.log.a.log");
        check("*.end", "/a", "a.end");
        check("x*y*z", "/a/b", "x.a.byz");
        check("t.*", r"C:\logs\a.log", "t.C.logs.a.log");
    }

    #[test]
    fn dots_stand_alone_and_not_at_the_end() {
        check("a..*", "//b//c", "a.b.c");
        check("a.*", "/b.", "a.b");
        check("a.*", "/b*c", "a.bc");
    }

    #[test]
    fn a_tag_without_a_star_is_kept_as_it_is() {
        check("a..b.", "/x", "a..b.");
    }

    #[test]
    fn names_stand_for_what_the_pattern_finds() {
        let regex = Regex::new(r"(?<pod>[a-z0-9-]+)_(?<namespace>[^_]+)_(?<x>!)?").unwrap();
        let tags = |tag| Tags::new(Tag::new(tag).unwrap(), Some(regex.clone()));
        let path = "/var/log/containers/web-1_default_main.log";
        let check = |tag, expected| assert_eq!(tags(tag).of(path).unwrap().as_str(), expected);
        check("kube.<namespace>.<pod>", "kube.default.web-1");
        check("<nothing>.<x>.end", "_._.end");
        check("plain<", "plain<");
        assert_eq!(tags("x").of("/a"), Err(TagError::NoMatch));
    }
}
