//! A pattern as the matcher sees it. What it does not know makes no tree: the pattern is then the library's alone.
//!
//! Not known are look-around, back references, atomic and possessive parts, calls of groups, conditions, classes with
//! some but not all characters beyond ASCII, and loops of what may be empty.

use fancy_regex::{Assertion, Expr};
use regex_syntax::hir;

use super::bytes::ByteSet;
use super::class::Class;

/// A part of a pattern.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Empty,
    Literal(Vec<u8>),
    Class(Box<Class>),
    Concat(Vec<Node>),
    Either(Vec<Node>),
    Group(usize, Box<Node>),
    Repeat(Box<Node>, Times),
    Look(Look),
}

/// How often something stands in turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) least: u32,
    /// `None`: as often as may be.
    pub(super) most: Option<u32>,
    pub(super) is_greedy: bool,
}

/// A place between two characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    TextStart,
    TextEnd,
    /// Not behind a newline that the text ends with.
    LineStart,
    LineEnd,
    /// Between what is of a word in ASCII and what is not.
    WordEdge,
    NoWordEdge,
}

/// More repetitions than these make programs large and say little.
const MOST_TIMES: u32 = 1000;

/// A tree and the number of its groups, of which the whole is the first.
pub(super) fn tree(pattern: &Expr, in_characters: bool) -> Option<(Node, usize)> {
    let mut lowering = Lowering { in_characters, groups: 1 };
    let node = lowering.node(pattern)?;
    Some((node, lowering.groups))
}

struct Lowering {
    /// Whether the pattern is about characters, not bytes.
    in_characters: bool,
    groups: usize,
}

impl Lowering {
    fn node(&mut self, pattern: &Expr) -> Option<Node> {
        Some(match pattern {
            Expr::Empty => Node::Empty,
            Expr::Any { newline, crlf: false } => Node::of(self.any(*newline)),
            Expr::Literal { val, casei: false } => Node::Literal(val.as_bytes().to_vec()),
            Expr::Literal { val, casei: true } => self.any_case(val)?,
            Expr::LiteralBytes { bytes } => Node::Literal(bytes.clone()),
            Expr::Delegate { inner, casei } => self.class(inner, *casei)?,
            Expr::Assertion(assertion) => Node::Look(self.look(*assertion)?),
            Expr::Concat(parts) => Node::Concat(merged(self.nodes(parts)?)),
            Expr::Alt(parts) => Node::Either(self.nodes(parts)?),
            Expr::Group(part) => {
                let group = self.groups;
                self.groups += 1;
                Node::Group(group, Box::new(self.node(part)?))
            }
            Expr::Repeat { child, lo, hi, greedy } => {
                let most = if *hi == usize::MAX { None } else { Some(times(*hi)?) };
                let times = Times { least: times(*lo)?, most, is_greedy: *greedy };
                repeat(self.node(child)?, times)?
            }
            _ => return None,
        })
    }

    fn nodes(&mut self, parts: &[Expr]) -> Option<Vec<Node>> {
        parts.iter().map(|part| self.node(part)).collect()
    }

    fn any(&self, newline_too: bool) -> Class {
        let last = if self.in_characters { 0x7F } else { 0xFF };
        let mut bytes = ByteSet::of(0..=last);
        if !newline_too {
            bytes.remove(b'\n'..=b'\n');
        }
        Class { bytes, beyond_ascii: self.in_characters }
    }

    /// Letters in any case. In Unicode `k` and `s` have a third form, beyond ASCII.
    fn any_case(&self, text: &str) -> Option<Node> {
        let is_known = |letter: &u8| {
            letter.is_ascii() && !(self.in_characters && matches!(letter | 0x20, b'k' | b's'))
        };
        if !text.as_bytes().iter().all(is_known) {
            return None;
        }
        let cases = |letter: u8| {
            let mut bytes = ByteSet::of(letter..=letter);
            bytes.insert(letter.to_ascii_lowercase()..=letter.to_ascii_lowercase());
            bytes.insert(letter.to_ascii_uppercase()..=letter.to_ascii_uppercase());
            Node::of(Class::of_bytes(bytes))
        };
        Some(Node::Concat(text.bytes().map(cases).collect()))
    }

