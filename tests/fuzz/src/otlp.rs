//! The decoder of OTLP requests: a folder of a crate that is too large to build for a fuzzer.
#![allow(dead_code, reason = "the target uses a part of it")]

#[path = "../../../crates/net/src/otlp/mod.rs"]
mod decode;
#[path = "../../../crates/net/src/otlp/oracle.rs"]
pub(crate) mod oracle;

use decode::{Format, Keys, Records, read};
