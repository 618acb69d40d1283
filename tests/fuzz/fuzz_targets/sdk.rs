//! Edits and a record, for a filter with the Rust SDK; the host's view and edits are the oracle.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::sdk(data));
