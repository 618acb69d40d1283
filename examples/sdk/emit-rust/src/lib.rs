//! A program in Rust for the input `exec_wasi`: each run prints a batch of orders as msgpack, some with their own time.
//!
//! ```text
//! rustup target add wasm32-unknown-unknown
//! cargo build --release --target wasm32-unknown-unknown
//! ```
//!
//! With the standard library it is a `main` like any other, for the target `wasm32-wasip1`. Here is none, so it says itself where it starts.

#![no_std]

use flb_filter::{EmitError, Emitter, Time, map};

/// Where WASI's programs start. Natively, in tests, that is the system's word.
#[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
pub extern "C" fn _start() {
    // A panic is a trap, and a trap is the run's failure.
    assert_eq!(orders(), Ok(()));
}

fn orders() -> Result<(), EmitError> {
    let mut room = [0; 4096];
    let mut records = Emitter::new(&mut room);
    for number in 1..=2 {
        records.emit(map(|to| {
            to.entry("order", number);
            to.entry("paid", number == 1);
        }))?;
    }
    let opened = Time { sec: 1_795_355_380, nsec: 917_655_454 };
    records.emit_at(opened, map(|to| to.entry("shop", "opened\ntoday")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn all_of_it_fits() {
        assert_eq!(super::orders(), Ok(()));
    }
}
