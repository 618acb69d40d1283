//! Any bytes taken as msgpack; `rmpv` is the oracle.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flb_fuzz::msgpack(data));
