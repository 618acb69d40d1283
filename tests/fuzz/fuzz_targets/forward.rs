//! Any bytes taken as a message of the Forward protocol.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::forward(data));
