//! Any lines, joined by the built-in multiline parsers: no text may be lost.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::multiline(data));
