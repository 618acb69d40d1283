//! Any bytes taken as the body of an HTTP request.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::http_body(data));
