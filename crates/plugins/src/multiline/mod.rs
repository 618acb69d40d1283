//! Multiline parsers: those that configurations define, those that are there, and the joining of lines by them.

mod builtin;
mod first_line;
mod join;
mod section;
#[cfg(test)]
mod testing;

pub use builtin::builtin_multiline;
pub(crate) use builtin::docker;
pub(crate) use first_line::{FirstLine, FirstLineParsers};
pub use join::join_lines;
pub(crate) use join::{Join, Joined, Joiner, What};
pub(crate) use section::ALL;
