//! For tests only: programs seen from outside, and cases in text files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod case;
mod program;

pub use case::Case;
pub use program::{Program, Run};
