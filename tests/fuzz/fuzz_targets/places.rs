//! Any bytes taken as a module with debug information.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::places(data));
