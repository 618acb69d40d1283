//! Any bytes taken as calls of the C library that modules may import.

#![no_main]

thread_local! {
    static LIBRARY: flb_fuzz::Library = flb_fuzz::Library::new();
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| LIBRARY.with(|library| library.check(data)));
