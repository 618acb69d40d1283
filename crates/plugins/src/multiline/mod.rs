//! Multiline parsers: those that configurations define, those that are there, and the joining of lines by them.

mod builtin;
mod section;

pub use builtin::builtin_multiline;
pub(crate) use section::ALL;
