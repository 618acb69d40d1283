//! Any bytes taken as JSON; `serde_json` is the oracle.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::json(data));
