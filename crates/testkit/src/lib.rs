//! For tests only: programs seen from outside, a client for their HTTP, a browser for their pages, servers of others and what stands in for some that cannot be
//! had, cases in text files, and inputs kept in files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod browser;
mod case;
mod corpus;
mod http;
pub mod imds;
pub mod kubernetes;
mod program;
pub mod servers;
pub mod stub;

pub use browser::{Browser, Display, VARIABLE as BROWSER};
pub use case::Case;
pub use corpus::{corpus, replay};
pub use http::{Answer, get};
pub use program::{Program, Run};
