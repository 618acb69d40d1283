//! Tags, which say where records come from, and the patterns that match them.

use std::fmt;
use std::sync::Arc;

/// Names the origin of records: `kube.var.log.app.log`. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

/// A tag over [`Tag::MAX_LEN`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a tag has at most {} bytes, this one has {len}", Tag::MAX_LEN)]
pub struct TagTooLong {
    /// Length of the refused text in bytes.
    pub len: usize,
}

impl Tag {
    /// Most bytes a tag may have (the limit of Fluent Bit's chunk format).
    pub const MAX_LEN: usize = 65_531;

    /// Makes a tag of `text`.
    pub fn new(text: &str) -> Result<Self, TagTooLong> {
        if text.len() > Self::MAX_LEN {
            return Err(TagTooLong { len: text.len() });
        }
        Ok(Self(text.into()))
    }

    /// The tag's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// A `Match` pattern: `*` stands for any text, also none; everything else is literal; the whole tag must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Makes a pattern of `text`. Every text is a pattern.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The pattern's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `tag` matches.
    ///
    /// Backtracks to the last `*` only, which is enough for patterns whose one wildcard is `*`.
    pub fn matches(&self, tag: &Tag) -> bool {
        let (pattern, text) = (self.0.as_bytes(), tag.as_str().as_bytes());
        let (mut p, mut t) = (0, 0);
        let mut last_star = None;
        while t < text.len() {
            if pattern.get(p) == Some(&b'*') {
                last_star = Some((p, t));
                p += 1;
            } else if pattern.get(p) == Some(&text[t]) {
                (p, t) = (p + 1, t + 1);
            } else if let Some((star, from)) = last_star {
                last_star = Some((star, from + 1));
                (p, t) = (star + 1, from + 1);
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, matching: &[&str], others: &[&str]) {
        for tag in matching {
            assert!(Pattern::new(pattern).matches(&Tag::new(tag).unwrap()), "{pattern} ~ {tag}");
        }
        for tag in others {
            assert!(!Pattern::new(pattern).matches(&Tag::new(tag).unwrap()), "{pattern} !~ {tag}");
        }
    }

    #[test]
    fn a_star_stands_for_any_text_and_all_else_is_literal() {
        check("*", &["", "a", "a.b"], &[]);
        check("**", &["", "a.b"], &[]);
        check("dummy.*", &["dummy.", "dummy.local", "dummy.a.b"], &["dummy", "xdummy.a"]);
        check("a.*b", &["a.b", "a.b.b", "a.xbxb"], &["a.", "a.bc"]);
        check("*.log", &["a.log", ".log.log"], &["log", "a.logs"]);
        check("a?c", &["a?c"], &["abc"]);
        check("", &[""], &["a"]);
    }

    #[test]
    fn a_tag_has_a_greatest_length() {
        assert!(Tag::new(&"x".repeat(Tag::MAX_LEN)).is_ok());
        assert_eq!(
            Tag::new(&"x".repeat(Tag::MAX_LEN + 1)),
            Err(TagTooLong { len: Tag::MAX_LEN + 1 })
        );
    }
}
