//! A tag, and an answer of the API of Kubernetes.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::kubernetes(data));
