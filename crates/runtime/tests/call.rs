//! What filters answer and what becomes of it: a module as text, a record as JSON, the verdict as text.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

use flb_event::{ChunkBuilder, Event, Tag, Timestamp, Verdict, json};
use flb_runtime::{
    Abi, Answers, EngineOptions, EventFormat, FilterEngine, FilterError, FilterInstance,
    FilterModule, FilterOptions, Part, Recycle, Sandbox,
};

/// Data at address 16 and a function `f` with the given body.
fn module(data: &str, body: &str) -> String {
    format!(
        r#"(module (memory (export "memory") 1) (data (i32.const 16) "{data}")
            (func $decide (export "f") (param $tag i32) (param $tag_len i32) (param $sec i32) (param $nsec i32)
                (param $record i32) (param $record_len i32) (result i32) {body}))"#
    )
}

fn options() -> FilterOptions {
    FilterOptions { deadline: std::time::Duration::from_millis(200), ..FilterOptions::new("f") }
}

fn load(text: &str, options: FilterOptions) -> Result<FilterInstance, flb_runtime::LoadError> {
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    let wasm = wat::parse_str(text).unwrap();
    FilterModule::load(&engine, wasm, options)?.instantiate()
}

fn body(text: &str) -> Vec<u8> {
    let mut body = Vec::new();
    json::parse_object(text.as_bytes(), &mut body).unwrap();
    body
}

fn text(body: &[u8]) -> String {
    let mut text = Vec::new();
    json::write(body, &mut text, json::JsonOptions::default()).unwrap();
    String::from_utf8(text).unwrap()
}

/// Calls the filter and shows the verdict.
fn ask(instance: &mut FilterInstance, record: &str) -> String {
    let body = body(record);
    let time = Timestamp { sec: 1_700_000_000, nsec: 123_456_789 };
    let event = Event { time, metadata: Event::NO_METADATA, body: &body };
    match instance.ask(&Tag::new("dummy.local").unwrap(), event) {
        Ok(bodies) if bodies.is_empty() => "drop".to_owned(),
        Ok(bodies) => bodies.iter().map(|body| text(body)).collect::<Vec<_>>().join(" | "),
        Err(error) => format!("error: {error}"),
    }
}

fn check(data: &str, code: &str, record: &str, expected: &str) {
    let mut instance = load(&module(data, code), options()).unwrap();
    assert_eq!(ask(&mut instance, record), expected);
}

fn check_msgpack(data: &str, code: &str, record: &str, expected: &str) {
    let options = FilterOptions { format: EventFormat::Msgpack, ..options() };
    let mut instance = load(&module(data, code), options).unwrap();
    assert_eq!(ask(&mut instance, record), expected);
}

