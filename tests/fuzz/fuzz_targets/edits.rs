//! Any bytes taken as a map and edits of it; a plain model is the oracle.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::edits(data));
