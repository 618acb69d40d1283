//! Any bytes taken as orders for a guest of the batch ABI, and what it answers.

#![no_main]

thread_local! {
    static BATCHES: flb_fuzz::Batches = flb_fuzz::Batches::new();
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| BATCHES.with(|batches| batches.check(data)));
