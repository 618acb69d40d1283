//! Any bytes taken as an answer of AWS's services, and as a file of profiles.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::aws(data));
