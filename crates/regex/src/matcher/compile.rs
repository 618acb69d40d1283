//! From a tree to a program: steps are laid out from the end, then each learns what may come behind it.

use super::bytes::ByteSet;
use super::class::Class;
use super::program::{Chain, FOUND, First, Op, Pc, Program, Run, Split, Step};
use super::tree::{Look, Node, Times};

/// A program may have so many steps; what is larger is the library's.
const MOST_STEPS: usize = 2000;

/// `None` if the program would be too large.
pub(super) fn compile(tree: &Node) -> Option<Program> {
    let mut layout = Layout { drafts: vec![(Draft::Found, FOUND)] };
    let start = layout.node(tree, FOUND)?;
    let firsts = firsts(&layout.drafts);
    let known = Known { drafts: &layout.drafts, firsts: &firsts };
    let ops =
        (0..known.drafts.len()).map(|pc| Op { step: known.step(pc), next: known.drafts[pc].1 });
    Some(Program { ops: ops.collect(), start })
}

/// A step that does not know what comes behind it.
enum Draft {
    Found,
    Literal(Vec<u8>),
    Class(Box<Class>),
    Run(Box<Class>, Times),
    Save(u32),
    Look(Look),
    Split { other: Pc },
}

struct Layout {
    drafts: Vec<(Draft, Pc)>,
}

impl Layout {
    fn push(&mut self, draft: Draft, next: Pc) -> Option<Pc> {
        let pc = self.drafts.len();
        self.drafts.push((draft, next));
        (pc < MOST_STEPS).then_some(pc as Pc)
    }

    /// Lays a part out before the step `next`; gives where it starts.
    fn node(&mut self, node: &Node, next: Pc) -> Option<Pc> {
        match node {
            Node::Empty => Some(next),
            Node::Literal(text) if text.is_empty() => Some(next),
            Node::Literal(text) => self.push(Draft::Literal(text.clone()), next),
            Node::Class(class) => self.push(Draft::Class(class.clone()), next),
            Node::Look(look) => self.push(Draft::Look(*look), next),
            Node::Concat(parts) => {
                parts.iter().rev().try_fold(next, |next, part| self.node(part, next))
            }
            Node::Either(parts) => self.either(parts, next),
            Node::Group(group, part) => {
                let slot = u32::try_from(group * 2).ok()?;
                let end = self.push(Draft::Save(slot + 1), next)?;
                let part = self.node(part, end)?;
                self.push(Draft::Save(slot), part)
            }
            Node::Repeat(part, times) => self.repeat(part, *times, next),
        }
    }

    fn either(&mut self, parts: &[Node], next: Pc) -> Option<Pc> {
        let (last, before) = parts.split_last()?;
        let mut other = self.node(last, next)?;
        for part in before.iter().rev() {
            let first = self.node(part, next)?;
            other = self.push(Draft::Split { other }, first)?;
        }
        Some(other)
    }

    fn repeat(&mut self, part: &Node, times: Times, next: Pc) -> Option<Pc> {
        if let Node::Class(class) = part {
            return self.push(Draft::Run(class.clone(), times), next);
        }
        let mut start = match times.most {
            None => self.endless(part, times.is_greedy, next)?,
            Some(most) => {
                self.at_most(part, most.saturating_sub(times.least), times.is_greedy, next)?
            }
        };
        for _ in 0..times.least {
            start = self.node(part, start)?;
        }
        Some(start)
    }

    fn endless(&mut self, part: &Node, is_greedy: bool, next: Pc) -> Option<Pc> {
        let split = self.push(Draft::Split { other: next }, next)?;
        let start = self.node(part, split)?;
        let (first, other) = if is_greedy { (start, next) } else { (next, start) };
        self.drafts[split as usize] = (Draft::Split { other }, first);
        Some(split)
    }

    fn at_most(&mut self, part: &Node, most: u32, is_greedy: bool, next: Pc) -> Option<Pc> {
        let mut start = next;
        for _ in 0..most {
            let part = self.node(part, start)?;
            let (first, other) = if is_greedy { (part, next) } else { (next, part) };
            start = self.push(Draft::Split { other }, first)?;
        }
        Some(start)
    }
}

