//! The C library for modules that import it: an expression as text, data in memory, the number that comes of it.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

#[path = "oracle/functions.rs"]
mod library;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use flb_artifact::{Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use flb_event::{Event, Tag, Timestamp, json};
use flb_runtime::{
    EngineOptions, FilterEngine, FilterInstance, FilterModule, FilterOptions, GuestLog,
    GuestOutput, Heard, Recycle, Sandbox,
};

fn load(text: &str, options: FilterOptions) -> FilterInstance {
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    FilterModule::load(&engine, parse(text), options).unwrap().instantiate().unwrap()
}

fn parse(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"))
}

/// The filter in native code, and in portable code.
fn both(text: &str) -> [FilterInstance; 2] {
    let compiler = Compiler::new(CompileOptions {
        targets: vec![Target::parse("portable", None, None).unwrap()],
        levels: Levels { opt_level: 2, size_level: 2 },
        embed_wasm: false,
        producer: "test".to_owned(),
        jobs: 1,
    });
    let portable = compiler.compile(&parse(text)).unwrap();
    let engine = FilterEngine::new(EngineOptions::default()).unwrap();
    let portable = FilterModule::load(&engine, portable, options()).unwrap();
    [load(text, options()), portable.instantiate().unwrap()]
}

/// Calls the filter with a number, which it gets as the time; shows the verdict.
fn ask(instance: &mut FilterInstance, sec: u32) -> String {
    let mut body = Vec::new();
    json::parse_object(br#"{"message":"hello"}"#, &mut body).unwrap();
    let time = Timestamp { sec, nsec: 5 };
    let event = Event { time, metadata: Event::NO_METADATA, body: &body };
    match instance.ask(&Tag::new("dummy.local").unwrap(), event) {
        Ok(bodies) => {
            let mut text = Vec::new();
            json::write(&bodies.concat(), &mut text, json::JsonOptions::default()).unwrap();
            String::from_utf8(text).unwrap()
        }
        Err(error) => format!("error: {error}"),
    }
}

fn options() -> FilterOptions {
    FilterOptions { deadline: Duration::from_secs(20), ..FilterOptions::new("filter") }
}

/// A module with a case for each expression; the answer to the time `n` is what the `n`th comes to.
fn cases<'a>(data: &str, more: &str, codes: impl Iterator<Item = &'a str> + Clone) -> String {
    let functions: String =
        codes.clone().map(|code| format!("(func (type $case) {code})\n")).collect();
    let first = library::FUNCTIONS.len();
    let elements: String = (first..first + codes.count()).map(|at| format!(" {at}")).collect();
    format!(
        r#"(module {imports} {more} (type $case (func (result i32)))
            (memory (export "memory") 2)
            (data (i32.const 16) "{data}") (data (i32.const 0x8200) "{{\"r\":%d}}\00")
            {functions}
            (table funcref (elem {elements}))
            (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
                (i32.store (i32.const 0x8000) (call_indirect (type $case) (local.get 2)))
                (drop (call $sprintf (i32.const 0x8100) (i32.const 0x8200) (i32.const 0x8000)))
                (i32.const 0x8100)))"#,
        imports = library::imports(),
    )
}

/// Data at address 16; expressions, and what they come to.
fn check(data: &str, expected: &[(&str, i32)]) {
    let text = cases(data, "", expected.iter().map(|(code, _)| *code));
    for mut instance in both(&text) {
        for (index, (code, expected)) in expected.iter().enumerate() {
            let answer = ask(&mut instance, index as u32);
            assert_eq!(answer, format!("{{\"r\":{expected}}}"), "{code}");
        }
    }
}

/// Expressions that end the guest, and what their failure says.
fn check_ends(expected: &[(&str, &str)]) {
    let text = cases("", "", expected.iter().map(|(code, _)| *code));
    for mut instance in both(&text) {
        for (index, (code, expected)) in expected.iter().enumerate() {
            let answer = ask(&mut instance, index as u32);
            assert!(answer.contains(expected), "{code}: {answer}");
        }
    }
}

