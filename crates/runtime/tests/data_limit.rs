//! A process that may not have much memory of its own. It holds for all of the process, so this test has one for itself.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

use flb_event::{Event, Tag, Timestamp};
use flb_runtime::{EngineOptions, FilterEngine, FilterModule, FilterOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Bytes that count as the process's own.
fn data() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn a_guest_that_goes_astray_ends_alone_where_memory_is_limited() {
    let text = r#"(module (memory 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
        (memory.fill (i32.const 60000) (i32.const 1) (i32.const 3000000)) (local.get 4)))"#;
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    let bytes = wat::parse_str(text).unwrap();
    let module = FilterModule::load(&engine, bytes, FilterOptions::new("f")).unwrap();
    let mut instance = module.instantiate().unwrap();
    let before = getrlimit(Resource::Data);
    let limited = Rlimit { current: Some(data() + (64 << 20)), maximum: before.maximum };
    setrlimit(Resource::Data, limited).unwrap();
    let time = Timestamp { sec: 0, nsec: 0 };
    let event = Event { time, metadata: Event::NO_METADATA, body: &[0x80] };
    let error = instance.ask(&Tag::new("a").unwrap(), event).unwrap_err().to_string();
    setrlimit(Resource::Data, before).unwrap();
    assert!(error.contains("out of bounds memory access"), "{error}");
}
