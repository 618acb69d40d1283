//! Regular expressions as callers see them.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use fancy_regex::MatchBytes;

use super::matcher::{GaveUp, Matcher, NOWHERE, Slots};
use super::ruby::Pattern;

/// A pattern that can't be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{pattern}' is not a regular expression: {reason}")]
pub struct RegexError {
    /// The pattern as given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

/// A match was given up, because the pattern takes too many steps on this text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the regular expression takes too many steps on this text")]
pub struct TooManySteps;

/// A regular expression. The library knows all of Ruby's syntax that there is; what most patterns are made of, a matcher of our
/// own finds as well, and several times faster. Where that one does not know a pattern, or a text takes it long, the library answers.
#[derive(Debug, Clone)]
pub struct Regex {
    library: fancy_regex::Regex,
    matcher: Option<Arc<Matcher>>,
    /// Whether the pattern is about characters, not bytes.
    in_characters: bool,
    /// The named groups in order of their numbers.
    names: Vec<(usize, Box<str>)>,
}

impl Regex {
    /// Compiles a pattern, or `/pattern/flags` with the flags `i` (any case), `m` (the dot stands for newlines too) and
    /// `x` (blanks and comments do not count).
    pub fn new(text: &str) -> Result<Self, RegexError> {
        let pattern = Pattern::read(text);
        let library = pattern.compile().map_err(|error| {
            let reason = error.to_string();
            RegexError { pattern: text.to_owned(), reason }
        })?;
        let matcher = pattern.parse().and_then(|tree| Matcher::new(&tree, pattern.in_characters));
        let names = library.capture_names().enumerate();
        let names = names.filter_map(|(group, name)| Some((group, name?.into()))).collect();
        let in_characters = pattern.in_characters;
        Ok(Self { library, matcher: matcher.map(Arc::new), in_characters, names })
    }

    /// Whether the pattern is found anywhere in `text`.
    pub fn is_match(&self, text: &[u8]) -> Result<bool, TooManySteps> {
        let text = &*self.readable(text);
        let matcher = self.willing_matcher().filter(|matcher| matcher.finds());
        match matcher.map(|matcher| matcher.find(text)) {
            Some(Ok(found)) => Ok(found.is_some()),
            None | Some(Err(GaveUp)) => self.library.is_match(text).map_err(|_| TooManySteps),
        }
    }

    /// The first place where the pattern is found, with its groups.
    pub fn find<'t>(&self, text: &'t [u8]) -> Result<Option<Groups<'t>>, TooManySteps> {
        let slots = self.search(&self.readable(text))?;
        Ok(slots.map(|slots| Groups { text, slots }))
    }

    fn search(&self, text: &[u8]) -> Result<Option<Slots>, TooManySteps> {
        let found = match self.willing_matcher() {
            Some(matcher) if matcher.finds() => matcher.find(text),
            Some(matcher) => match self.library.find(text).map_err(|_| TooManySteps)? {
                Some(found) => matcher.fill(text, found.range()).map(Some),
                None => Ok(None),
            },
            None => Err(GaveUp),
        };
        found.or_else(|GaveUp| self.search_by_library(text))
    }

    fn search_by_library(&self, text: &[u8]) -> Result<Option<Slots>, TooManySteps> {
        let captures = self.library.captures(text).map_err(|_| TooManySteps)?;
        let slots = |group: Option<MatchBytes<'_>>| {
            group.map_or([NOWHERE; 2], |found| [found.start(), found.end()])
        };
        Ok(captures.map(|captures| captures.iter().flat_map(slots).collect()))
    }

    /// As [`Self::find`], but only the library is asked: what the matcher finds is tested against this.
    #[doc(hidden)]
    pub fn ask_library<'t>(&self, text: &'t [u8]) -> Result<Option<Groups<'t>>, TooManySteps> {
        let slots = self.search_by_library(&self.readable(text))?;
        Ok(slots.map(|slots| Groups { text, slots }))
    }

    /// The text, of the same length. Where the pattern is about characters, a byte that is of none stands for one: the library
    /// would go on behind the end of one that is cut off.
    fn readable<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        const SUBSTITUTE: u8 = 0x1A;
        if !self.in_characters || std::str::from_utf8(text).is_ok() {
            return Cow::Borrowed(text);
        }
        let mut readable = Vec::with_capacity(text.len());
        for chunk in text.utf8_chunks() {
            readable.extend_from_slice(chunk.valid().as_bytes());
            readable.extend(chunk.invalid().iter().map(|_| SUBSTITUTE));
        }
        Cow::Owned(readable)
    }

    /// The matcher, if the pattern is for it and it did not give up too often of late.
    fn willing_matcher(&self) -> Option<&Matcher> {
        self.matcher.as_deref().filter(|matcher| matcher.is_willing())
    }

    /// The named groups: number and name, in order of their numbers.
    pub fn names(&self) -> impl ExactSizeIterator<Item = (usize, &str)> {
        self.names.iter().map(|(group, name)| (*group, &**name))
    }
}