/// Nothing behind it is looked at, where the guest has nothing.
#[test]
fn a_text_may_end_with_the_guests_last_byte() {
    let each = |code: &str| {
        format!(
            "(local $length i32)
            (memory.fill (i32.const 130000) (i32.const 97) (i32.const 1071))
            (loop $next
                (local.set $length (i32.add (local.get $length) (i32.const 1)))
                (if {code} (then unreachable))
                (br_if $next (i32.lt_u (local.get $length) (i32.const 300))))
            (i32.const 7)"
        )
    };
    let start = "(i32.sub (i32.const 131071) (local.get $length))";
    check(
        "",
        &[
            (&each(&format!("(i32.ne (call $strlen {start}) (local.get $length))")), 7),
            (&each(&format!("(call $strncmp {start} {start} (i32.const 1000))")), 7),
            (
                &each(&format!(
                    "(i32.sub (call $memchr {start} (i32.const 0) (i32.const 1000)) (i32.const 131071))"
                )),
                7,
            ),
            (
                &each(&format!(
                    "(i32.sub (call $strchr {start} (i32.const 0)) (i32.const 131071))"
                )),
                7,
            ),
        ],
    );
}

#[test]
fn memory_is_compared_copied_filled_and_searched() {
    check(
        r"abcdef\00abcxef\00",
        &[
            ("(call $memcmp (i32.const 16) (i32.const 23) (i32.const 3))", 0),
            ("(call $memcmp (i32.const 16) (i32.const 23) (i32.const 4))", 100 - 120),
            ("(call $memcmp (i32.const 16) (i32.const 99999) (i32.const 0))", 0),
            ("(call $memchr (i32.const 16) (i32.const 0x163) (i32.const 7))", 18),
            ("(call $memchr (i32.const 16) (i32.const 0x63) (i32.const 2))", 0),
            ("(call $memcpy (i32.const 200) (i32.const 16) (i32.const 7))", 200),
            ("(call $strcmp (i32.const 200) (i32.const 16))", 0),
            ("(call $memmove (i32.const 201) (i32.const 200) (i32.const 7))", 201),
            ("(call $strcmp (i32.const 201) (i32.const 16))", 0),
            ("(call $memset (i32.const 200) (i32.const 0x161) (i32.const 3))", 200),
            ("(i32.load (i32.const 200))", i32::from_le_bytes(*b"aaac")),
            ("(call $emscripten_memcpy_big (i32.const 300) (i32.const 16) (i32.const 4))", 300),
            ("(i32.load (i32.const 300))", i32::from_le_bytes(*b"abcd")),
        ],
    );
}

#[test]
fn texts_are_measured_compared_copied_and_searched() {
    check(
        r"hello\00help\00HELLO\00\00lo\00\ff\00",
        &[
            ("(call $strlen (i32.const 16))", 5),
            ("(call $strlen (i32.const 33))", 0),
            ("(call $strcmp (i32.const 16) (i32.const 22))", 108 - 112),
            ("(call $strcmp (i32.const 16) (i32.const 33))", 104),
            ("(call $strcmp (i32.const 37) (i32.const 16))", 255 - 104),
            ("(call $strncmp (i32.const 16) (i32.const 22) (i32.const 3))", 0),
            ("(call $strncmp (i32.const 16) (i32.const 22) (i32.const 4))", 108 - 112),
            ("(call $strncmp (i32.const 16) (i32.const 16) (i32.const -1))", 0),
            ("(call $strncasecmp (i32.const 16) (i32.const 27) (i32.const 9))", 0),
            ("(call $strncasecmp (i32.const 27) (i32.const 22) (i32.const 9))", 108 - 112),
            ("(call $strchr (i32.const 16) (i32.const 0x16c))", 18),
            ("(call $strchr (i32.const 16) (i32.const 0x7a))", 0),
            ("(call $strchr (i32.const 16) (i32.const 0))", 21),
            ("(call $strstr (i32.const 16) (i32.const 34))", 19),
            ("(call $strstr (i32.const 22) (i32.const 34))", 0),
            ("(call $strstr (i32.const 16) (i32.const 33))", 16),
            ("(call $strspn (i32.const 16) (i32.const 22))", 4),
            ("(call $strspn (i32.const 16) (i32.const 33))", 0),
            ("(call $strcspn (i32.const 16) (i32.const 34))", 2),
            ("(call $strcspn (i32.const 16) (i32.const 33))", 5),
            ("(call $strcpy (i32.const 200) (i32.const 22))", 200),
            ("(i32.load (i32.const 200))", i32::from_le_bytes(*b"help")),
            (
                "(i32.store (i32.const 304) (i32.const -1)) (call $strncpy (i32.const 300) (i32.const 34) (i32.const 6))",
                300,
            ),
            ("(i32.load (i32.const 300))", i32::from_le_bytes(*b"lo\0\0")),
            ("(i32.load (i32.const 304))", -0x10000),
            ("(call $strncpy (i32.const 300) (i32.const 16) (i32.const 2))", 300),
            ("(i32.load (i32.const 300))", i32::from_le_bytes(*b"he\0\0")),
        ],
    );
}

