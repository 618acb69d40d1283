//! Configuration files: read, shown with all that is wrong with them, and used.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::classic(data));
