//! A matcher for what logs are parsed with: it looks at the next byte before it chooses, and where what follows begins
//! otherwise than a run goes on, takes the run whole, by searches for bytes.

mod attempt;
mod bytes;
mod class;
mod compile;
mod patience;
mod program;
mod tree;

use std::ops::Range;

use fancy_regex::Expr;

pub(crate) use attempt::{GaveUp, NOWHERE, Slots};

use attempt::{Attempt, LONGEST_TEXT};
use patience::Patience;
use program::Program;
use tree::Look;

/// How much is looked at for each byte of a text, and for each text, before the matcher gives up.
const WORK_A_BYTE: usize = 8;
const WORK_A_TEXT: usize = 256;

/// A pattern that the matcher knows.
#[derive(Debug)]
pub(crate) struct Matcher {
    program: Program,
    groups: usize,
    begins: Begins,
    patience: Patience,
}

/// Where a match may begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Begins {
    Text,
    Line,
    Anywhere,
}

impl Matcher {
    /// `None` if the pattern is not for it. One that is about characters is for texts in UTF-8.
    pub(crate) fn new(pattern: &Expr, in_characters: bool) -> Option<Self> {
        let (tree, groups) = tree::tree(pattern, in_characters)?;
        let begins = if tree.begins_at(&[Look::TextStart]) {
            Begins::Text
        } else if tree.begins_at(&[Look::TextStart, Look::LineStart]) {
            Begins::Line
        } else {
            Begins::Anywhere
        };
        let is_of_use = groups > 1 && !tree.has(Look::LineStart);
        if begins == Begins::Anywhere && !is_of_use {
            return None;
        }
        let program = compile::compile(&tree)?;
        Some(Self { program, groups, begins, patience: Patience::default() })
    }

    /// Whether it should be asked at all.
    pub(crate) fn is_willing(&self) -> bool {
        self.patience.is_left()
    }

    /// Whether it finds the beginning of a match itself. If not, there is [`Self::fill`].
    pub(crate) fn finds(&self) -> bool {
        self.begins != Begins::Anywhere
    }

    /// The first match in a text.
    pub(crate) fn find(&self, text: &[u8]) -> Result<Option<Slots>, GaveUp> {
        self.search(text).inspect_err(|GaveUp| self.patience.wears())
    }

    /// The groups of a match that is known.
    pub(crate) fn fill(&self, text: &[u8], found: Range<usize>) -> Result<Slots, GaveUp> {
        self.match_at(text, found).inspect_err(|GaveUp| self.patience.wears())
    }

    fn search(&self, text: &[u8]) -> Result<Option<Slots>, GaveUp> {
        let mut attempt = self.attempt(text)?;
        let mut from = 0;
        loop {
            if attempt.matches(from)? {
                return Ok(Some(attempt.slots));
            }
            if self.begins == Begins::Text {
                return Ok(None);
            }
            let Some(newline) = memchr::memchr(b'\n', &text[from..]) else { return Ok(None) };
            from += newline + 1;
        }
    }

    fn match_at(&self, text: &[u8], found: Range<usize>) -> Result<Slots, GaveUp> {
        let mut attempt = self.attempt(text)?;
        let is_it = attempt.matches(found.start)? && attempt.slots[1] == found.end;
        if is_it { Ok(attempt.slots) } else { Err(GaveUp) }
    }

    fn attempt<'a>(&'a self, text: &'a [u8]) -> Result<Attempt<'a>, GaveUp> {
        if text.len() > LONGEST_TEXT {
            return Err(GaveUp);
        }
        let work = text.len().saturating_mul(WORK_A_BYTE).saturating_add(WORK_A_TEXT);
        let work = isize::try_from(work).unwrap_or(isize::MAX);
        Ok(Attempt::new(&self.program, text, self.groups, work))
    }
}
