//! Any bytes taken as a request of OTLP.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::otlp(data));
