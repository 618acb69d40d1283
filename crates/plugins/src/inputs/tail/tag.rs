//! Tags of files: a `*` in the input's tag stands for the file's path.

use flb_event::{Tag, TagTooLong};

/// The tag of the records of the file at `path`: `kube.*` and `/var/log/a.log` make `kube.var.log.a.log`.
pub(super) fn expand(tag: &Tag, path: &str) -> Result<Tag, TagTooLong> {
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
}
