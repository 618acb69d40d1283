//! Functions of module `flb` that guests may import: what the host does better, or what only the host can do.
//!
//! All are leaves: none runs code of the guest. `docs/batch-abi.md` lists them; `FUNCTIONS` has a row for each. An address or length
//! that does not lie in the guest's memory is the trap that it would be in the guest's own code.

mod count;
mod data;
mod kept;
mod talk;

use flb_artifact::ValueType;
use flb_artifact::contract::LEAVES;

use crate::Signature;
use crate::machine::{Linker, provide};

pub(crate) use kept::Leaves;

/// A function's name, the types of its parameters and results, and how it is provided.
type Row = (&'static str, &'static [ValueType], &'static [ValueType], Link);
type Link = fn(&mut Linker, &str);

use ValueType::{F64, I32, I64};

/// Provides a function of these arguments.
macro_rules! link {
    ($function:path, $($argument:ident: $ty:ty),+) => {
        |linker, name| provide!(linker, LEAVES, name, $function, $($argument: $ty),+)
    };
}

const FUNCTIONS: &[Row] = &[
    (
        "json",
        &[I32, I32, I32, I32],
        &[I32],
        link!(data::json, value: u32, len: u32, to: u32, room: u32),
    ),
    ("sha256", &[I32, I32, I32], &[], link!(data::sha256, data: u32, len: u32, to: u32)),
    ("log", &[I32, I32, I32], &[], link!(talk::log, level: u32, text: u32, len: u32)),
    ("counter", &[I32, I32], &[I32], link!(count::counter, name_at: u32, len: u32)),
    ("add", &[I32, I64], &[], link!(count::add, counter: u32, by: u64)),
    (
        "histogram",
        &[I32, I32, I32, I32],
        &[I32],
        link!(count::histogram, name_at: u32, len: u32, bounds: u32, count: u32),
    ),
    ("observe", &[I32, F64], &[], link!(count::observe, histogram: u32, value: f64)),
];

/// A function that a module imports.
#[derive(Clone, Copy)]
pub(crate) struct Leaf(&'static Row);

/// The function of this name and type, if there is one.
pub(crate) fn find(module: &str, name: &str, signature: &Signature) -> Option<Leaf> {
    named(module, name).filter(|Leaf((_, params, results, _))| {
        (*params, *results) == (signature.params.as_slice(), signature.results.as_slice())
    })
}

/// Whether there is a function of this name.
pub(crate) fn has(module: &str, name: &str) -> bool {
    named(module, name).is_some()
}

fn named(module: &str, name: &str) -> Option<Leaf> {
    let row = FUNCTIONS.iter().find(|(known, ..)| *known == name);
    row.filter(|_| module == LEAVES).map(Leaf)
}

impl Leaf {
    /// Provides it.
    pub(crate) fn link(self, linker: &mut Linker) {
        let (name, _, _, link) = self.0;
        link(linker, name);
    }
}
