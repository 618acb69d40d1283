//! The decoder of HTTP bodies: files of a crate that is too large to build for a fuzzer.
#![allow(dead_code, reason = "the target uses a part of it")]

#[path = "../../../crates/inputs/src/http/body.rs"]
mod body;
#[path = "../../../crates/inputs/src/shared/encodings.rs"]
mod encodings;
#[path = "../../../crates/inputs/src/http/oracle.rs"]
pub(crate) mod oracle;

use encodings::Encoding;
