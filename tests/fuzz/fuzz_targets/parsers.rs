//! Any lines, through parsers of any regular expression or time format.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::parsers(data));