    /// A class as the library writes it, such as `[^a-c]` or `\d`.
    fn class(&self, text: &str, in_any_case: bool) -> Option<Node> {
        let mut parser = regex_syntax::ParserBuilder::new();
        parser.unicode(self.in_characters).utf8(false).case_insensitive(in_any_case);
        let parsed = parser.build().parse(text).ok()?;
        match parsed.into_kind() {
            hir::HirKind::Literal(hir::Literal(bytes)) => Some(Node::Literal(bytes.to_vec())),
            hir::HirKind::Class(hir::Class::Bytes(class)) => {
                let mut bytes = ByteSet::NONE;
                class.iter().for_each(|range| bytes.insert(range.start()..=range.end()));
                Some(Node::of(Class::of_bytes(bytes)))
            }
            hir::HirKind::Class(hir::Class::Unicode(class)) => characters(&class).map(Node::of),
            _ => None,
        }
    }

    fn look(&self, assertion: Assertion) -> Option<Look> {
        Some(match assertion {
            Assertion::StartText => Look::TextStart,
            Assertion::EndText => Look::TextEnd,
            Assertion::StartLineOniguruma { crlf: false } => Look::LineStart,
            Assertion::EndLine { crlf: false } => Look::LineEnd,
            Assertion::WordBoundary if !self.in_characters => Look::WordEdge,
            Assertion::NotWordBoundary if !self.in_characters => Look::NoWordEdge,
            _ => return None,
        })
    }
}

fn times(count: usize) -> Option<u32> {
    u32::try_from(count).ok().filter(|count| *count <= MOST_TIMES)
}

/// A class in which all characters beyond ASCII are, or none.
fn characters(class: &hir::ClassUnicode) -> Option<Class> {
    let all = hir::ClassUnicode::new([hir::ClassUnicodeRange::new('\u{80}', char::MAX)]);
    let mut beyond = class.clone();
    beyond.intersect(&all);
    if !beyond.ranges().is_empty() && beyond != all {
        return None;
    }
    let mut bytes = ByteSet::NONE;
    for range in class.iter().filter(|range| range.start().is_ascii()) {
        bytes.insert(range.start() as u8..=range.end().min('\x7F') as u8);
    }
    Some(Class { bytes, beyond_ascii: !beyond.ranges().is_empty() })
}

/// Literals that stand in turn are one, and nothing is nothing.
fn merged(parts: Vec<Node>) -> Vec<Node> {
    let mut merged: Vec<Node> = Vec::with_capacity(parts.len());
    for part in parts {
        match (merged.last_mut(), part) {
            (Some(Node::Literal(before)), Node::Literal(text)) => before.extend(text),
            (_, Node::Empty) => {}
            (_, part) => merged.push(part),
        }
    }
    merged
}

fn repeat(part: Node, times: Times) -> Option<Node> {
    let part = match part {
        Node::Literal(text) if text.len() == 1 => {
            Node::of(Class::of_bytes(ByteSet::of(text[0]..=text[0])))
        }
        part => part,
    };
    let is_loop = times.most.is_none_or(|most| most > 1);
    let is_known =
        times.most.is_none_or(|most| most >= times.least) && !(is_loop && part.may_be_empty());
    is_known.then(|| Node::Repeat(Box::new(part), times))
}

impl Node {
    fn of(class: Class) -> Self {
        Self::Class(Box::new(class))
    }

    /// Whether it may be found without taking a character.
    fn may_be_empty(&self) -> bool {
        match self {
            Self::Empty | Self::Look(_) => true,
            Self::Literal(text) => text.is_empty(),
            Self::Class(_) => false,
            Self::Concat(parts) => parts.iter().all(Self::may_be_empty),
            Self::Either(parts) => parts.iter().any(Self::may_be_empty),
            Self::Group(_, part) => part.may_be_empty(),
            Self::Repeat(part, times) => times.least == 0 || part.may_be_empty(),
        }
    }

    /// Whether it begins at such a place, whichever way is taken.
    pub(super) fn begins_at(&self, places: &[Look]) -> bool {
        match self {
            Self::Look(look) => places.contains(look),
            Self::Concat(parts) => parts.first().is_some_and(|part| part.begins_at(places)),
            Self::Either(parts) => parts.iter().all(|part| part.begins_at(places)),
            Self::Group(_, part) => part.begins_at(places),
            Self::Repeat(part, times) => times.least > 0 && part.begins_at(places),
            Self::Empty | Self::Literal(_) | Self::Class(_) => false,
        }
    }

    /// Whether such a place is anywhere in it.
    pub(super) fn has(&self, place: Look) -> bool {
        match self {
            Self::Look(look) => *look == place,
            Self::Concat(parts) | Self::Either(parts) => parts.iter().any(|part| part.has(place)),
            Self::Group(_, part) | Self::Repeat(part, _) => part.has(place),
            Self::Empty | Self::Literal(_) | Self::Class(_) => false,
        }
    }
}