/// What the groups of a pattern have found. Group 0 is the whole.
#[derive(Debug)]
pub struct Groups<'t> {
    text: &'t [u8],
    slots: Slots,
}

impl<'t> Groups<'t> {
    /// What a group found; `None` if it took no part.
    #[inline]
    pub fn get(&self, group: usize) -> Option<&'t [u8]> {
        self.range(group).map(|range| &self.text[range])
    }

    /// Where a group found it.
    #[inline]
    pub fn range(&self, group: usize) -> Option<Range<usize>> {
        match *self.slots.get(2 * group..2 * group + 2)? {
            [start, end] if start != NOWHERE => Some(start..end),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &[u8], expected: &str) {
        let regex = Regex::new(pattern).unwrap();
        let found = regex.find(text).unwrap();
        let shown = found.map_or("none".to_owned(), |groups| {
            let names = regex.names().map(|(group, name)| {
                let text = groups.get(group).map(|text| text.escape_ascii().to_string());
                format!("{name}={}", text.as_deref().unwrap_or("-"))
            });
            names.collect::<Vec<_>>().join(" ")
        });
        assert_eq!(shown, expected, "{pattern}");
    }

    #[test]
    fn named_groups_count_and_others_do_not() {
        check("^(?<a>[^ ]*) (x|y) (?<b>.*)$", b"one x two", "a=one b=two");
        check("(?<a>1)|(?<b>2)", b"2", "a=- b=2");
        check("(?<a>1)", b"2", "none");
    }

    #[test]
    fn looking_around_and_atomic_groups_are_known() {
        check(r"(?<a>\d+)(?= ms)", b"12 s 34 ms", "a=34");
        check(r"(?<=id=)(?<a>\h+)", b"id=c0ffee", "a=c0ffee");
        check(r"(?<!x)(?<a>\d)", b"x12", "a=2");
        check(r"(?<a>(?>a+)b?)", b"aab", "a=aab");
        check(r"(?<a>a++)(?<b>.*)", b"aab", "a=aa b=b");
    }

    #[test]
    fn anchors_are_those_of_lines_as_in_ruby() {
        check("^(?<a>b)$", b"a\nb\nc", "a=b");
        check(r"\A(?<a>b)", b"a\nb", "none");
    }

    #[test]
    fn the_dot_stands_for_newlines_only_with_m() {
        check("(?<a>a.*)", b"ab\nc", "a=ab");
        check("/(?<a>a.*)/m", b"ab\nc", r"a=ab\nc");
        check("(?m:(?<a>a.*))", b"ab\nc", r"a=ab\nc");
        check("(?im-x)(?<a>A.*)", b"ab\nc", r"a=ab\nc");
    }

    #[test]
    fn slashes_may_stand_around_it() {
        check("/(?<a>AB)/i", b"xab", "a=ab");
        check("/(?<a>/b)/", b"/b", "a=/b");
        check("/a/(?<a>b)", b"/a/b", "a=b");
        check("/(?<a>a) # note/x", b"a", "a=a");
    }

    #[test]
    fn bytes_need_not_be_utf8() {
        check("^(?<a>[^ ]*) (?<b>.*)$", b"\xff\xfe x\xff", r"a=\xff\xfe b=x\xff");
    }

    #[test]
    fn characters_count_where_they_are_counted() {
        check("^(?<a>.)(?<b>.*)", "éa".as_bytes(), r"a=\xc3\xa9 b=a");
        check("(?<a>[é]+)", "aéé".as_bytes(), r"a=\xc3\xa9\xc3\xa9");
        check(r"^(?<a>\p{Lu})", "Éa".as_bytes(), r"a=\xc3\x89");
    }

    #[test]
    fn bytes_of_no_character_count_as_one_each() {
        check("^(?<a>.{2})(?<b>.*)", b"\xff\xe2x", r"a=\xff\xe2 b=x");
        check("^(?<a>.)(?<b>é?)(?=x)", b"\xe2x", r"a=\xe2 b=");
        for cut_off in [&b"\xff"[..], b"a\xf0\x9d", b"\xe2\x82", b"ab\xc3"] {
            let found = Regex::new("(?<a>.)(?=é)").unwrap().find(cut_off).unwrap();
            assert!(found.is_none(), "{}", cut_off.escape_ascii());
        }
    }

    #[test]
    fn the_classes_are_ascii_whichever_way() {
        for digits in [r"(?<a>\d+)", r"(?<a>[\d]+)é?", r"(?<a>\w+)é?", r"(?<a>[^\D]+).?"] {
            check(digits, "٣1".as_bytes(), "a=1");
        }
        check(r"(?<a>[\S]+)é?", "\u{a0}b c".as_bytes(), r"a=\xc2\xa0b");
    }

    #[test]
    fn what_users_escape_needlessly_is_taken() {
        check(r#"(?<a>\[\]\/\"\:\-\ \_\<\>)"#, b"[]/\":- _<>", r#"a=[]/\":- _<>"#);
        check(r"^(?<a>[^\]]*)\]", b"a[b]", "a=a[b");
        check("(?<a>[]a]+)", b"]a", "a=]a");
        check("(?<a>[[:alpha:]]+)", b"1ab", "a=ab");
    }

    #[test]
    fn a_bad_pattern_says_why() {
        let error = Regex::new("(?<a>").unwrap_err();
        assert!(error.to_string().starts_with("'(?<a>' is not a regular expression: "), "{error}");
    }

    #[test]
    fn the_library_alone_is_asked_for_what_the_matcher_does_not_know() {
        for pattern in [
            r"^(?<a>\w+)(?=x)",
            r"^(?<q>a)\k<q>",
            "^(?<a>(?>a+))",
            "^(?<a>a++)",
            r"^(?<a>\p{Lu})",
            "^(?<a>[a-zé]+)",
            "/^(?<a>k)é/i",
            "^(?<a>(?:a|b?)*)",
            "^(?<a>(?:ab){1001})",
            "(?:^|x)(?<a>a)",
            "error|warn",
        ] {
            assert!(Regex::new(pattern).unwrap().matcher.is_none(), "{pattern}");
        }
    }

    #[test]
    fn the_matcher_knows_what_lines_are_parsed_with() {
        let parsers = include_str!("../../../packaging/parsers.conf");
        let pattern = |line: &str| Some(line.trim().strip_prefix("Regex ")?.trim().to_owned());
        let patterns: Vec<String> = parsers.lines().filter_map(pattern).collect();
        assert!(patterns.len() > 12, "{}", patterns.len());
        for pattern in patterns.iter().filter(|pattern| !pattern.contains("(?!")) {
            assert!(Regex::new(pattern).unwrap().matcher.is_some(), "{pattern}");
        }
    }

    #[test]
    fn options_may_stand_before_the_anchor() {
        assert!(Regex::new("(?i)^(?<a>x)").unwrap().matcher.is_some_and(|matcher| matcher.finds()));
    }

    #[test]
    fn what_takes_the_matcher_long_the_library_answers() {
        let regex = Regex::new("^(?<a>(?:(?:a|aa)+b?)+)$").unwrap();
        let text = [&[b'a'; 60], &b"!"[..]].concat();
        let matcher = regex.matcher.as_deref().unwrap();
        assert_eq!(matcher.find(&text).err(), Some(GaveUp));
        assert!(matches!(regex.find(&text), Ok(None) | Err(TooManySteps)));
        check("^(?<a>(?:(?:a|aa)+b?)+)$", &[b'a'; 40], &format!("a={}", "a".repeat(40)));
    }

    #[test]
    fn a_pattern_that_runs_wild_is_stopped() {
        let regex = Regex::new(r"^(?<a>(?:a|aa)+)\k<a>!$").unwrap();
        assert_eq!(regex.is_match(&[b'a'; 200]), Err(TooManySteps));
    }
}
