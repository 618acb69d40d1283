//! Faults of guests on many threads at once: each is the matter of its own guest and thread. The filters' engine is the first
//! of this process, as it is in the agent; `memory.rs` has a compiler's before.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

use flb_event::{Event, Tag, Timestamp};
use flb_runtime::{EngineOptions, FilterEngine, FilterModule, FilterOptions};

/// Two threads for each of these, which all fail at every call.
fn check(bodies: &[&str], calls: usize) {
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    let modules = bodies.iter().map(|body| {
        let text = format!(
            r#"(module (memory 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
                {body} (local.get 4)))"#
        );
        let bytes = wat::parse_str(text).unwrap();
        FilterModule::load(&engine, bytes, FilterOptions::new("f")).unwrap()
    });
    let modules: Vec<_> = modules.collect();
    std::thread::scope(|scope| {
        for module in modules.iter().chain(&modules) {
            scope.spawn(move || {
                let mut instance = module.instantiate().unwrap();
                let tag = Tag::new("a").unwrap();
                for _ in 0..calls {
                    let time = Timestamp { sec: 0, nsec: 0 };
                    let event = Event { time, metadata: Event::NO_METADATA, body: &[0x80] };
                    let error = instance.ask(&tag, event).unwrap_err().to_string();
                    assert!(error.contains("out of bounds memory access"), "{error}");
                }
            });
        }
    });
}

#[test]
fn guests_that_go_astray_on_many_threads_harm_nobody_else() {
    if cfg!(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))) {
        // A trap of the engine's; one behind its back, as the copy is short and its length known; one in the host's code.
        let bodies = [
            "(i32.store (i32.const 1000000) (i32.const 1))",
            "(memory.copy (i32.const 1000000) (local.get 4) (i32.const 3))",
            "(memory.fill (i32.const 60000) (i32.const 1) (i32.const 9999))",
        ];
        check(&bodies, 700);
    }
}
