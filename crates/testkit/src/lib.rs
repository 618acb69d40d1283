//! For tests only: programs seen from outside, cases in text files, and inputs kept in files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod case;
mod corpus;
mod program;

pub use case::Case;
pub use corpus::{corpus, replay};
pub use program::{Program, Run};
