//! Which tags a filter or an output is for: `Match`, where `*` stands for any text, and `Match_Regex`.

use fancy_regex::Regex;
use flb_event::{Pattern, Tag};

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
        let delimited = text.strip_prefix('/').and_then(|rest| rest.rsplit_once('/'));
        let (pattern, letters) = delimited.unwrap_or((text, ""));
        let flags: Option<String> = letters.chars().map(flag).collect();
        let flags = flags.ok_or_else(|| format!("'{letters}' are not options among i, m and x"))?;
        let pattern =
            if flags.is_empty() { pattern.to_owned() } else { format!("(?{flags}){pattern}") };
        Regex::new(&pattern).map(Self).map_err(|error| error.to_string())
    }

    fn matches(&self, tag: &Tag) -> bool {
        match self.0.find(tag.as_str()) {
            // The leftmost match begins at the tag's beginning, if any does.
            Ok(found) => found.is_some_and(|found| found.start() == 0 && found.end() > 0),
            Err(error) => {
                tracing::warn!("[router] the tag '{tag}' is not matched: {error}");
                false
            }
        }
    }
}

/// An option as Ruby writes it, where `m` lets a dot stand for a newline.
fn flag(letter: char) -> Option<char> {
    match letter {
        'i' | 'x' => Some(letter),
        'm' => Some('s'),
        _ => None,
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
        assert_eq!(TagRegex::parse("/a/q").unwrap_err(), "'q' are not options among i, m and x");
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
