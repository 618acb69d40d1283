//! What a guest finds in module `flb`.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flb_runtime::{
    FilterError, FilterOptions, GuestLog, Heard, LogLevel, Meter, Meters, Sandbox, unprovided,
};

use crate::answered::{Fate, ask};
use crate::script::batch;
use crate::{files, options, start_with};

/// A guest that does this with each record, `$rec`, `$body` and its length `$len`; `$to` is a place for 4,096 bytes.
fn guest(imports: &str, code: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module {imports} (memory (export "memory") 2)
          (data (i32.const 16) "masked") (data (i32.const 32) "\00\00\00\00\00\00\f0\3f\00\00\00\00\00\00\00\40")
          (func (export "flb_batch_1"))
          (func $replace (param $rec i32) (param $at i32) (param $len i32)
            (i32.store offset=20 (local.get $rec) (i32.const 3))
            (i32.store offset=24 (local.get $rec) (local.get $at))
            (i32.store offset=28 (local.get $rec) (local.get $len)))
          (func $do (param $rec i32) (param $body i32) (param $len i32) (param $to i32) {code})
          (func (export "filter") (param $batch i32) (result i32) (local $next i32) (local $rec i32)
            (local.set $next (i32.load offset=12 (local.get $batch)))
            (loop $records
              (i32.store offset=12 (local.get $batch) (local.get $next))
              (if (i32.lt_u (local.get $next) (i32.load offset=8 (local.get $batch))) (then
                (local.set $rec (i32.add (i32.load offset=16 (local.get $batch)) (i32.mul (local.get $next) (i32.const 32))))
                (call $do (local.get $rec) (i32.load offset=12 (local.get $rec))
                  (i32.sub (i32.load offset=16 (local.get $rec)) (i32.load offset=12 (local.get $rec)))
                  (i32.add (i32.const 1024) (i32.mul (local.get $next) (i32.const 1024))))
                (local.set $next (i32.add (local.get $next) (i32.const 1)))
                (br $records))))
            (i32.const 0)))"#
    ))
    .unwrap()
}

const SHA256: &str = r#"(import "flb" "sha256" (func $sha256 (param i32 i32 i32)))"#;
const JSON: &str = r#"(import "flb" "json" (func $json (param i32 i32 i32 i32) (result i32)))"#;

/// Gives the text, as the value of key `t`.
fn json_text(room: u32) -> Vec<u8> {
    let code = format!(
        r#"(local $n i32)
        (i32.store (local.get $to) (i32.const 0xd974a181))
        (local.set $n (call $json (local.get $body) (local.get $len) (i32.add (local.get $to) (i32.const 5)) (i32.const {room})))
        (i32.store8 offset=4 (local.get $to) (local.get $n))
        (call $replace (local.get $rec) (local.get $to) (i32.add (local.get $n) (i32.const 5)))"#
    );
    guest(JSON, &code)
}

