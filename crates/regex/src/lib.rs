//! Regular expressions as Fluent Bit's users write them: Ruby's syntax, on bytes that may be any.
//!
//! Not supported, and refused with the reason: `\X`, `\y`, conditionals with levels, and what else of Onigmo
//! `fancy-regex` does not know.

mod matcher;
mod regex;
mod ruby;

pub use regex::{Groups, Regex, RegexError, TooManySteps};
