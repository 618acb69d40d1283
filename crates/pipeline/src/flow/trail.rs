//! The tags that a lane has seen: looked at once a batch, and remembered up to a limit, so that the way of a tag is worked out
//! once.

use std::collections::BTreeSet;

use flb_event::Tag;

/// Tags by the filter that they were made by, or nothing for those of the input.
#[derive(Debug, Default)]
pub(crate) struct Trail {
    last: Option<(Option<usize>, Tag)>,
    seen: BTreeSet<(Option<usize>, Tag)>,
}

impl Trail {
    /// Most tags that are remembered.
    pub(crate) const MOST: usize = 256;
    /// Bytes of a tag that is.
    const LONGEST: usize = 1024;

    /// Whether the tag is seen for the first time. Once there are too many, no other is.
    pub(crate) fn is_new(&mut self, from: Option<usize>, tag: &Tag) -> bool {
        if self.last.as_ref().is_some_and(|(other, last)| *other == from && last == tag) {
            return false;
        }
        let step = (from, tag.clone());
        let is_new = self.seen.len() < Self::MOST
            && tag.as_str().len() <= Self::LONGEST
            && self.seen.insert(step.clone());
        self.last = Some(step);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tag_is_new_once_and_so_many_are_remembered() {
        let mut trail = Trail::default();
        let mut is_new = |from, tag: &str| trail.is_new(from, &Tag::new(tag).unwrap());
        assert!(is_new(None, "a") && !is_new(None, "a"));
        assert!(is_new(Some(0), "a") && !is_new(None, "a") && !is_new(Some(0), "a"));
        assert!(!is_new(None, &"x".repeat(2000)));
        let others = (0..1000).filter(|number| is_new(None, &number.to_string())).count();
        assert_eq!(others, Trail::MOST - 2);
        assert!(!is_new(None, "b"));
    }
}