#[test]
fn the_host_prints_json_as_the_other_abi_gets_it() {
    let body = b"\x83\xa1a\xca\x3f\xc0\0\0\xa1b\x92\x01\xc0\xa1c\xa2\xc3\xb6";
    for (kind, file) in files(&json_text(200)) {
        let fates = ask(&mut start_with(file, options()), &batch(&[(0, body)]));
        let Fate::Became(made) = &fates[0] else { panic!("{kind}: {fates:?}") };
        let text = std::str::from_utf8(&made[0].body[5..]).unwrap();
        assert_eq!(text, r#"{"a":1.5,"b":[1,null],"c":"\u00f6"}"#, "{kind}");
    }
    // Nothing is written where it finds no room, and its length is told all the same.
    let fates = ask(&mut start_with(json_text(5), options()), &batch(&[(0, body)]));
    let Fate::Became(made) = &fates[0] else { panic!("{fates:?}") };
    assert_eq!(made[0].body[5..], [0; 35]);
}

/// What takes the host long in the guest's name: its whole memory, again and again.
#[test]
fn a_deadline_ends_what_the_host_does_for_a_guest() {
    let sha256 = "(call $sha256 (i32.const 0) (i32.const 131072000) (local.get $to))";
    // An array of sixty million zeros.
    let json = r#"
        (i32.store8 (i32.const 131072) (i32.const 0xdd))
        (i32.store (i32.const 131073) (i32.const 0x00879303))
        (drop (call $json (i32.const 131072) (i32.const 60000005) (local.get $to) (i32.const 100)))"#;
    for (import, call) in [(SHA256, sha256), (JSON, json)] {
        let timed = |code: &str, deadline| {
            let code = format!("(drop (memory.grow (i32.const 2000))) {code}");
            let options = FilterOptions { deadline, ..options() };
            let mut instance = start_with(guest(import, &code), options);
            let started = Instant::now();
            let fates = ask(&mut instance, &batch(&[(0, b"\x80")]));
            (fates, started.elapsed())
        };
        let (once, whole) = timed(call, options().deadline);
        assert_eq!(once, [Fate::Kept]);
        let again = format!("(loop $again {call} (br $again))");
        let (ended, took) = timed(&again, Duration::from_millis(20));
        assert!(matches!(ended[0], Fate::Failed(FilterError::Deadline { .. })), "{ended:?}");
        assert!(took < whole, "{took:?}, and one call takes {whole:?}");
    }
}

#[test]
fn what_is_longer_than_a_record_may_be_has_no_json() {
    // A string of 65 MiB, which would be 390 MiB of text, in the host.
    let code = r#"
        (drop (memory.grow (i32.const 1100)))
        (i32.store (i32.const 131072) (i32.const 0x001004db))
        (if (i32.ne (call $json (i32.const 131072) (i32.const 68157445) (local.get $to) (i32.const 100)) (i32.const -1))
          (then unreachable))"#;
    let fates = ask(&mut start_with(guest(JSON, code), options()), &batch(&[(0, b"\x80")]));
    assert_eq!(fates, [Fate::Kept]);
}

#[test]
fn what_is_no_value_has_no_json_and_an_address_outside_is_a_trap() {
    let says_none = |at: &str, len: &str| {
        let code = format!(
            r#"(if (i32.ne (call $json {at} {len} (local.get $to) (i32.const 100)) (i32.const -1)) (then unreachable))"#
        );
        ask(&mut start_with(guest(JSON, &code), options()), &batch(&[(0, b"\x81\x01\x02")]))
    };
    let (body, len) = ("(local.get $body)", "(local.get $len)");
    assert_eq!(says_none(body, "(i32.const 2)"), [Fate::Kept]);
    assert_eq!(says_none(body, "(i32.const 4)"), [Fate::Kept]);
    assert_eq!(says_none(body, "(i32.const 0)"), [Fate::Kept]);
    for (at, len) in
        [("(i32.const -1)", len), (body, "(i32.const -1)"), ("(i32.const 0x300000)", len)]
    {
        let fates = says_none(at, len);
        let Fate::Failed(FilterError::Trap { reason, .. }) = &fates[0] else { panic!("{fates:?}") };
        assert_eq!(reason, "out of bounds memory access", "{at} {len}");
    }
}

#[test]
fn the_host_hashes() {
    let code = r#"(i32.store (local.get $to) (i32.const 0xc474a181))
        (i32.store8 offset=4 (local.get $to) (i32.const 32))
        (call $sha256 (local.get $body) (local.get $len) (i32.add (local.get $to) (i32.const 5)))
        (call $replace (local.get $rec) (local.get $to) (i32.const 37))"#;
    let body = b"\x81\x01\x02";
    let expected = flb_artifact::Sha256Hex::of(&[body]).0;
    for (kind, file) in files(&guest(SHA256, code)) {
        let fates = ask(&mut start_with(file, options()), &batch(&[(0, body)]));
        let Fate::Became(made) = &fates[0] else { panic!("{kind}: {fates:?}") };
        assert_eq!(made[0].body[5..], expected, "{kind}");
    }
}

#[test]
fn a_guest_speaks_to_the_log() {
    let log = r#"(import "flb" "log" (func $log (param i32 i32 i32)))"#;
    let code = "(call $log (i32.load offset=4 (local.get $rec)) (i32.const 16) (i32.const 6))";
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let log_to = GuestLog::new(u32::MAX, move |heard| {
        if let Heard::Said { level, text } = heard {
            sink.lock().unwrap().push((level, text.to_vec()));
        }
    });
    let sandbox = Sandbox { log: Some(log_to), ..Sandbox::default() };
    let mut instance = start_with(guest(log, code), FilterOptions { sandbox, ..options() });
    let records: Vec<(u32, &[u8])> = (0..7).map(|level| (level, &[0x80][..])).collect();
    ask(&mut instance, &batch(&records));
    let levels: Vec<LogLevel> = told.lock().unwrap().iter().map(|(level, _)| *level).collect();
    let info = LogLevel::Info;
    let [error, warn, debug, trace] =
        [LogLevel::Error, LogLevel::Warn, LogLevel::Debug, LogLevel::Trace];
    assert_eq!(levels, [info, error, warn, info, debug, trace, info]);
    assert!(told.lock().unwrap().iter().all(|(_, text)| text == b"masked"));
}

/// Writes down what is counted.
#[derive(Debug, Default)]
struct Written(Arc<Mutex<Vec<String>>>);

struct Line(String, Arc<Mutex<Vec<String>>>);

impl<T: std::fmt::Display> Meter<T> for Line {
    fn count(&self, value: T) {
        self.1.lock().unwrap().push(format!("{} {value}", self.0));
    }
}

impl Meters for Written {
    fn counter(&self, name: &str) -> Option<Arc<dyn Meter<u64>>> {
        Some(Arc::new(Line(name.to_owned(), Arc::clone(&self.0))))
    }

    fn histogram(&self, name: &str, bounds: &[f64]) -> Option<Arc<dyn Meter<f64>>> {
        Some(Arc::new(Line(format!("{name} {bounds:?}"), Arc::clone(&self.0))))
    }
}

#[test]
fn a_guest_counts() {
    let imports = r#"(import "flb" "counter" (func $counter (param i32 i32) (result i32)))
        (import "flb" "add" (func $add (param i32 i64)))
        (import "flb" "histogram" (func $histogram (param i32 i32 i32 i32) (result i32)))
        (import "flb" "observe" (func $observe (param i32 f64)))"#;
    let code = r#"(call $add (call $counter (i32.const 16) (i32.const 6)) (i64.const 3))
        (call $add (call $counter (i32.const 16) (i32.const 0)) (i64.const 4))
        (call $add (i32.const 99) (i64.const 5))
        (call $observe (call $histogram (i32.const 16) (i32.const 4) (i32.const 32) (i32.const 2)) (f64.const 1.5))
        (call $observe (call $histogram (i32.const 16) (i32.const 5) (i32.const 32) (i32.const 0)) (f64.const 2.5))
        (call $observe (call $histogram (i32.const 16) (i32.const 5) (i32.const 32) (i32.const 3)) (f64.const 2.5))
        (call $observe (i32.const 0) (f64.const nan))"#;
    let written = Written::default();
    let lines = Arc::clone(&written.0);
    let sandbox = Sandbox { meters: Some(Arc::new(written)), ..Sandbox::default() };
    let mut instance = start_with(guest(imports, code), FilterOptions { sandbox, ..options() });
    ask(&mut instance, &batch(&[(0, &[0x80][..]); 2]));
    let once = ["masked 3", "mask [1.0, 2.0] 1.5"];
    assert_eq!(*lines.lock().unwrap(), [once, once].concat());
    // Without anybody who counts, nothing is counted.
    let mut instance = start_with(guest(imports, code), options());
    assert_eq!(ask(&mut instance, &batch(&[(0, &[0x80])])), [Fate::Kept]);
}

/// One that names a counter after each record, and starts afresh behind it.
#[test]
fn a_filter_s_guests_have_a_hundred_counters_together() {
    let imports = r#"(import "flb" "counter" (func $counter (param i32 i32) (result i32)))
        (import "flb" "add" (func $add (param i32 i64)))"#;
    let code = r#"(call $add (call $counter (i32.add (local.get $body) (i32.const 2)) (i32.const 4)) (i64.const 1))
        unreachable"#;
    let written = Written::default();
    let lines = Arc::clone(&written.0);
    let sandbox = Sandbox { meters: Some(Arc::new(written)), ..Sandbox::default() };
    let mut instance = start_with(guest(imports, code), FilterOptions { sandbox, ..options() });
    let body = |number: u32| [b"\x81\xa4n", format!("{number:03}").as_bytes(), b"\x01"].concat();
    let bodies: Vec<Vec<u8>> = (0..120).chain([0]).map(body).collect();
    let records: Vec<(u32, &[u8])> = bodies.iter().map(|body| (0, body.as_slice())).collect();
    ask(&mut instance, &batch(&records));
    let lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 101, "{lines:?}");
    assert_eq!(lines[99..], ["n099 1", "n000 1"]);
}

#[test]
fn what_nobody_provides_is_known_by_name_and_type() {
    let known = ["json", "sha256", "log", "counter", "add", "histogram", "observe"];
    let imports = known.iter().map(|name| ("flb", *name));
    assert_eq!(unprovided(imports).unwrap(), Vec::<String>::new());
    assert_eq!(unprovided([("flb", "regex"), ("env", "json")]).unwrap(), ["flb.regex", "env.json"]);
    // One of another type is nobody's, and traps when it is called.
    let other = r#"(import "flb" "sha256" (func $other (param i32)))"#;
    let mut instance = start_with(guest(other, "(call $other (i32.const 0))"), options());
    let fates = ask(&mut instance, &batch(&[(0, &[0x80])]));
    let Fate::Failed(error) = &fates[0] else { panic!("{fates:?}") };
    assert!(error.to_string().contains("(flb, sha256)"), "{error}");
}