#[test]
fn numbers_are_read_and_their_ends_are_told() {
    check(
        r" -42x\000x1F\00",
        &[
            ("(call $atoi (i32.const 16))", -42),
            ("(call $strtol (i32.const 16) (i32.const 200) (i32.const 10))", -42),
            ("(i32.load (i32.const 200))", 20),
            ("(call $strtol (i32.const 22) (i32.const 0) (i32.const 0))", 31),
            ("(i32.load (i32.const 0))", 0),
            ("(call $strtoul (i32.const 22) (i32.const 200) (i32.const 16))", 31),
            ("(i32.load (i32.const 200))", 26),
            ("(call $strtoul (i32.const 16) (i32.const 200) (i32.const 10))", -42),
            ("(call $strtol (i32.const 16) (i32.const 200) (i32.const 99))", 0),
            ("(i32.load (i32.const 200))", 16),
        ],
    );
}

#[test]
fn characters_have_classes_and_cases() {
    let of = |function: &str| {
        // How many of 256 characters, and of some that are none, are in the class.
        format!(
            r#"(local i32 i32) (local.set 0 (i32.const -3))
            (loop (local.set 1 (i32.add (local.get 1) (i32.ne (i32.const 0) (call ${function} (local.get 0)))))
                (br_if 0 (i32.lt_s (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 300))))
            (local.get 1)"#
        )
    };
    let counts = [
        ("isupper", 26),
        ("isalpha", 52),
        ("isspace", 6),
        ("isgraph", 94),
        ("isprint", 95),
        ("isdigit", 10),
        ("isxdigit", 22),
        ("isalnum", 62),
    ];
    let codes = counts.map(|(function, count)| (of(function), count));
    let mut expected: Vec<_> = codes.iter().map(|(code, count)| (code.as_str(), *count)).collect();
    expected.extend([
        ("(call $tolower (i32.const 65))", 97),
        ("(call $tolower (i32.const 97))", 97),
        ("(call $tolower (i32.const -1))", -1),
        ("(call $toupper (i32.const 122))", 90),
        ("(call $toupper (i32.const 0xe4))", 0xe4),
        ("(call $toupper (i32.const 4096))", 4096),
    ]);
    check("", &expected);
}

