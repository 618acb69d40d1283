//! Functions of module `flb` that guests may import: what the host does better, or what only the host can do.
//!
//! All are leaves: none runs code of the guest. `docs/batch-abi.md` lists them; `FUNCTIONS` has a row for each. An address or length
//! that does not lie in the guest's memory is the trap that it would be in the guest's own code.

mod count;
mod data;
mod kept;
mod talk;

use flb_artifact::contract::LEAVES;
use wasmtime::{Engine, FuncType, Linker, ValType};

use crate::libc::Call;
use crate::state::State;

pub(crate) use kept::Leaves;

/// A function's name, the types of its parameters and results, and how it is provided.
type Row = (&'static str, &'static [Kind], &'static [Kind], Link);
type Link = fn(&mut Linker<State>, &str) -> wasmtime::Result<()>;

/// The types that occur.
#[derive(Clone, Copy)]
enum Kind {
    I32,
    I64,
    F64,
}

use Kind::{F64, I32, I64};

/// Provides a function of this many arguments. The arguments are named for their types to be found.
macro_rules! link {
    ($function:path, $($argument:ident),+) => {
        |linker, name| {
            linker
                .func_wrap(LEAVES, name, |caller: wasmtime::Caller<'_, State>, $($argument),+| {
                    $function(&mut Call::new(caller)?, $($argument),+)
                })
                .map(|_| ())
        }
    };
}

const FUNCTIONS: &[Row] = &[
    ("json", &[I32, I32, I32, I32], &[I32], link!(data::json, value, len, to, room)),
    ("sha256", &[I32, I32, I32], &[], link!(data::sha256, data, len, to)),
    ("log", &[I32, I32, I32], &[], link!(talk::log, level, text, len)),
    ("counter", &[I32, I32], &[I32], link!(count::counter, name, len)),
    ("add", &[I32, I64], &[], link!(count::add, counter, by)),
    ("histogram", &[I32, I32, I32, I32], &[I32], link!(count::histogram, name, len, bounds, count)),
    ("observe", &[I32, F64], &[], link!(count::observe, histogram, value)),
];

/// A function that a module imports.
#[derive(Clone, Copy)]
pub(crate) struct Leaf(&'static Row);

/// The function of this name and type, if there is one.
pub(crate) fn find(module: &str, name: &str, ty: &FuncType) -> Option<Leaf> {
    named(module, name).filter(|leaf| FuncType::eq(&leaf.ty(ty.engine()), ty))
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
    fn ty(self, engine: &Engine) -> FuncType {
        let (_, parameters, results, _) = self.0;
        let ty = |kind: &Kind| match kind {
            I32 => ValType::I32,
            I64 => ValType::I64,
            F64 => ValType::F64,
        };
        FuncType::new(engine, parameters.iter().map(ty), results.iter().map(ty))
    }

    /// Provides it.
    pub(crate) fn link(self, linker: &mut Linker<State>) -> wasmtime::Result<()> {
        let (name, _, _, link) = self.0;
        link(linker, name)
    }
}
