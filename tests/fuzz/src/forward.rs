//! The decoder of Forward messages: a file of a crate that is too large to build for a fuzzer.
#![allow(dead_code, reason = "the target uses a part of it")]

#[path = "../../../crates/net/src/forward/decode.rs"]
mod decode;
#[path = "../../../crates/net/src/forward/oracle.rs"]
pub(crate) mod oracle;
