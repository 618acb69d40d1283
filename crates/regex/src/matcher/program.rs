//! What the matcher executes: steps that know what may come behind them.

use super::bytes::{ByteSet, Finder};
use super::class::{CONTINUING, Class};
use super::tree::Look;

/// The number of a step.
pub(super) type Pc = u32;
/// The step behind the last: all is found.
pub(super) const FOUND: Pc = 0;

/// The steps of a pattern.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) ops: Vec<Op>,
    pub(super) start: Pc,
}

/// A step, and which one is next.
#[derive(Debug)]
pub(super) struct Op {
    pub(super) step: Step,
    pub(super) next: Pc,
}

/// What a step does.
#[derive(Debug)]
pub(super) enum Step {
    Found,
    Byte(u8),
    Literal(Box<[u8]>),
    Class(Box<Class>),
    /// The same, in a loop.
    Chain(Box<Chain>),
    /// All of a run: nothing that may follow begins in its midst.
    Whole(Box<Run>),
    /// The longest run that something may follow, then shorter ones.
    Greedy(Box<Run>),
    /// The shortest such run, then longer ones.
    Lazy(Box<Run>),
    Save(u32),
    Look(Look),
    /// The next step, then another.
    Split(Box<Split>),
}

/// What a match may go on with: the next byte, or that the text ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct First {
    pub(super) bytes: ByteSet,
    pub(super) end: bool,
}

/// Two ways.
#[derive(Debug)]
pub(super) struct Split {
    pub(super) first: First,
    pub(super) other: Pc,
    pub(super) other_first: First,
}

/// A character, and then bytes that each would lead to the same step again.
#[derive(Debug)]
pub(super) struct Chain {
    class: Class,
    /// What ends it.
    stop: Finder,
}

/// Characters of one class in turn.
#[derive(Debug)]
pub(super) struct Run {
    class: Class,
    least: u32,
    /// `u32::MAX`: no matter how many.
    most: u32,
    after: First,
    /// It is as long as may be, and of bytes: finders do.
    is_plain: bool,
    /// What ends it.
    stop: Finder,
    /// What ends it or may follow, so that it may be left there.
    leave: Finder,
    /// What may follow within it.
    follow: Finder,
}

impl First {
    pub(super) const NOTHING: Self = Self { bytes: ByteSet::NONE, end: false };
    pub(super) const ANYTHING: Self = Self { bytes: ByteSet::ALL, end: true };

    pub(super) fn join(&mut self, other: &Self) {
        self.bytes.join(&other.bytes);
        self.end |= other.end;
    }

    #[inline]
    pub(super) fn allows(&self, text: &[u8], at: usize) -> bool {
        text.get(at).map_or(self.end, |byte| self.bytes.has(*byte))
    }
}

impl Chain {
    pub(super) fn new(class: &Class, chained: &ByteSet) -> Self {
        Self { class: class.clone(), stop: Finder::new(&chained.complement()) }
    }

    /// Where it ends.
    #[inline]
    pub(super) fn end(&self, text: &[u8], at: usize) -> Option<usize> {
        Some(self.stop.first(text, self.class.one(text, at)?))
    }
}

/// Where a lazy run has come to.
pub(super) struct Shortest {
    pub(super) at: usize,
    /// How many more characters it may take.
    pub(super) left: u32,
    /// Whether what follows may begin there; if not, the run goes no further.
    pub(super) is_place: bool,
}

impl Run {
    pub(super) fn new(class: &Class, least: u32, most: Option<u32>, after: &First) -> Self {
        let stop = class.bytes.complement();
        let mut leave = stop.clone();
        leave.join(&after.bytes);
        let mut follow = after.bytes.clone();
        if class.beyond_ascii {
            follow.remove(CONTINUING);
        }
        Self {
            class: class.clone(),
            least,
            most: most.unwrap_or(u32::MAX),
            after: after.clone(),
            is_plain: most.is_none() && !class.beyond_ascii,
            stop: Finder::new(&stop),
            leave: Finder::new(&leave),
            follow: Finder::new(&follow),
        }
    }

    /// Where the longest run from `at` on ends.
    #[inline]
    pub(super) fn longest(&self, text: &[u8], at: usize) -> Option<usize> {
        if self.is_plain {
            let end = self.stop.first(text, at);
            return (end - at >= self.least as usize).then_some(end);
        }
        let (end, count) = self.class.run(text, at, self.most);
        (count >= self.least).then_some(end)
    }

    /// Where the shortest run from `at` on ends, and how many characters more it may take.
    #[inline]
    pub(super) fn least(&self, text: &[u8], at: usize) -> Option<(usize, u32)> {
        let (end, count) = self.class.run(text, at, self.least);
        (count == self.least).then_some((end, self.most - count))
    }

    /// The last place from `least` to `end`, where the run ends, that what follows may begin at.
    #[inline]
    pub(super) fn last_place(&self, text: &[u8], least: usize, end: usize) -> Option<usize> {
        if self.after.allows(text, end) { Some(end) } else { self.place_before(text, least, end) }
    }

    /// The last such place before `end`, which is within the run or at its end.
    #[inline]
    pub(super) fn place_before(&self, text: &[u8], least: usize, end: usize) -> Option<usize> {
        self.follow.last(text, least..end)
    }

    /// The first place from `at` on that what follows may begin at.
    #[inline]
    pub(super) fn next_place(&self, text: &[u8], at: usize, left: u32) -> Shortest {
        if self.is_plain {
            let at = self.leave.first(text, at);
            return Shortest { at, left, is_place: self.after.allows(text, at) };
        }
        let mut shortest = Shortest { at, left, is_place: false };
        loop {
            shortest.is_place = self.after.allows(text, shortest.at);
            if shortest.is_place || !self.lengthen(text, &mut shortest) {
                return shortest;
            }
        }
    }

    /// The first such place when the run is a character longer than it was.
    #[inline]
    pub(super) fn place_behind(&self, text: &[u8], at: usize, left: u32) -> Shortest {
        let mut shortest = Shortest { at, left, is_place: false };
        if !self.lengthen(text, &mut shortest) {
            return shortest;
        }
        self.next_place(text, shortest.at, shortest.left)
    }

    /// Takes another character, if there is one and it may.
    #[inline]
    fn lengthen(&self, text: &[u8], run: &mut Shortest) -> bool {
        let next = if run.left == 0 { None } else { self.class.one(text, run.at) };
        if let Some(next) = next {
            run.at = next;
            run.left -= u32::from(self.most != u32::MAX);
        }
        next.is_some()
    }
}

impl Look {
    /// Whether the place at `at` is one of these.
    #[inline]
    pub(super) fn is_at(self, text: &[u8], at: usize) -> bool {
        let is_word = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        };
        let before = || at.checked_sub(1).and_then(|before| text.get(before));
        match self {
            Self::TextStart => at == 0,
            Self::TextEnd => at == text.len(),
            Self::LineStart => at == 0 || (text[at - 1] == b'\n' && at < text.len()),
            Self::LineEnd => text.get(at).is_none_or(|byte| *byte == b'\n'),
            Self::WordEdge => is_word(before()) != is_word(text.get(at)),
            Self::NoWordEdge => is_word(before()) == is_word(text.get(at)),
        }
    }
}
