//! Which tags a filter or an output is for: `Match`, where `*` stands for any text, and `Match_Regex`.

use flb_event::{Pattern, Tag};
use flb_plugin::Regex;

/// What a section says about tags. Of a pattern and a regular expression either suffices.
#[derive(Debug, Clone, Default)]
pub(crate) struct Match {
    pub(crate) pattern: Option<Pattern>,
    pub(crate) regex: Option<TagRegex>,
}

impl Match {
    /// Fits every tag.
    pub(crate) fn all() -> Self {
        Self { pattern: Some(Pattern::new("*")), regex: None }
    }

    /// Whether the section says anything.
    pub(crate) fn is_given(&self) -> bool {
        self.pattern.is_some() || self.regex.is_some()
    }

    /// Whether `tag` fits.
    pub(crate) fn matches(&self, tag: &Tag) -> bool {
        self.pattern.as_ref().is_some_and(|pattern| pattern.matches(tag))
            || self.regex.as_ref().is_some_and(|regex| regex.matches(tag))
    }
}

/// A regular expression for the beginning of a tag: at least one byte of it, and not necessarily all.
#[derive(Debug, Clone)]
pub(crate) struct TagRegex(Regex);

impl TagRegex {
    /// Reads `pattern` or `/pattern/imx`. An error says what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Regex::new(text).map(Self).map_err(|error| error.reason)
    }

    fn matches(&self, tag: &Tag) -> bool {
        match self.0.find(tag.as_str().as_bytes()) {
            // The leftmost match begins at the tag's beginning, if any does.
            Ok(found) => found
                .and_then(|groups| groups.range(0))
                .is_some_and(|range| range.start == 0 && !range.is_empty()),
            Err(error) => {
                tracing::warn!("[router] the tag '{tag}' is not matched: {error}");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(regex: &str, matching: &[&str], others: &[&str]) {
        let regex = TagRegex::parse(regex).unwrap();
        for tag in matching {
            assert!(regex.matches(&Tag::new(tag).unwrap()), "{regex:?} ~ {tag}");
        }
        for tag in others {
            assert!(!regex.matches(&Tag::new(tag).unwrap()), "{regex:?} !~ {tag}");
        }
    }

    #[test]
    fn a_regex_matches_the_beginning_of_a_tag() {
        check("app", &["app", "app.one"], &["my.app", "App", ""]);
        check(r"^(kube|host)\.", &["kube.a", "host.b"], &["kube", "xkube.a"]);
        check("one$", &["one"], &["app.one", "one.app"]);
        check(".*one$", &["app.one"], &["one.app"]);
        check("(?!app).+", &["web"], &["app", "app.one"]);
        check("x*", &["xa"], &["a", ""]);
    }

    #[test]
    fn options_stand_behind_a_slash() {
        check("/app/", &["app"], &["/app/", "APP"]);
        check("/app/i", &["APP"], &[]);
        check("/a p p . x/mx", &["app\nx"], &[]);
        check("/a/q", &["/a/q"], &["a"]);
        assert!(TagRegex::parse("(").is_err());
    }

    #[test]
    fn either_suffices() {
        let tag = |text| Tag::new(text).unwrap();
        let regex = TagRegex::parse("b").ok();
        let both = Match { pattern: Some(Pattern::new("a*")), regex };
        assert!(both.matches(&tag("a1")) && both.matches(&tag("b1")) && !both.matches(&tag("c1")));
        assert!(Match::all().matches(&tag("")) && !Match::default().matches(&tag("a")));
        assert!(both.is_given() && !Match::default().is_given());
    }
}
