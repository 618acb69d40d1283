//! What takes connections of syslog clients apart: a file of a crate that is too large to build for a fuzzer.
#![allow(dead_code, reason = "the target uses a part of it")]

#[path = "../../../crates/inputs/src/syslog/frames.rs"]
mod frames;
#[path = "../../../crates/inputs/src/syslog/oracle.rs"]
pub(crate) mod oracle;
