//! What reads answers of AWS's services, and files of profiles: files of a crate that is too large to build for a fuzzer.
#![allow(dead_code, reason = "the target uses a part of it")]

#[path = "../../../crates/net/src/aws/credentials.rs"]
mod credentials;
#[path = "../../../crates/net/src/aws/ini.rs"]
mod ini;
#[path = "../../../crates/net/src/aws/oracle.rs"]
pub(crate) mod oracle;
#[path = "../../../crates/net/src/aws/refusal.rs"]
mod refusal;
#[path = "../../../crates/net/src/aws/xml.rs"]
mod xml;
