//! What reads tags and answers of Kubernetes: files of a crate that is too large to build for a fuzzer.
#![allow(dead_code, reason = "the target uses a part of it")]

#[path = "../../../crates/filters/src/kubernetes/describe.rs"]
mod describe;
#[path = "../../../crates/filters/src/kubernetes/object.rs"]
mod object;
#[path = "../../../crates/filters/src/kubernetes/oracle.rs"]
pub(crate) mod oracle;
#[path = "../../../crates/filters/src/kubernetes/tag.rs"]
mod tag;
