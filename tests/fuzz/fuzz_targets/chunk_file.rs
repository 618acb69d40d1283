//! Any bytes taken as the file of a stored chunk.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::chunk_file(data));
