//! A small C library for modules that bring none: what C programs built without one import from `env`.
//!
//! The original's runtime has such a library, so filters rely on it. `docs/abi.md` lists its functions; `table.rs` has a row
//! for each. All of them take addresses, lengths and formats from the guest and trust none: what does not lie in the guest's
//! memory is the trap that it would be in the guest's own code.

mod bytes;
mod console;
mod ctype;
mod format;
mod heap;
mod library;
mod memory;
mod number;
mod pages;
mod pieces;
mod print;
mod process;
mod strings;
mod table;

use crate::Signature;
use crate::fault::Fault;

pub(crate) use bytes::{bytes, bytes_mut};
pub(crate) use console::Console;
pub(crate) use library::Library;
pub(crate) use pieces::{Look, PIECE};
pub(crate) use table::{Code, ENV};

/// What most functions answer: an `i32`, or how the guest ends.
type Answer = Result<u32, Fault>;
/// What the others answer.
type Done = Result<(), Fault>;

/// The function that a module imports by this name and type, if the library has it.
pub(crate) fn find(module: &str, name: &str, signature: &Signature) -> Option<Code> {
    named(module, name).find(|code| &code.signature() == signature)
}

/// Whether the library has a function of this name.
pub(crate) fn has(module: &str, name: &str) -> bool {
    named(module, name).next().is_some()
}

/// The functions of a name: old compilers write an underscore before it.
fn named<'a>(module: &str, name: &'a str) -> impl Iterator<Item = Code> + 'a {
    let plain = name.strip_prefix('_').unwrap_or(name);
    let is_env = module == ENV;
    table::FUNCTIONS
        .iter()
        .filter(move |(known, _)| is_env && (*known == name || *known == plain))
        .map(|(_, code)| *code)
}
