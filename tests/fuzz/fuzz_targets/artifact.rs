//! Any bytes taken as an artifact.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::artifact(data));