#[test]
fn an_object_replaces_the_body() {
    check(r#"{\"x\":[1,2.5]}\00"#, "(i32.const 16)", "{}", r#"{"x":[1,2.5]}"#);
    check("", "(local.get $record)", r#"{"a":"b"}"#, r#"{"a":"b"}"#);
}

#[test]
fn an_array_of_objects_becomes_as_many_records() {
    check(
        r#"[{\"a\":1},{},{\"b\":[2]}]\00"#,
        "(i32.const 16)",
        "{}",
        r#"{"a":1} | {} | {"b":[2]}"#,
    );
    check(r#" [ {\"a\":1} ] \00"#, "(i32.const 16)", "{}", r#"{"a":1}"#);
    check(r"[]\00", "(i32.const 16)", "{}", "drop");
    check_msgpack(r"\92\81\a1a\00\80", "(i32.const 16)", "{}", r#"{"a":0} | {}"#);
    check_msgpack(r"\dc\00\01\81\a1a\00junk", "(i32.const 16)", "{}", r#"{"a":0}"#);
    check_msgpack(r"\90", "(i32.const 16)", "{}", "drop");
    let none = "error: invalid msgpack: element 1 of the array is no map";
    check_msgpack(r"\92\80\05", "(i32.const 16)", "{}", none);
}

#[test]
fn an_answer_has_bounds() {
    let array = |records: u32| {
        let [_, a, b, c] = records.to_be_bytes();
        let code =
            r"(memory.fill (i32.const 21) (i32.const 0x80) (i32.const 65537)) (i32.const 16)";
        let text = module(&format!("\\dd\\00\\{a:02x}\\{b:02x}\\{c:02x}"), code)
            .replace(r#"(export "memory") 1"#, r#"(export "memory") 2"#);
        let options = FilterOptions { format: EventFormat::Msgpack, ..options() };
        ask(&mut load(&text, options).unwrap(), "{}")
    };
    assert_eq!(array(65_536).split(" | ").count(), 65_536);
    assert_eq!(array(65_537), "error: the answer has more than 65536 records");
    let endless =
        r"(memory.fill (i32.const 17) (i32.const 0x20) (i32.const 0x4100000)) (i32.const 16)";
    let text = module("{", endless).replace(r#"(export "memory") 1"#, r#"(export "memory") 1100"#);
    let options = FilterOptions { deadline: std::time::Duration::from_secs(20), ..options() };
    let shown = ask(&mut load(&text, options).unwrap(), "{}");
    assert_eq!(shown, "error: the answer does not end within 64 MiB");
}

/// A function of ABI version 2 with the given answer: its bytes at address 16, and the length that it says.
fn check_sized(format: EventFormat, data: &str, length: u32, expected: &str) {
    let body = format!("(i64.or (i64.shl (i64.const {length}) (i64.const 32)) (i64.const 16))");
    let text = module(data, &body).replace("(result i32) (i64.or", "(result i64) (i64.or");
    for abi in [None, Some(Abi::Two)] {
        let mut instance = load(&text, FilterOptions { format, abi, ..options() }).unwrap();
        assert_eq!(ask(&mut instance, "{}"), expected, "{data}");
        assert!(!instance.answer_was_unterminated());
    }
}

#[test]
fn an_answer_with_its_length_needs_no_end() {
    let json = EventFormat::Json { escape_unicode: true };
    check_sized(json, r#"{\"a\":1}{\"b\":2}"#, 7, r#"{"a":1}"#);
    check_sized(json, r#"{\"a\":1}\00"#, 8, r#"{"a":1}"#);
    check_sized(json, r#"[{\"a\":1},{}]junk"#, 12, r#"{"a":1} | {}"#);
    check_sized(json, r#"{\"a\":1}"#, 0, "drop");
    check_sized(json, r"\00", 1, "drop");
    let bad = "error: invalid JSON format: ";
    let cut = format!("{bad}end of the text at byte 6, buf: {{\"a\":1");
    let mut cut_off = load(
        &module(r#"{\"a\":1}"#, "(i64.const 0x600000010)")
            .replace("(result i32) (i64", "(result i64) (i64"),
        options(),
    )
    .unwrap();
    assert!(ask(&mut cut_off, "{}").starts_with(bad), "{cut}");
    check_sized(EventFormat::Msgpack, r"\81\a1a\00junk", 4, r#"{"a":0}"#);
    check_sized(EventFormat::Msgpack, r"\81\a1a\00", 0, "drop");
    let truncated = load(
        &module(r"\81\a1a\00", "(i64.const 0x300000010)")
            .replace("(result i32) (i64", "(result i64) (i64"),
        FilterOptions { format: EventFormat::Msgpack, ..options() },
    );
    assert!(ask(&mut truncated.unwrap(), "{}").starts_with("error: invalid msgpack: "));
}

#[test]
fn an_answer_with_its_length_lies_within_the_memory_and_the_bounds() {
    let check = |value: u64, expected: &str| {
        let text = module("{}", &format!("(i64.const {value})"))
            .replace("(result i32) (i64", "(result i64) (i64");
        let shown = ask(&mut load(&text, options()).unwrap(), "{}");
        assert!(shown.starts_with(expected), "{value:#x}: {shown}");
    };
    check(0, "drop");
    check(5 << 32, "drop");
    check((u64::from(u32::MAX) << 32) | 16, "error: the answer does not end within 64 MiB");
    check(
        5 << 32 | 0xffff_ffff,
        "error: returned value is invalid: 0xffffffff is outside the memory",
    );
    check(
        (5 << 32) | ((1 << 16) - 2),
        "error: returned value is invalid: 5 bytes at 0xfffe reach beyond the memory",
    );
}

#[test]
fn the_function_s_type_and_the_version_that_is_asked_for_agree() {
    let check = |result: &str, abi: Option<Abi>, expected: Option<&str>| {
        let text = module("", &format!("({result}.const 0)"))
            .replace("(result i32)", &format!("(result {result})"));
        let loaded = load(&text, FilterOptions { abi, ..options() });
        assert_eq!(loaded.err().map(|error| error.to_string()).as_deref(), expected);
    };
    check("i32", None, None);
    check("i32", Some(Abi::One), None);
    check("i64", None, None);
    check("i64", Some(Abi::Two), None);
    check(
        "i32",
        Some(Abi::Two),
        Some(
            "the function 'f' returns as ABI version 1 does, (i32, i32, i32, i32, i32, i32) -> (i32), and ABI_Version \
             says 2; help: leave ABI_Version out: the function's type says it",
        ),
    );
}

/// Counts what its `malloc` gave and was not given back; the answer, allocated anew, says how many there were before.
const FREES: &str = r#"(module (memory (export "memory") 1 2)
    (global $next (mut i32) (i32.const 1024)) (global $held (mut i32) (i32.const 0))
    (func $malloc (export "malloc") (param i32) (result i32)
        (global.set $held (i32.add (global.get $held) (i32.const 1)))
        (global.set $next (i32.and (i32.const 0xffff) (i32.add (global.get $next) (i32.const 16))))
        (global.get $next))
    (func (export "free") (param i32)
        (global.set $held (i32.sub (global.get $held) (i32.const 1))))
    (func (export "flb_free_result") (param i32)
        (global.set $held (i32.sub (global.get $held) (i32.const 1))))
    (func (export "f") (param i32 i32 i32 i32) (param $record i32) (param i32) (result i32) (local $answer i32)
        (local.set $answer (call $malloc (i32.const 8)))
        (i64.store (local.get $answer) (i64.const 0x7d303a226e227b))
        (i32.store8 offset=5 (local.get $answer) (i32.add (i32.const 48) (global.get $held)))
        (local.get $answer)))"#;

#[test]
fn an_answer_is_freed_by_the_module_that_says_so() {
    let all = |text: &str| {
        let mut instance = load(text, options()).unwrap();
        (0..3).map(|_| ask(&mut instance, "{}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(all(FREES), r#"{"n":3} {"n":3} {"n":3}"#);
    let silent = FREES.replace("flb_free_result", "other");
    assert_eq!(all(&silent), r#"{"n":3} {"n":4} {"n":5}"#);
}

#[test]
fn an_answer_within_the_arguments_is_freed_once() {
    // Traps unless two are held: the arguments.
    let own = FREES.replace(
        "(local.set $answer (call $malloc",
        "(if (i32.ne (global.get $held) (i32.const 2)) (then unreachable))
         (return (i32.add (local.get $record) (i32.const 1)))
         (local.set $answer (call $malloc",
    );
    let mut instance = load(&own, options()).unwrap();
    for _ in 0..3 {
        // The text behind the record's first brace is no JSON; what counts is that nothing is freed twice.
        assert!(ask(&mut instance, r#"{"a":1}"#).starts_with("error: invalid JSON format"));
    }
}

#[test]
fn a_function_that_frees_answers_must_have_the_type() {
    let text = module("", "(i32.const 0)").replacen(
        "(module",
        r#"(module (func (export "flb_free_result") (param i64))"#,
        1,
    );
    check_refused(
        &text,
        "the function 'flb_free_result' has the type (i64) -> (), it must have (i32) -> ()",
    );
}

#[test]
fn a_guest_is_recycled_between_records() {
    let code = r"
        (i32.store8 (i32.const 21) (i32.add (i32.load8_u (i32.const 21)) (i32.const 1)))
        (drop (memory.grow (i32.const 1)))
        (i32.const 16)";
    let text = module(r#"{\"n\":0}\00"#, code);
    let numbers = |recycle: Recycle| {
        let mut instance = load(&text, FilterOptions { recycle, ..options() }).unwrap();
        let shown: Vec<String> = (0..5).map(|_| ask(&mut instance, "{}")).collect();
        (shown.join("").replace(r#"{"n":"#, "").replace('}', ""), instance.recycled())
    };
    assert_eq!(numbers(Recycle::default()), ("12345".to_owned(), 0));
    assert_eq!(numbers(Recycle { calls: Some(2), memory: None }), ("12121".to_owned(), 2));
    // It starts with one page and takes one more each time.
    assert_eq!(numbers(Recycle { calls: None, memory: Some(3 << 16) }), ("12312".to_owned(), 1));
}

#[test]
fn a_guest_that_has_filled_its_memory_starts_afresh() {
    // A malloc that gives and never takes.
    let text = r#"(module (memory (export "memory") 1 1) (global $next (mut i32) (i32.const 1024))
        (func (export "malloc") (param i32) (result i32)
            (if (i32.gt_u (i32.add (global.get $next) (local.get 0)) (i32.const 40000)) (then (return (i32.const 0))))
            (global.get $next) (global.set $next (i32.add (global.get $next) (local.get 0))))
        (func (export "free") (param i32))
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (local.get 4)))"#;
    let mut instance = load(text, options()).unwrap();
    let record = format!(r#"{{"text":"{}"}}"#, "x".repeat(30_000));
    for _ in 0..3 {
        assert_eq!(ask(&mut instance, &record), record);
        assert_eq!(
            ask(&mut instance, &record),
            "error: the guest's malloc has no 30012 bytes left"
        );
    }
}

#[test]
fn all_memories_and_tables_of_a_guest_are_bounded_together() {
    // Grows memories and tables until refused; the answer is how often.
    let text = r#"(module (memory $a 1) (memory $b 0) (memory $c 0) (table $t 1 funcref) (table $u 1 funcref)
        (data (memory $a) (i32.const 16) "{\"n\":0}\00")
        (func $count (i32.store8 $a (i32.const 21)
            (i32.add (i32.load8_u $a (i32.const 21)) (i32.const 1))))
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
            (loop $more (if (i32.ne (memory.grow $b (i32.const 128)) (i32.const -1)) (then (call $count) (br $more))))
            (loop $more (if (i32.ne (memory.grow $c (i32.const 128)) (i32.const -1)) (then (call $count) (br $more))))
            (loop $more (if (i32.ne (table.grow $t (ref.null func) (i32.const 500000)) (i32.const -1))
                (then (call $count) (br $more))))
            (loop $more (if (i32.ne (table.grow $u (ref.null func) (i32.const 500000)) (i32.const -1))
                (then (call $count) (br $more))))
            (i32.const 16)))"#;
    // Four times 8 MiB of memory beside the page that is there, two times half a million elements.
    let limited = FilterOptions { memory_limit: (32 << 20) + (1 << 16), ..options() };
    assert_eq!(ask(&mut load(text, limited).unwrap(), "{}"), r#"{"n":6}"#);
}

#[test]
fn null_and_an_empty_answer_drop_the_record() {
    check("", "(i32.const 0)", "{}", "drop");
    check(r"\00", "(i32.const 16)", "{}", "drop");
}

#[test]
fn the_arguments_are_tag_time_and_record() {
    // Traps unless every argument is as documented.
    let code = r"
        (if (i32.ne (local.get $tag_len) (i32.const 11)) (then unreachable))
        (if (i32.ne (i32.load8_u (local.get $tag)) (i32.const 100)) (then unreachable))
        (if (i32.load8_u offset=11 (local.get $tag)) (then unreachable))
        (if (i32.ne (local.get $sec) (i32.const 1700000000)) (then unreachable))
        (if (i32.ne (local.get $nsec) (i32.const 123456789)) (then unreachable))
        (if (i32.ne (local.get $record_len) (i32.const 7)) (then unreachable))
        (if (i32.load8_u offset=7 (local.get $record)) (then unreachable))
        (local.get $record)";
    check("", code, r#"{"a":1}"#, r#"{"a":1}"#);
}

#[test]
fn an_answer_ends_at_its_nul_or_with_its_first_value() {
    check(r#"{\"a\":1} trailing\00"#, "(i32.const 16)", "{}", r#"{"a":1}"#);
    // The last bytes of the whole memory.
    let at_end = r"(i32.store offset=0 (i32.const 65528) (i32.const 0x2261227b))
        (i32.store offset=4 (i32.const 65528) (i32.const 0x7d31203a)) (i32.const 65528)";
    check("", at_end, "{}", r#"{"a":1}"#);
}

#[test]
fn answers_that_are_no_object_are_bad_output() {
    for (answer, start) in [
        (
            r"[1,2]\00",
            "error: invalid JSON format: element 0 of the array is no object, buf: [1,2]",
        ),
        (r"[{},[]]\00", "error: invalid JSON format: element 1 of the array is no object, buf:"),
        (r"hello\00", "error: invalid JSON format:"),
        (r#"{\"a\":\00"#, "error: invalid JSON format:"),
        (r"42\00", "error: invalid JSON format:"),
    ] {
        let mut instance = load(&module(answer, "(i32.const 16)"), options()).unwrap();
        let shown = ask(&mut instance, "{}");
        assert!(shown.starts_with(start), "{answer}: {shown}");
    }
}

#[test]
fn a_pointer_outside_the_memory_is_bad_output() {
    check(
        "",
        "(i32.const -1)",
        "{}",
        "error: returned value is invalid: 0xffffffff is outside the memory",
    );
    check(
        "",
        "(i32.const 335544320)",
        "{}",
        "error: returned value is invalid: 0x14000000 is outside the memory",
    );
}

#[test]
fn msgpack_ends_by_its_own_structure() {
    check_msgpack(
        "",
        "(local.get $record)",
        r#"{"zero":0,"f":0.5,"n":"a\u0000b"}"#,
        r#"{"zero":0,"f":0.5,"n":"a\u0000b"}"#,
    );
    check_msgpack(r"\81\a1a\00junk", "(i32.const 16)", "{}", r#"{"a":0}"#);
    check_msgpack("", "(i32.const 0)", "{}", "drop");
    let mut instance = load(
        &module(r"\93\01\02\03", "(i32.const 16)"),
        FilterOptions { format: EventFormat::Msgpack, ..options() },
    )
    .unwrap();
    assert!(ask(&mut instance, "{}").starts_with("error: invalid msgpack:"));
}

#[test]
fn a_trap_is_named_and_the_guest_starts_afresh() {
    // Counts its calls in memory; traps on every second one.
    let code = r"
        (i32.store8 (i32.const 21) (i32.add (i32.load8_u (i32.const 21)) (i32.const 1)))
        (if (i32.eq (i32.load8_u (i32.const 21)) (i32.const 50)) (then unreachable))
        (i32.const 16)";
    let mut instance = load(&module(r#"{\"n\":0}\00"#, code), options()).unwrap();
    assert_eq!(ask(&mut instance, "{}"), r#"{"n":1}"#);
    assert_eq!(ask(&mut instance, "{}"), "error: Exception: unreachable (in decide)");
    assert_eq!(ask(&mut instance, "{}"), r#"{"n":1}"#);
}

#[test]
fn a_call_that_takes_too_long_is_ended() {
    check(
        "",
        "(loop (br 0)) unreachable",
        "{}",
        "error: the first call took longer than its deadline of 200 ms (in decide); help: if it loads something first, raise \
         Start_Deadline",
    );
}

#[test]
fn a_guest_that_recurses_for_ever_is_ended() {
    let text = r#"(module (memory 1)
        (func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (call $deep (i32.const 0))))"#;
    let mut instance = load(text, options()).unwrap();
    let shown = ask(&mut instance, "{}");
    assert!(shown.starts_with("error: Exception: wasm operand stack overflow"), "{shown}");
}

#[test]
fn the_guest_sees_its_own_memory_size_and_grows_to_its_limit() {
    // Grows by one page until refused; the answer's digit is how often.
    let code = r"
        (loop $more
            (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1))
                (then (i32.store8 (i32.const 21) (i32.add (i32.load8_u (i32.const 21)) (i32.const 1)))
                    (br $more))))
        (if (i32.ne (memory.size) (i32.const 4)) (then unreachable))
        (i32.const 16)";
    let text = module(r#"{\"n\":0}\00"#, code);
    let limited = FilterOptions { memory_limit: 4 << 16, ..options() };
    assert_eq!(ask(&mut load(&text, limited).unwrap(), "{}"), r#"{"n":3}"#);
    let declared = text.replace(r#"(memory (export "memory") 1)"#, "(memory 1 4)");
    assert_eq!(ask(&mut load(&declared, options()).unwrap(), "{}"), r#"{"n":3}"#);
}

#[test]
fn records_stay_whole_while_the_guest_fills_all_memory_it_can_get() {
    // Takes every page it can get and overwrites it, then returns the record.
    let code = r"
        (local $page i32)
        (loop $more
            (local.set $page (memory.grow (i32.const 1)))
            (if (i32.ne (local.get $page) (i32.const -1))
                (then
                    (memory.fill (i32.mul (local.get $page) (i32.const 65536)) (i32.const 0x5a) (i32.const 65536))
                    (br $more))))
        (local.get $record)";
    let options = FilterOptions {
        memory_limit: 64 << 20,
        deadline: std::time::Duration::from_secs(20),
        ..options()
    };
    let mut instance = load(&module("", code), options).unwrap();
    let record = format!(r#"{{"text":"{}"}}"#, "x".repeat(20_000));
    for _ in 0..3 {
        assert_eq!(ask(&mut instance, &record), record);
    }
}

#[test]
fn a_record_of_sixteen_megabytes_passes() {
    let mut instance = load(&module("", "(local.get $record)"), options()).unwrap();
    let record = format!(r#"{{"text":"{}"}}"#, "x".repeat(16 << 20));
    assert!(ask(&mut instance, &record) == record);
}

#[test]
fn a_module_with_malloc_and_free_gets_its_arguments_through_them() {
    // A bump allocator that counts what is allocated and not freed; the answer traps when anything leaks.
    let text = r#"(module (memory (export "memory") 1 2)
        (global $next (mut i32) (i32.const 1024)) (global $held (mut i32) (i32.const 0))
        (func (export "malloc") (param i32) (result i32)
            (if (i32.gt_u (local.get 0) (i32.const 60000)) (then (return (i32.const 0))))
            (global.set $held (i32.add (global.get $held) (i32.const 1)))
            (global.get $next)
            (global.set $next (i32.and (i32.const 0xffff) (i32.add (global.get $next) (local.get 0)))))
        (func (export "free") (param i32)
            (global.set $held (i32.sub (global.get $held) (i32.const 1))))
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32)
            (if (i32.ne (global.get $held) (i32.const 2)) (then unreachable))
            (local.get 4)))"#;
    let mut instance = load(text, options()).unwrap();
    for _ in 0..100 {
        assert_eq!(ask(&mut instance, r#"{"a":1}"#), r#"{"a":1}"#);
    }
    let large = format!(r#"{{"text":"{}"}}"#, "x".repeat(70_000));
    assert_eq!(ask(&mut instance, &large), "error: the guest's malloc has no 70012 bytes left");
    assert_eq!(ask(&mut instance, r#"{"a":1}"#), r#"{"a":1}"#, "something was left behind");
}

#[test]
fn constructors_run_before_the_first_call() {
    for name in ["_initialize", "__wasm_call_ctors"] {
        let text = format!(
            r#"(module (memory 1) (data (i32.const 16) "{{\"n\":0}}\00")
            (func (export "{name}") (i32.store8 (i32.const 21) (i32.const 55)))
            (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 16)))"#
        );
        assert_eq!(ask(&mut load(&text, options()).unwrap(), "{}"), r#"{"n":7}"#);
    }
}

fn check_refused(text: &str, expected: &str) {
    let error = load(text, options()).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_wrong_function_is_refused_at_load() {
    check_refused(
        &module("", "(i32.const 0)").replace(r#""f""#, r#""F""#),
        "the function 'f' is not exported; exported functions: F; help: did you mean 'F'?",
    );
    check_refused(
        r#"(module (memory 1) (func (export "f") (param i32) (result i64) i64.const 0))"#,
        "the function 'f' has the type (i32) -> (i64), a filter has (i32, i32, i32, i32, i32, i32) -> (i32)",
    );
}

#[test]
fn a_guest_that_fails_at_start_is_refused() {
    check_refused(
        &module("", "(i32.const 0)").replacen(
            "(module",
            "(module (start $s) (func $s unreachable)",
            1,
        ),
        "Instantiate wasm module failed. error: unreachable",
    );
    check_refused(
        &module("", "(i32.const 0)").replacen(
            "(module",
            "(module (start $s) (func $s (loop (br 0)))",
            1,
        ),
        "took longer than its deadline",
    );
}

#[test]
fn an_unknown_import_traps_only_when_called() {
    let text = r#"(module (import "env" "there" (func $there)) (memory 1)
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) CALL (local.get 4)))"#;
    let mut idle = load(&text.replace("CALL", ""), options()).unwrap();
    assert_eq!(idle.module().unknown_imports(), ["env.there"]);
    assert_eq!(ask(&mut idle, "{}"), "{}");
    let mut calling = load(&text.replace("CALL", "(call $there)"), options()).unwrap();
    let shown = ask(&mut calling, "{}");
    assert!(shown.contains("failed to call unlinked import function (env, there)"), "{shown}");
}

#[test]
fn a_directory_that_is_missing_is_named() {
    let text = r#"(module (import "wasi_snapshot_preview1" "sched_yield" (func (result i32))) (memory 1)
        (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) i32.const 0))"#;
    let sandbox = Sandbox { directories: vec!["/no/such/place".into()], ..Sandbox::default() };
    let options = FilterOptions { sandbox, ..options() };
    let error = load(text, options).unwrap_err().to_string();
    assert!(error.contains("error while pre-opening directory /no/such/place"), "{error}");
}

#[test]
fn what_is_no_module_is_refused_by_content() {
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    for (bytes, expected) in [
        (&b""[..], "it is empty"),
        (b"\0aot\x05\0\0\0", "an artifact of WAMR's compiler"),
        (b"hello", "WASM bytecode or AOT object is expected but other file format"),
        (b"\0asm\x01\0\0\0\x01", "WASM module load failed: unexpected end"),
        (b"\0asm\x01\0\0\0", "exports no function"),
        (b"\x7fELF\0", "an ELF file"),
    ] {
        let error = FilterModule::load(&engine, bytes.to_vec(), options()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// What a batch was answered, as it came.
#[derive(Default)]
struct Answered(Vec<String>);

impl Answers for Answered {
    fn keep(&mut self, records: usize) {
        self.0.push(format!("{records} pass"));
    }

    fn decide(&mut self, event: Event<'_>, verdict: Verdict<'_>) {
        let bodies: Vec<String> = verdict.bodies(event.body).map(text).collect();
        self.0.push(format!("{}: {}", event.time.sec, bodies.join(" | ")));
    }

    fn split(&mut self, event: Event<'_>, parts: &[Part<'_>]) {
        let bodies: Vec<String> = parts.iter().map(|part| text(part.event.body)).collect();
        self.0.push(format!("{}: {}", event.time.sec, bodies.join(" | ")));
    }

    fn fail(&mut self, event: Event<'_>, error: FilterError) {
        self.0.push(format!("{}: {error}", event.time.sec));
    }
}

#[test]
fn a_batch_is_answered_in_its_order_and_a_failure_costs_its_own_record() {
    // Counts its calls in its answer, drops what comes at 2, and traps at 4.
    let code = r#"(i32.store8 (i32.const 21) (i32.add (i32.load8_u (i32.const 21)) (i32.const 1)))
        (if (i32.eq (local.get $sec) (i32.const 2)) (then (return (i32.const 0))))
        (if (i32.eq (local.get $sec) (i32.const 4)) (then unreachable))
        (i32.const 16)"#;
    let mut instance = load(&module(r#"{\22n\22:0}\00"#, code), options()).unwrap();
    let mut batch = ChunkBuilder::new(Tag::new("t").unwrap());
    for sec in 1..=5 {
        let time = Timestamp { sec, nsec: 0 };
        batch.push(Event { time, metadata: Event::NO_METADATA, body: &[0x80] }).unwrap();
    }
    let mut answered = Answered::default();
    instance.filter(&batch.build(), &mut answered);
    let expected = [
        r#"1: {"n":1}"#,
        "2: ",
        r#"3: {"n":3}"#,
        "4: Exception: unreachable (in decide)",
        r#"5: {"n":1}"#,
    ];
    assert_eq!(answered.0, expected);
}
