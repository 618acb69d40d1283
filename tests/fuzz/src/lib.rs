//! What the targets check: the oracles of the crates' own tests, so that a find replays there.

#[path = "../../../crates/artifact/tests/oracle/mod.rs"]
mod artifact_oracle;
mod aws;
#[path = "../../../crates/compiler/tests/oracle/mod.rs"]
mod compiler_oracle;
mod config;
#[path = "../../../crates/filters/src/entries.rs"]
mod entries;
#[path = "../../../crates/event/tests/oracle/mod.rs"]
mod event_oracle;
mod forward;
#[path = "../../../crates/net/src/hex.rs"]
mod hex;
mod http;
mod otlp;
#[path = "../../../crates/pipeline/tests/oracle/mod.rs"]
mod pipeline_oracle;
#[path = "../../../crates/parsers/tests/oracle/mod.rs"]
mod parsers_oracle;
#[path = "../../../crates/regex/tests/oracle/mod.rs"]
mod regex_oracle;
#[path = "../../../crates/runtime/tests/oracle/mod.rs"]
mod runtime_oracle;
mod kubernetes;
mod syslog;
#[path = "../../../crates/net/src/unzstd.rs"]
pub mod unzstd;

// What files of other crates ask of a crate that is too large to build here stands in this one.
extern crate self as flb_net;

use libfuzzer_sys::Corpus;

pub use config::{classic, yaml};

/// Any bytes taken as msgpack.
pub fn msgpack(data: &[u8]) {
    event_oracle::check_msgpack(data);
}

/// As [`msgpack`], but keeps only what is well-formed, so that the fuzzer learns to print.
pub fn well_formed_msgpack(data: &[u8]) -> Corpus {
    if flb_event::msgpack::value_len(data).is_err() {
        return Corpus::Reject;
    }
    event_oracle::check_msgpack(data);
    Corpus::Keep
}

/// Edits and a record, for a filter with the Rust SDK.
pub fn sdk(data: &[u8]) {
    event_oracle::check_sdk(data);
}

/// Any bytes taken as a map and edits of it.
pub fn edits(data: &[u8]) {
    event_oracle::check_edits(data);
}

/// Any bytes taken as JSON.
pub fn json(data: &[u8]) {
    event_oracle::check_json(data);
}

/// Any bytes taken as a whole artifact. Hardly any gets past the first digest.
pub fn artifact(data: &[u8]) {
    drop(artifact_oracle::check_file(data));
}

/// Any bytes taken as an artifact's metadata and, after a zero byte, what stands behind it.
pub fn artifact_metadata(data: &[u8]) {
    drop(artifact_oracle::check_metadata(data));
}

/// A format, its regular expression or time format, and lines.
pub fn parsers(data: &[u8]) {
    parsers_oracle::check_parser(data);
}

/// A regular expression and lines.
pub fn regex(data: &[u8]) {
    regex_oracle::check(data);
}

/// A multiline parser and lines.
pub fn multiline(data: &[u8]) {
    parsers_oracle::check_multiline(data);
}

/// A tag, and behind a newline any bytes taken as an answer of the API of Kubernetes.
pub fn kubernetes(data: &[u8]) {
    kubernetes::oracle::check(data);
}

/// Any bytes taken as a module with debug information.
pub fn places(data: &[u8]) {
    compiler_oracle::check_places(data);
}

/// Filters that answer what they are told to.
pub struct Calls(runtime_oracle::Calls);

impl Calls {
    /// Compiles them: once is enough.
    #[expect(clippy::new_without_default, reason = "it is no small thing")]
    pub fn new() -> Self {
        Self(runtime_oracle::Calls::new())
    }

    /// Any bytes taken as calls, and what is to be answered.
    pub fn check(&self, data: &[u8]) {
        self.0.check(data);
    }
}

/// A guest of the batch ABI that does what its records say.
pub struct Batches(runtime_oracle::Batches);

impl Batches {
    /// Compiles it: once is enough.
    #[expect(clippy::new_without_default, reason = "it is no small thing")]
    pub fn new() -> Self {
        Self(runtime_oracle::Batches::new())
    }

    /// Any bytes taken as what its records say.
    pub fn check(&self, data: &[u8]) {
        self.0.check(data);
    }
}

/// A guest that calls the C library as it is told to.
pub struct Library(runtime_oracle::Library);

impl Library {
    /// Compiles it: once is enough.
    #[expect(clippy::new_without_default, reason = "it is no small thing")]
    pub fn new() -> Self {
        Self(runtime_oracle::Library::new())
    }

    /// Any bytes taken as calls, and what they point to.
    pub fn check(&self, data: &[u8]) {
        self.0.check(data);
    }
}

/// Any bytes taken as an answer of AWS's services, and as a file of profiles.
pub fn aws(data: &[u8]) {
    aws::oracle::check(data);
}

/// Any bytes taken as the file of a stored chunk.
pub fn chunk_file(data: &[u8]) {
    pipeline_oracle::check_chunk_file(data);
}

/// Any bytes taken as a message of the Forward protocol.
pub fn forward(data: &[u8]) {
    forward::oracle::check(data);
}

/// Any bytes taken as the body of an HTTP request.
pub fn http_body(data: &[u8]) {
    http::oracle::check(data);
}

/// Any bytes taken as a request of OTLP.
pub fn otlp(data: &[u8]) {
    otlp::oracle::check(data);
}

/// Any bytes taken as a connection of a syslog client.
pub fn syslog(data: &[u8]) {
    syslog::oracle::check(data);
}