/// What may come first at each step. A loop leads to a step that is only known afterwards, so this goes round until nothing is new.
fn firsts(drafts: &[(Draft, Pc)]) -> Vec<First> {
    let mut firsts = vec![First::NOTHING; drafts.len()];
    loop {
        let mut is_new = false;
        for pc in 0..drafts.len() {
            let first = first(&drafts[pc].0, drafts[pc].1, &firsts);
            is_new |= first != firsts[pc];
            firsts[pc] = first;
        }
        if !is_new {
            return firsts;
        }
    }
}

fn first(draft: &Draft, next: Pc, firsts: &[First]) -> First {
    let behind = |pc: Pc| firsts[pc as usize].clone();
    let of = |bytes: ByteSet| First { bytes, end: false };
    match draft {
        Draft::Found => First::ANYTHING,
        Draft::Literal(text) => of(ByteSet::of(text[0]..=text[0])),
        Draft::Class(class) => of(class.beginnings()),
        Draft::Run(class, times) => {
            let mut first = of(class.beginnings());
            if times.least == 0 {
                first.join(&behind(next));
            }
            first
        }
        Draft::Save(_) => behind(next),
        Draft::Look(Look::TextEnd) => First { bytes: ByteSet::NONE, ..behind(next) },
        Draft::Look(Look::LineEnd) => {
            let mut first = behind(next);
            first.bytes.remove(0..=b'\n' - 1);
            first.bytes.remove(b'\n' + 1..=0xFF);
            first
        }
        Draft::Look(_) => behind(next),
        Draft::Split { other } => {
            let mut first = behind(next);
            first.join(&behind(*other));
            first
        }
    }
}

/// All that is known of a program.
struct Known<'a> {
    drafts: &'a [(Draft, Pc)],
    firsts: &'a [First],
}

impl Known<'_> {
    fn first(&self, pc: Pc) -> &First {
        &self.firsts[pc as usize]
    }

    fn step(&self, pc: usize) -> Step {
        let (draft, next) = &self.drafts[pc];
        match draft {
            Draft::Found => Step::Found,
            Draft::Literal(text) if text.len() == 1 => Step::Byte(text[0]),
            Draft::Literal(text) => Step::Literal(text.as_slice().into()),
            Draft::Class(class) => self.class(pc, class),
            Draft::Run(class, times) => run(class, *times, self.first(*next)),
            Draft::Save(slot) => Step::Save(*slot),
            Draft::Look(look) => Step::Look(*look),
            Draft::Split { other } => Step::Split(Box::new(Split {
                first: self.first(*next).clone(),
                other: *other,
                other_first: self.first(*other).clone(),
            })),
        }
    }

    /// A class in a loop, `(?:[^"\\]|\\.)*`, is a chain of the bytes that can but come back to it.
    fn class(&self, pc: usize, class: &Class) -> Step {
        let mut chained = class.bytes.clone();
        for byte in 0..=0xFF {
            if !self.comes_back(pc, byte) {
                chained.remove(byte..=byte);
            }
        }
        if chained == ByteSet::NONE {
            return Step::Class(Box::new(class.clone()));
        }
        Step::Chain(Box::new(Chain::new(class, &chained)))
    }

    /// Whether the step, if this byte comes next, is next itself, and there is no other way.
    fn comes_back(&self, pc: usize, byte: u8) -> bool {
        let mut at = self.drafts[pc].1;
        // Splits lead on to each other, but to themselves only by way of a step that takes a byte.
        while let (Draft::Split { other }, next) = &self.drafts[at as usize] {
            at = match (self.first(*next).bytes.has(byte), self.first(*other).bytes.has(byte)) {
                (true, false) => *next,
                (false, true) => *other,
                _ => return false,
            };
        }
        at as usize == pc
    }
}

/// Where nothing that may follow begins as the run's characters do, a shorter run leads nowhere.
fn run(class: &Class, times: Times, after: &First) -> Step {
    let run = Box::new(Run::new(class, times.least, times.most, after));
    if !after.bytes.meets(&class.beginnings()) {
        Step::Whole(run)
    } else if times.is_greedy {
        Step::Greedy(run)
    } else {
        Step::Lazy(run)
    }
}
