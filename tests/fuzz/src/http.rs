//! The decoder of HTTP bodies: a file of a crate that is too large to build for a fuzzer.
#![allow(dead_code, reason = "the target uses a part of it")]

#[path = "../../../crates/plugins/src/inputs/http/body.rs"]
mod body;
#[path = "../../../crates/plugins/src/inputs/http/oracle.rs"]
pub(crate) mod oracle;
