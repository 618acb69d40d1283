//! Hostile guests: whatever a module does, the process lives and every record is in one place of the books.
//!
//! Each test has two sizes: a small one in every run, and one by the million in the slow tier (docs/testing.md).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the slow tier tells its figures")]

mod attackers;
mod batch;
mod chaos;
mod leak;
mod smith;
mod world;
