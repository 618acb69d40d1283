//! Regular expressions as Fluent Bit's users write them: Ruby's syntax, on bytes that may be any.
//!
//! Not supported, and refused with the reason: `\X`, `\y`, conditionals with levels, and what else of Onigmo
//! `fancy-regex` does not know.

use std::ops::Range;

use fancy_regex::{BytesMode, Captures, RegexBuilder};

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

/// A regular expression.
#[derive(Debug, Clone)]
pub struct Regex {
    regex: fancy_regex::Regex,
    /// The named groups in order of their numbers.
    names: Vec<(usize, Box<str>)>,
}

impl Regex {
    /// Compiles a pattern, or `/pattern/flags` with the flags `i` (any case), `m` (the dot stands for newlines too) and
    /// `x` (blanks and comments do not count).
    pub fn new(text: &str) -> Result<Self, RegexError> {
        let (pattern, flags) = delimited(text);
        let counts = counts_characters(pattern);
        let mut builder = RegexBuilder::new(&translate(pattern, counts));
        builder
            .oniguruma_mode(true)
            .ignore_numbered_groups_when_named_groups_exist(true)
            .multi_line(true)
            .case_insensitive(flags.contains('i'))
            .dot_matches_new_line(flags.contains('m'))
            .ignore_whitespace(flags.contains('x'))
            .bytes_mode(if counts { BytesMode::UnicodeBytes } else { BytesMode::Ascii });
        let regex = builder.build().map_err(|error| {
            let reason = error.to_string();
            RegexError { pattern: text.to_owned(), reason }
        })?;
        let names = regex.capture_names().enumerate();
        let names = names.filter_map(|(group, name)| Some((group, name?.into()))).collect();
        Ok(Self { regex, names })
    }

    /// Whether the pattern is found anywhere in `text`.
    pub fn is_match(&self, text: &[u8]) -> Result<bool, TooManySteps> {
        self.regex.is_match(text).map_err(|_| TooManySteps)
    }

    /// The first place where the pattern is found, with its groups.
    pub fn find<'t>(&self, text: &'t [u8]) -> Result<Option<Groups<'t>>, TooManySteps> {
        let found = self.regex.captures(text).map_err(|_| TooManySteps)?;
        Ok(found.map(|captures| Groups { text, captures }))
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
    captures: Captures<'t, [u8]>,
}

impl<'t> Groups<'t> {
    /// What a group found; `None` if it took no part.
    pub fn get(&self, group: usize) -> Option<&'t [u8]> {
        self.range(group).map(|range| &self.text[range])
    }

    /// Where a group found it.
    pub fn range(&self, group: usize) -> Option<Range<usize>> {
        self.captures.get(group).map(|found| found.range())
    }
}

/// Takes the slashes off, if there are any, and the flags behind them.
fn delimited(text: &str) -> (&str, &str) {
    let inside = text.strip_prefix('/').and_then(|rest| rest.rsplit_once('/'));
    match inside {
        Some((pattern, flags))
            if flags.chars().all(|flag| matches!(flag, 'i' | 'm' | 'x' | 'o')) =>
        {
            (pattern, flags)
        }
        _ => (text, ""),
    }
}

/// A piece of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'p> {
    /// A backslash and the letter behind it.
    Escape(char),
    /// `(?` and letters that switch options, up to `:` or `)`.
    Options(&'p str),
    /// `[` or `[^`, which may stand inside another.
    Open(&'p str),
    Close,
    Other(char),
}

/// Takes a pattern apart: each token, and how many brackets it is in.
fn tokens(pattern: &str) -> Vec<(Token<'_>, usize)> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    let mut depth = 0_usize;
    while let Some(letter) = rest.chars().next() {
        let within = depth;
        let (token, length) = match letter {
            '\\' => match rest[1..].chars().next() {
                Some(escaped) => (Token::Escape(escaped), 1 + escaped.len_utf8()),
                None => (Token::Other(letter), 1),
            },
            '[' => {
                depth += 1;
                let length = if rest[1..].starts_with('^') { 2 } else { 1 };
                (Token::Open(&rest[..length]), length)
            }
            ']' if depth > 0 && !matches!(tokens.last(), Some((Token::Open(_), _))) => {
                depth -= 1;
                (Token::Close, 1)
            }
            '(' if depth == 0 && options(rest) > 2 => {
                (Token::Options(&rest[..options(rest)]), options(rest))
            }
            other => (Token::Other(other), other.len_utf8()),
        };
        tokens.push((token, within));
        rest = &rest[length..];
    }
    tokens
}

/// The length of `(?mi-x` before `:` or `)`; at most 2 if no such thing stands here.
fn options(text: &str) -> usize {
    let Some(letters) = text.strip_prefix("(?") else { return 0 };
    let length = letters.bytes().take_while(|letter| b"imxaud-".contains(letter)).count();
    if matches!(letters.as_bytes().get(length), Some(b':' | b')')) { 2 + length } else { 0 }
}

/// Whether it matters what a character is, and not only what a byte is: the pattern has characters beyond ASCII or their
/// properties, or takes a certain number of any characters. Bytes are faster, and need not be UTF-8.
fn counts_characters(pattern: &str) -> bool {
    let tokens = tokens(pattern);
    let mut is_negated = false;
    tokens.iter().enumerate().any(|(index, (token, depth))| {
        if let (Token::Open(text), 0) = (token, depth) {
            is_negated = text.ends_with('^');
        }
        let is_any = match token {
            Token::Other(letter) if !letter.is_ascii() => return true,
            Token::Escape('p' | 'P' | 'u') => return true,
            Token::Escape('D' | 'W' | 'S' | 'H' | 'N' | 'O') => *depth == 0,
            Token::Other('.') => *depth == 0,
            Token::Close => *depth == 1 && is_negated,
            _ => false,
        };
        let next = tokens.get(index + 1).map(|(token, _)| *token);
        is_any && !matches!(next, Some(Token::Other('*' | '+')))
    })
}

/// Says in the library's words what Ruby says in others: the option `m`, and that `\d`, `\s` and `\w` are ASCII.
fn translate(pattern: &str, in_characters: bool) -> String {
    let mut text = String::with_capacity(pattern.len());
    for (token, _) in tokens(pattern) {
        match token {
            Token::Options(options) => {
                let kept = options.chars().filter(|letter| !"aud".contains(*letter));
                text.extend(kept.map(|letter| if letter == 'm' { 's' } else { letter }));
            }
            Token::Escape(letter) => match ascii_class(letter).filter(|_| in_characters) {
                Some(class) => text.push_str(class),
                None => text.extend(['\\', letter]),
            },
            Token::Open(open) => text.push_str(open),
            Token::Close => text.push(']'),
            Token::Other(letter) => text.push(letter),
        }
    }
    text
}

fn ascii_class(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        's' => r"[\t-\r ]",
        'S' => r"[^\t-\r ]",
        _ => return None,
    })
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
    fn a_pattern_that_runs_wild_is_stopped() {
        let regex = Regex::new(r"^(?<a>(?:a|aa)+)\k<a>!$").unwrap();
        assert_eq!(regex.is_match(&[b'a'; 200]), Err(TooManySteps));
    }
}
