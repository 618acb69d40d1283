//! Any bytes taken as the metadata of an artifact whose digests are right.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::artifact_metadata(data));
