//! Any pattern on any lines: what is found is what the library finds.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::regex(data));
