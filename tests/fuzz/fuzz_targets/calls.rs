//! Any bytes taken as calls of a filter, and what it answers.

#![no_main]

thread_local! {
    static CALLS: flb_fuzz::Calls = flb_fuzz::Calls::new();
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| CALLS.with(|calls| calls.check(data)));
