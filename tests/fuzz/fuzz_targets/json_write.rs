//! Well-formed msgpack printed as JSON and as text; `serde_json` is the oracle.

#![no_main]

use libfuzzer_sys::Corpus;

libfuzzer_sys::fuzz_target!(|data: &[u8]| -> Corpus { flb_fuzz::well_formed_msgpack(data) });
