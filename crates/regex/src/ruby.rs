//! Ruby's syntax, as the library has to be told of it.

use fancy_regex::{BytesMode, Expr, RegexBuilder, internal};

/// A pattern in the library's words.
pub(crate) struct Pattern {
    text: String,
    ignores_case: bool,
    dot_takes_newlines: bool,
    ignores_blanks: bool,
    /// Whether it is about characters, not bytes.
    pub(crate) in_characters: bool,
}

impl Pattern {
    /// Reads a pattern, or `/pattern/flags` with the flags `i` (any case), `m` (the dot stands for newlines too) and `x`
    /// (blanks and comments do not count).
    pub(crate) fn read(text: &str) -> Self {
        let (pattern, flags) = delimited(text);
        let in_characters = counts_characters(pattern);
        Self {
            text: translate(pattern, in_characters),
            ignores_case: flags.contains('i'),
            dot_takes_newlines: flags.contains('m'),
            ignores_blanks: flags.contains('x'),
            in_characters,
        }
    }

    /// The pattern, compiled by the library.
    pub(crate) fn compile(&self) -> Result<fancy_regex::Regex, fancy_regex::Error> {
        RegexBuilder::new(&self.text)
            .oniguruma_mode(true)
            .ignore_numbered_groups_when_named_groups_exist(true)
            .multi_line(true)
            .case_insensitive(self.ignores_case)
            .dot_matches_new_line(self.dot_takes_newlines)
            .ignore_whitespace(self.ignores_blanks)
            .bytes_mode(if self.in_characters { BytesMode::UnicodeBytes } else { BytesMode::Ascii })
            .build()
    }

    /// The pattern's parts, parsed by the library as it does to compile.
    pub(crate) fn parse(&self) -> Option<Expr> {
        let flag = |is_set: bool, flag: u32| if is_set { flag } else { 0 };
        let flags = internal::FLAG_ONIGURUMA_MODE
            | internal::FLAG_IGNORE_NUMBERED_GROUPS_WHEN_NAMED_GROUPS_EXIST
            | internal::FLAG_MULTI
            | flag(self.ignores_case, internal::FLAG_CASEI)
            | flag(self.dot_takes_newlines, internal::FLAG_DOTNL)
            | flag(self.ignores_blanks, internal::FLAG_IGNORE_SPACE)
            | flag(self.in_characters, internal::FLAG_UNICODE);
        Expr::parse_tree_with_flags(&self.text, flags).ok().map(|tree| tree.expr)
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
