//! What must hold of the C library, whatever it is called with: nothing panics, and memory is bounded.

use std::time::Duration;

use flb_event::{Event, Tag, Timestamp, msgpack};
use flb_runtime::{
    EngineOptions, EventFormat, FilterEngine, FilterModule, FilterOptions, GuestLog, GuestOutput,
    Heard, LINE, Sandbox,
};

use super::functions;

/// Most bytes of an input.
const MOST: usize = 4096;
/// Most bytes of a guest's memory.
const LIMIT: u64 = 2 << 20;
/// A call: the number of the function, and four arguments. Arguments from 0x80000000 to 0x80ffffff count from what the call
/// before came to.
const GUEST: &str = r#"
    (type $call (func (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 2)
    (global $last (mut i32) (i32.const 0))
    (func $argument (param $at i32) (result i32)
        (local $value i32)
        (local.set $value (i32.load (local.get $at)))
        (select
            (i32.add (global.get $last) (i32.and (local.get $value) (i32.const 0xffffff)))
            (local.get $value)
            (i32.eq (i32.shr_u (local.get $value) (i32.const 24)) (i32.const 0x80))))
    (func (export "filter") (param i32 i32 i32) (param $length i32) (param $record i32) (param $record_len i32) (result i32)
        (local $at i32) (local $end i32)
        (local.set $at (i32.const 256))
        (local.set $end (i32.add (local.get $at) (local.get $length)))
        (memory.copy (local.get $at)
            (i32.sub (i32.add (local.get $record) (local.get $record_len)) (local.get $length)) (local.get $length))
        (block (loop
            (br_if 1 (i32.gt_u (i32.add (local.get $at) (i32.const 17)) (local.get $end)))
            (global.set $last (call_indirect (type $call)
                (call $argument (i32.add (local.get $at) (i32.const 1))) (call $argument (i32.add (local.get $at) (i32.const 5)))
                (call $argument (i32.add (local.get $at) (i32.const 9))) (call $argument (i32.add (local.get $at) (i32.const 13)))
                (i32.rem_u (i32.load8_u (local.get $at)) (table.size 0))))
            (local.set $at (i32.add (local.get $at) (i32.const 17)))
            (br 0)))
        (local.get $record))"#;

/// A guest that calls what it is told to.
pub(crate) struct Library(FilterModule);

impl Library {
    pub(crate) fn new() -> Self {
        let engine =
            FilterEngine::new(EngineOptions { no_signals: true, ..EngineOptions::default() });
        let log = GuestLog::new(u32::MAX, |heard| {
            assert!(!matches!(heard, Heard::Line { text, .. } if text.len() > LINE));
        });
        let options = FilterOptions {
            format: EventFormat::Msgpack,
            deadline: Duration::from_secs(10),
            memory_limit: LIMIT,
            sandbox: Sandbox { output: GuestOutput::Lines(log), ..Sandbox::default() },
            ..FilterOptions::new("filter")
        };
        Self(FilterModule::load(&engine.unwrap(), guest(), options).unwrap())
    }

    /// Calls, 17 bytes each, and whatever else is there, at address 256 of the guest's memory.
    pub(crate) fn check(&self, data: &[u8]) {
        let data = &data[..data.len().min(MOST)];
        let mut filter = self.0.instantiate().unwrap();
        let mut body = Vec::new();
        msgpack::write_map_header(&mut body, 1);
        msgpack::write_str(&mut body, "log");
        msgpack::write_str(&mut body, data);
        let time = Timestamp { sec: 0, nsec: data.len() as u32 };
        let event = Event { time, metadata: Event::NO_METADATA, body: &body };
        if let Err(error) = filter.ask(&Tag::new("fuzz").unwrap(), event) {
            assert!(!error.to_string().is_empty());
        }
        assert!(filter.memory_size() <= LIMIT);
    }
}

/// The guest, with a function of one type around each of the library.
fn guest() -> Vec<u8> {
    let wrap = |(name, params, result): &(&str, &str, &str)| {
        let count = params.split_whitespace().count();
        let arguments: String = (0..count).map(|at| format!("(local.get {at})")).collect();
        let behind = match *result {
            "i32" => "",
            "i64" => "(i32.wrap_i64)",
            _ => "(i32.const 0)",
        };
        format!("(func ${name}_ (type $call) (call ${name} {arguments}) {behind})\n")
    };
    let wrapped: String = functions::FUNCTIONS.iter().map(wrap).collect();
    let names: String =
        functions::FUNCTIONS.iter().map(|(name, ..)| format!(" ${name}_")).collect();
    let text = format!(
        "(module {} {GUEST} {wrapped} (table funcref (elem {names})))",
        functions::imports()
    );
    wat::parse_str(text).unwrap()
}