#[test]
fn blocks_are_given_moved_and_taken_back() {
    check(
        r"hello\00",
        &[
            // Where no block was, and behind the memory that the module starts with.
            ("(i32.and (call $malloc (i32.const 1)) (i32.const 0xffff000f))", 2 << 16),
            ("(i32.eqz (call $malloc (i32.const -1)))", 1),
            ("(i32.eqz (call $malloc (i32.const 0)))", 0),
            ("(i32.eqz (call $calloc (i32.const 0x10000) (i32.const 0x10000)))", 1),
            ("(call $strcmp (call $strdup (i32.const 16)) (i32.const 16))", 0),
            ("(call $strcmp (call $_strdup (i32.const 16)) (i32.const 16))", 0),
            // One that was used is zero again.
            ("(local i32) (local.set 0 (call $malloc (i32.const 100))) (i32.store offset=96 (local.get 0) (i32.const 7))
              (call $free (local.get 0)) (i32.load offset=96 (call $calloc (i32.const 10) (i32.const 10)))", 0),
            // What was in it goes along.
            ("(local i32) (local.set 0 (call $malloc (i32.const 100))) (i32.store offset=96 (local.get 0) (i32.const 7))
              (i32.load offset=96 (call $realloc (local.get 0) (i32.const 100000)))", 7),
            ("(local i32) (local.set 0 (call $malloc (i32.const 100000))) (i32.store (local.get 0) (i32.const 8))
              (i32.load (call $realloc (local.get 0) (i32.const 4)))", 8),
            ("(local i32) (local.set 0 (call $realloc (i32.const 0) (i32.const 100)))
              (i32.eq (local.get 0) (call $realloc (local.get 0) (i32.const 101)))", 1),
            // Twice, or what was never given.
            ("(local i32) (local.set 0 (call $malloc (i32.const 100))) (call $free (local.get 0)) (call $free (local.get 0))
              (call $free (i32.const 16)) (call $free (i32.const -1)) (call $free (i32.const 0))
              (i32.eq (call $malloc (i32.const 100)) (call $malloc (i32.const 100)))", 0),
            ("(call $realloc (i32.const 16) (i32.const 5))", 0),
            ("(i32.eqz (call $__cxa_allocate_exception (i32.const 8)))", 0),
        ],
    );
}

#[test]
fn the_heap_and_the_guests_own_growth_keep_apart() {
    check(
        "",
        &[
            ("(memory.size)", 2),
            ("(i32.shr_u (call $malloc (i32.const 100000)) (i32.const 16))", 2),
            ("(memory.size)", 4),
            ("(memory.grow (i32.const 1))", 4),
            ("(i32.shr_u (call $malloc (i32.const 100000)) (i32.const 16))", 5),
            ("(memory.size)", 7),
        ],
    );
}

#[test]
fn a_leak_ends_at_the_memory_limit_and_recycling_helps() {
    let leak = ["(i32.eqz (call $malloc (i32.const 10000)))"];
    let text = cases("", "", leak.into_iter());
    let limit = 1 << 20;
    let mut leaks = load(&text, FilterOptions { memory_limit: limit, ..options() });
    let given = (0..1000).take_while(|_| ask(&mut leaks, 0) == r#"{"r":0}"#).count();
    // 14 pages of 5 blocks each.
    assert_eq!((given, leaks.memory_size()), (74, limit));
    assert_eq!(ask(&mut leaks, 0), r#"{"r":1}"#);

    let recycle = Recycle { memory: Some(limit / 2), ..Recycle::default() };
    let mut recycled = load(&text, FilterOptions { memory_limit: limit, recycle, ..options() });
    for _ in 0..200 {
        assert_eq!(ask(&mut recycled, 0), r#"{"r":0}"#);
    }
    assert!(recycled.recycled() > 3 && recycled.memory_size() < limit);
}

#[test]
fn a_memory_that_cannot_grow_has_a_heap_behind_its_data() {
    let code = "(i32.add (i32.shl (i32.eqz (call $malloc (i32.const 70000))) (i32.const 20)) (call $malloc (i32.const 100)))";
    let base = r#"(global (export "__heap_base") i32 (i32.const 80000))"#;
    let fixed = |text: String| text.replace(r#"(export "memory") 2"#, r#"(export "memory") 2 2"#);
    let answer = |text: String| ask(&mut load(&text, options()), 0);
    let expected = 80_000_u32.next_multiple_of(4096) + (1 << 20);
    assert_eq!(answer(fixed(cases("", base, [code].into_iter()))), format!("{{\"r\":{expected}}}"));
    assert_eq!(answer(fixed(cases("", "", [code].into_iter()))), format!("{{\"r\":{}}}", 1 << 20));
}

#[test]
fn formats_are_printed_to_buffers() {
    let put = "(i32.store (i32.const 0x4000) (i32.const 16)) (i32.store (i32.const 0x4004) (i32.const -5)) (i32.store (i32.const 400) (i32.const -1))";
    let call = |code: &str| format!("{put} (call {code})");
    let codes = [
        (call("$sprintf (i32.const 400) (i32.const 22) (i32.const 0x4000)"), 8),
        ("(i32.load (i32.const 404))".to_owned(), i32::from_le_bytes(*b"o -5")),
        ("(i32.load8_u (i32.const 408))".to_owned(), 0),
        (call("$vsnprintf (i32.const 400) (i32.const 4) (i32.const 22) (i32.const 0x4000)"), 8),
        ("(i32.load (i32.const 400))".to_owned(), i32::from_le_bytes(*b"hel\0")),
        (call("$snprintf (i32.const 400) (i32.const 1) (i32.const 22) (i32.const 0x4000)"), 8),
        ("(i32.load (i32.const 400))".to_owned(), -0x100),
        (call("$snprintf (i32.const 0) (i32.const 0) (i32.const 22) (i32.const 0x4000)"), 8),
        ("(i32.load (i32.const 0))".to_owned(), 0),
        // The last bytes of the memory hold the text and its NUL.
        (call("$snprintf (i32.const 0x1fff7) (i32.const 9) (i32.const 22) (i32.const 0x4000)"), 8),
        ("(i32.load (i32.const 0x1fffc))".to_owned(), i32::from_le_bytes(*b" -5\0")),
        // Into its own format.
        (call("$vsprintf (i32.const 23) (i32.const 22) (i32.const 0x4000)"), 8),
    ];
    let expected: Vec<_> =
        codes.iter().map(|(code, expected)| (code.as_str(), *expected)).collect();
    check(r"hello\00%s %d\00", &expected);
}

#[test]
fn clocks_count_from_the_guests_start() {
    check(
        "",
        &[
            ("(call $clock_gettime (i32.const 0) (i32.const 200))", 0),
            (
                "(i32.and (i64.lt_u (i64.load (i32.const 200)) (i64.const 600)) (i32.lt_u (i32.load (i32.const 208)) (i32.const 1000000000)))",
                1,
            ),
            ("(i64.le_u (call $clock) (call $clock))", 1),
        ],
    );
}

#[test]
fn what_ends_a_program_ends_the_guest() {
    check_ends(&[
        ("(call $exit (i32.const 3)) (i32.const 0)", "the guest called exit(3)"),
        ("(call $exit (i32.const -1)) (i32.const 0)", "the guest called exit(-1)"),
        ("(call $abort) (i32.const 0)", "Exception: env.abort(0)"),
        (
            "(call $abortStackOverflow (i32.const 7)) (i32.const 0)",
            "Exception: env.abortStackOverflow(7)",
        ),
        ("(call $nullFunc_X (i32.const 8)) (i32.const 0)", "Exception: env.nullFunc_X(8)"),
        (
            "(call $__cxa_begin_catch (i32.const 0)) (call $__cxa_throw (i32.const 0) (i32.const 0) (i32.const 0)) (i32.const 0)",
            "Exception: exception thrown by stdc++",
        ),
    ]);
}

#[test]
fn what_lies_outside_memory_is_a_trap() {
    let codes = [
        "(call $strlen (i32.const -1))",
        "(call $memcpy (i32.const 16) (i32.const 16) (i32.const -1))",
        "(call $memcpy (i32.const -8) (i32.const 16) (i32.const 16))",
        "(call $memset (i32.const 16) (i32.const 0) (i32.const -1))",
        "(call $memcmp (i32.const -1) (i32.const 16) (i32.const 2))",
        "(call $memchr (i32.const -1) (i32.const 16) (i32.const 2))",
        "(call $strcmp (i32.const 16) (i32.const -1))",
        "(call $strncmp (i32.const 16) (i32.const -1) (i32.const 1))",
        "(call $strcpy (i32.const -1) (i32.const 0x8200))",
        "(call $strncpy (i32.const 0) (i32.const 16) (i32.const -1))",
        "(call $strtol (i32.const 16) (i32.const -2) (i32.const 10))",
        "(call $strdup (i32.const -1))",
        "(call $sprintf (i32.const -1) (i32.const 0x8200) (i32.const 0))",
        "(call $sprintf (i32.const 16) (i32.const -1) (i32.const 0))",
        "(call $sprintf (i32.const 16) (i32.const 0x8200) (i32.const -2))",
        "(call $snprintf (i32.const 16) (i32.const -1) (i32.const 0x8200) (i32.const 0))",
        "(call $printf (i32.const -1) (i32.const 0))",
        "(call $puts (i32.const -1))",
        "(call $clock_gettime (i32.const 0) (i32.const -8))",
    ];
    let expected: Vec<_> =
        codes.iter().map(|code| (*code, "Exception: out of bounds memory access")).collect();
    check_ends(&expected);
}

/// A log of what guests print, and what it was told.
fn log() -> (GuestOutput, Arc<Mutex<Vec<String>>>) {
    let told = Arc::<Mutex<Vec<String>>>::default();
    let sink = Arc::clone(&told);
    let log = GuestLog::new(10, move |heard| {
        sink.lock().unwrap().push(match heard {
            Heard::Line { stream, text } => format!("{}: {}", stream.name(), text.escape_ascii()),
            Heard::Said { .. } | Heard::Suppressed(_) => "more".to_owned(),
        });
    });
    (GuestOutput::Lines(log), told)
}

fn prints(data: &str, code: &str, deadline: Duration) -> (String, Vec<String>) {
    let (output, told) = log();
    let sandbox = Sandbox { output, ..Sandbox::default() };
    let text = cases(data, "", [code].into_iter());
    let mut instance = load(&text, FilterOptions { sandbox, deadline, ..options() });
    let answer = ask(&mut instance, 0);
    drop(instance);
    let told = told.lock().unwrap().clone();
    (answer, told)
}

#[test]
fn what_is_printed_goes_to_the_guests_log() {
    let code = r#"(i32.store (i32.const 0x4000) (i32.const 16)) (drop (call $puts (i32.const 16))) (drop (call $putchar (i32.const 0x21)))
        (i32.add (call $printf (i32.const 22) (i32.const 0x4000)) (call $vprintf (i32.const 22) (i32.const 0x4000)))"#;
    let (answer, told) = prints(r"hello\00<%s>\n\00", code, Duration::from_secs(20));
    assert_eq!(answer, r#"{"r":16}"#);
    assert_eq!(told, ["stdout: hello", "stdout: !<hello>", "stdout: <hello>"]);
}

#[test]
fn a_deadline_ends_what_prints_without_end() {
    // 10,000 times a text of 64 MiB, of which nothing is kept.
    let code = r#"(drop (memory.grow (i32.const 1024)))
        (memory.fill (i32.const 0x20000) (i32.const 0x78) (i32.const 0x3ffffff))
        (loop (i32.store (i32.add (i32.const 0x16000) (i32.mul (local.get 0) (i32.const 4))) (i32.const 0x20000))
            (i32.store16 (i32.add (i32.const 0x10000) (i32.mul (local.get 0) (i32.const 2))) (i32.const 0x7325))
            (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 10000))))
        (call $snprintf (i32.const 0) (i32.const 0) (i32.const 0x10000) (i32.const 0x16000))"#;
    let (answer, _) = prints("", &format!("(local i32) {code}"), Duration::from_millis(300));
    assert!(answer.contains("longer than its deadline"), "{answer}");
}

#[test]
fn a_module_s_own_functions_are_its_own() {
    let text = r#"(module (memory (export "memory") 1) (data (i32.const 16) "{\"own\":true}\00")
        (func $malloc (export "malloc") (param i32) (result i32) (i32.const 4096))
        (func $free (export "free") (param i32))
        (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 16)))"#;
    assert_eq!(ask(&mut load(text, options()), 0), r#"{"own":true}"#);
}

#[test]
fn a_module_may_hand_on_the_allocator_that_it_imports() {
    let text = r#"(module (import "env" "malloc" (func $malloc (param i32) (result i32))) (import "env" "free" (func $free (param i32)))
        (memory (export "memory") 1) (export "malloc" (func $malloc)) (export "free" (func $free))
        (func (export "filter") (param i32 i32 i32 i32) (param $record i32) (param i32) (result i32) (local.get $record)))"#;
    let mut instance = load(text, options());
    for _ in 0..1000 {
        assert_eq!(ask(&mut instance, 0), r#"{"message":"hello"}"#);
    }
    assert_eq!(instance.memory_size(), 2 << 16);
}

#[test]
fn names_count_with_their_types_and_an_underscore_before_them_does_not() {
    let module = |imports: &str| {
        let text = format!(
            r#"(module {imports} (memory (export "memory") 1)
                (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0)))"#
        );
        let engine = FilterEngine::new(EngineOptions::default()).unwrap();
        let wasm = wat::parse_str(text).unwrap();
        FilterModule::load(&engine, wasm, options()).unwrap().unknown_imports().to_vec()
    };
    assert_eq!(module(&library::imports()), [""; 0]);
    for name in ["_malloc", "_strdup", "__strdup", "_isalpha"] {
        let import = format!(r#"(import "env" "{name}" (func (param i32) (result i32)))"#);
        assert_eq!(module(&import), [""; 0], "{name}");
    }
    assert_eq!(
        module(r#"(import "env" "malloc" (func (param i64) (result i32)))"#),
        ["env.malloc"]
    );
    assert_eq!(module(r#"(import "env" "strlcpy" (func))"#), ["env.strlcpy"]);
    assert_eq!(
        module(r#"(import "other" "strlen" (func (param i32) (result i32)))"#),
        ["other.strlen"]
    );
}
