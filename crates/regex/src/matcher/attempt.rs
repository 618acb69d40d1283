//! One attempt to match a text from one place on: takes the first way at each step, and comes back to the others in their
//! order, so what it finds first is what any matcher that backtracks finds.

use smallvec::SmallVec;

use super::program::{FOUND, Op, Pc, Program, Run, Split, Step};

/// Where groups begin and end, two places each; [`NOWHERE`] if one took no part.
pub(crate) type Slots = SmallVec<[usize; 32]>;

pub(crate) const NOWHERE: usize = usize::MAX;

/// Texts are no longer, so that a way takes little room.
pub(super) const LONGEST_TEXT: usize = u32::MAX as usize;

/// The work was more than it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GaveUp;

/// A way that was not taken.
#[derive(Debug, Clone, Copy)]
enum Way {
    Other {
        pc: Pc,
        at: u32,
    },
    /// A greedy run may end between `least` and `end`.
    Shorter {
        pc: Pc,
        least: u32,
        end: u32,
    },
    /// A lazy run may take `left` more characters.
    Longer {
        pc: Pc,
        at: u32,
        left: u32,
    },
    /// No way, but what a slot held before.
    Slot {
        slot: u32,
        held: usize,
    },
}

/// A text on which a pattern is tried.
pub(super) struct Attempt<'a> {
    program: &'a Program,
    text: &'a [u8],
    pub(super) slots: Slots,
    ways: SmallVec<[Way; 32]>,
    /// How many bytes may still be looked at.
    work: isize,
}

impl<'a> Attempt<'a> {
    /// The text is no longer than [`LONGEST_TEXT`].
    pub(super) fn new(program: &'a Program, text: &'a [u8], groups: usize, work: isize) -> Self {
        let slots = SmallVec::from_elem(NOWHERE, groups * 2);
        Self { program, text, slots, ways: SmallVec::new(), work }
    }

    /// Whether the pattern matches from `from` on; then the slots say what.
    pub(super) fn matches(&mut self, from: usize) -> Result<bool, GaveUp> {
        self.ways.clear();
        let (mut pc, mut at) = (self.program.start, from);
        let mut since = from;
        while pc != FOUND {
            match self.step(pc, at) {
                Some(on) => (pc, at) = on,
                None => {
                    self.work -= (at - since) as isize;
                    match self.go_back()? {
                        Some(back) => (pc, at) = back,
                        None => return Ok(false),
                    }
                    since = at;
                }
            }
        }
        self.slots[0] = from;
        self.slots[1] = at;
        Ok(true)
    }

    /// The step behind, and where; `None` if this way leads nowhere.
    #[inline(always)]
    fn step(&mut self, pc: Pc, at: usize) -> Option<(Pc, usize)> {
        let program = self.program;
        let Op { step, next } = &program.ops[pc as usize];
        let at = match step {
            Step::Byte(byte) if self.text.get(at) == Some(byte) => at + 1,
            Step::Literal(literal) if self.text[at..].starts_with(literal) => at + literal.len(),
            Step::Byte(_) | Step::Literal(_) => return None,
            Step::Class(class) => class.one(self.text, at)?,
            Step::Chain(chain) => chain.end(self.text, at)?,
            Step::Whole(run) => run.longest(self.text, at)?,
            Step::Greedy(run) => self.greedy(pc, run, at)?,
            Step::Lazy(run) => self.lazy(pc, run, at)?,
            Step::Save(slot) => {
                self.save(*slot, at);
                at
            }
            Step::Look(look) if look.is_at(self.text, at) => at,
            Step::Look(_) => return None,
            Step::Split(split) => return Some((self.choose(split, *next, at), at)),
            Step::Found => at,
        };
        Some((*next, at))
    }

    #[inline]
    fn greedy(&mut self, pc: Pc, run: &Run, at: usize) -> Option<usize> {
        let (least, _) = run.least(self.text, at)?;
        let end = run.longest(self.text, at)?;
        self.work -= (end - at) as isize;
        let place = run.last_place(self.text, least, end).filter(|_| self.work >= 0)?;
        self.leave_shorter(pc, least, place);
        Some(place)
    }

    #[inline]
    fn leave_shorter(&mut self, pc: Pc, least: usize, end: usize) {
        if end > least {
            self.ways.push(Way::Shorter { pc, least: least as u32, end: end as u32 });
        }
    }

    #[inline]
    fn lazy(&mut self, pc: Pc, run: &Run, at: usize) -> Option<usize> {
        let (least, left) = run.least(self.text, at)?;
        let place = run.next_place(self.text, least, left);
        self.work -= (place.at - at) as isize;
        if !place.is_place || self.work < 0 {
            return None;
        }
        self.ways.push(Way::Longer { pc, at: place.at as u32, left: place.left });
        Some(place.at)
    }

    /// What is not left open need not be remembered: without another way, nothing is undone.
    #[inline]
    fn save(&mut self, slot: u32, at: usize) {
        let held = std::mem::replace(&mut self.slots[slot as usize], at);
        if !self.ways.is_empty() {
            self.ways.push(Way::Slot { slot, held });
        }
    }

    /// The next byte often says which way is right.
    #[inline]
    fn choose(&mut self, split: &Split, first: Pc, at: usize) -> Pc {
        if !split.first.allows(self.text, at) {
            return split.other;
        }
        if split.other_first.allows(self.text, at) {
            self.ways.push(Way::Other { pc: split.other, at: at as u32 });
        }
        first
    }

    /// The last way that was left open, with the slots as they were; `None` if there is none.
    fn go_back(&mut self) -> Result<Option<(Pc, usize)>, GaveUp> {
        loop {
            self.work -= 1;
            if self.work < 0 {
                return Err(GaveUp);
            }
            let back = match self.ways.pop() {
                None => {
                    self.slots.fill(NOWHERE);
                    return Ok(None);
                }
                Some(Way::Slot { slot, held }) => {
                    self.slots[slot as usize] = held;
                    None
                }
                Some(Way::Other { pc, at }) => Some((pc, at as usize)),
                Some(Way::Shorter { pc, least, end }) => {
                    self.shorter(pc, least as usize, end as usize)
                }
                Some(Way::Longer { pc, at, left }) => self.longer(pc, at as usize, left),
            };
            if back.is_some() {
                return Ok(back);
            }
        }
    }

    fn shorter(&mut self, pc: Pc, least: usize, end: usize) -> Option<(Pc, usize)> {
        let Op { step: Step::Greedy(run), next } = &self.program.ops[pc as usize] else {
            return None;
        };
        let place = run.place_before(self.text, least, end);
        self.work -= (end - place.unwrap_or(least)) as isize;
        self.leave_shorter(pc, least, place?);
        Some((*next, place?))
    }

    fn longer(&mut self, pc: Pc, at: usize, left: u32) -> Option<(Pc, usize)> {
        let Op { step: Step::Lazy(run), next } = &self.program.ops[pc as usize] else {
            return None;
        };
        let place = run.place_behind(self.text, at, left);
        self.work -= (place.at - at) as isize;
        if !place.is_place {
            return None;
        }
        self.ways.push(Way::Longer { pc, at: place.at as u32, left: place.left });
        Some((*next, place.at))
    }
}
