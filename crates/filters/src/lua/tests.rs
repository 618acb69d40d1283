//! The filter as a whole: cases from a file, and scripts that mean harm.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use flb_event::{ChunkBuilder, Event, Tag, Timestamp};
use flb_harness as testing;
use flb_plugin::{FAILURES, Metrics, Outlet};

use super::*;

/// One of `cases.txt`.
#[derive(Default)]
struct Case<'c> {
    name: &'c str,
    options: Vec<(&'c str, &'c str)>,
    metadata: &'c str,
    record: &'c str,
    script: String,
    expected: String,
    fails: Option<&'c str>,
}

fn cases(text: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix("= ") {
            cases.push(Case { name, metadata: "{}", ..Case::default() });
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        if let Some(code) = line.strip_prefix("    ") {
            case.script += &format!("{code}\n");
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "option" => case.options.push(rest.split_once(' ').unwrap()),
            "metadata" => case.metadata = rest,
            "record" => case.record = rest,
            "expect" => case.expected += &format!("{rest}\n"),
            "fails" => case.fails = Some(rest),
            "real" | "" => {}
            other => panic!("{}: what is {other}?", case.name),
        }
    }
    cases
}

/// A filter, what it counts, and one record for it.
struct Trial {
    filter: Box<dyn Filter>,
    metrics: Metrics,
}

impl Trial {
    fn new(code: &str, options: &[(&str, &str)]) -> Result<Self, BuildError> {
        let given: Vec<_> =
            [("code", code), ("call", "cb")].into_iter().chain(options.iter().copied()).collect();
        let options = testing::options(SPEC.options, &given);
        testing::build_with(&options, |options, it| {
            Ok(Self { filter: build(options, it)?, metrics: it.metrics.clone() })
        })
    }

    fn of(code: &str, options: &[(&str, &str)]) -> Self {
        Self::new(code, options).unwrap()
    }

    /// What becomes of a batch with these bodies.
    fn given(&mut self, records: &[&str]) -> Outlet {
        let records: Vec<_> = records.iter().map(|record| (1, 0, *record)).collect();
        testing::given(&mut *self.filter, testing::chunk("app.x", &records))
    }

    fn failures(&self, class: &str) -> u64 {
        self.metrics.counter_of(&FAILURES, class).get()
    }
}

fn shown(outlet: &Outlet) -> String {
    let mut text = String::new();
    for event in outlet.passed().iter().flat_map(Chunk::records) {
        let Timestamp { sec, nsec } = event.time;
        let (metadata, body) = (testing::json_text(event.metadata), testing::json_text(event.body));
        writeln!(text, "{sec}.{nsec:09} {metadata} {body}").unwrap();
    }
    text
}

fn batch(metadata: &[u8], body: &[u8]) -> Chunk {
    let mut batch = ChunkBuilder::new(Tag::new("app.x").unwrap());
    let time = Timestamp { sec: 1_700_000_000, nsec: 500_000_000 };
    batch.push(Event { time, metadata, body }).unwrap();
    batch.build()
}

#[test]
fn scripts_answer_as_in_fluent_bit() {
    let cases = cases(include_str!("cases.txt"));
    assert!(cases.len() > 45);
    for case in &cases {
        let mut trial = Trial::of(&case.script, &case.options);
        let batch = batch(&testing::msgpack(case.metadata), &testing::msgpack(case.record));
        let outlet = testing::given(&mut *trial.filter, batch);
        assert_eq!(shown(&outlet), case.expected, "{}", case.name);
        assert_eq!(outlet.tally().records(), 1, "{}", case.name);
        assert_eq!(outlet.tally().failures(), u64::from(case.fails.is_some()), "{}", case.name);
        if let Some(class) = case.fails {
            assert_eq!(trial.failures(class), 1, "{}", case.name);
        }
    }
}

#[test]
fn what_is_left_alone_keeps_its_nanoseconds_and_its_type() {
    let mut body = vec![0x82];
    body.extend_from_slice(b"\xa1b\xc4\x02\xff\x00\xa1e\xd7\x00\0\0\0\x01\0\0\0\x02");
    let mut batch = ChunkBuilder::new(Tag::new("t").unwrap());
    let time = Timestamp { sec: 1_700_000_000, nsec: 123_456_789 };
    batch.push(Event { time, metadata: Event::NO_METADATA, body: &body }).unwrap();
    let mut trial = Trial::of("function cb(tag, ts, r) return 1, ts, r end", &[]);
    let outlet = testing::given(&mut *trial.filter, batch.build());
    let record = outlet.passed()[0].records().next().unwrap();
    assert_eq!((record.time, record.body), (time, body.as_slice()));
}

#[test]
fn each_record_of_a_batch_has_its_own_fate() {
    let code = "function cb(tag, ts, r)
        if r.a == 1 then return -1 end
        if r.a == 2 then error('two') end
        if r.a == 3 then return 2, ts, { r, r } end
        return 0
    end";
    let records = [r#"{"a":0}"#, r#"{"a":1}"#, r#"{"a":2}"#, r#"{"a":3}"#, r#"{"a":4}"#];
    for (on_error, passed) in [
        ("keep", [records[0], records[2], records[3], records[3], records[4]].as_slice()),
        ("drop", &[records[0], records[3], records[3], records[4]]),
    ] {
        let mut trial = Trial::of(code, &[("on_error", on_error)]);
        let outlet = trial.given(&records);
        assert_eq!(testing::bodies(outlet.passed()), passed);
        let tally = outlet.tally();
        assert_eq!((tally.dropped, tally.emitted_extra, tally.failures()), (1, 1, 1));
        assert_eq!((tally.records(), tally.emitted()), (5, passed.len() as u64));
        assert_eq!(trial.failures("error"), 1);
    }
}

#[test]
fn a_batch_that_passes_whole_is_not_copied() {
    let mut trial = Trial::of("function cb() return 0 end", &[]);
    let batch = testing::chunk("t", &[(1, 0, "{}"), (2, 0, "{}")]);
    let outlet = testing::given(&mut *trial.filter, batch.clone());
    assert!(outlet.passed()[0].same(&batch));
}

/// The script does not return; the record is kept, and the next one is answered.
#[track_caller]
fn check_ended(code: &str) {
    let mut trial = Trial::of(code, &[("deadline", "0.05")]);
    let start = Instant::now();
    let outlet = trial.given(&[r#"{"loop":1}"#, r#"{"a":1}"#]);
    // Thousands of calls that each catch the end take seconds to unwind in an unoptimised build.
    assert!(start.elapsed() < Duration::from_secs(60), "{:?}", start.elapsed());
    assert_eq!(testing::bodies(outlet.passed()), [r#"{"loop":1}"#, r#"{"a":1,"ok":true}"#]);
    assert_eq!(trial.failures("deadline"), 1);
}

#[test]
fn a_script_that_loops_ends_with_the_deadline() {
    let ends = "r.ok = true; return 2, 0, r end";
    for loops in [
        "while true do end",
        "repeat until false",
        "for i = 1, math.huge do local x = i * 2 end",
        "while true do pcall(function() while true do end end) end",
        "local function f() return f() end f()",
        "local function f() pcall(f) f() end f()",
        "coroutine.wrap(function() while true do end end)()",
        "while true do coroutine.wrap(function() while true do end end)() end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "jit.on() jit.on(cb, true) while true do end",
        "local s = '' while true do s = ('x'):rep(10) end",
        "setmetatable(r, { __index = function() while true do end end }) local x = r.nothing",
        "table.sort({ 3, 2, 1 }, function() while true do end end)",
        "string.gsub('aaa', 'a', function() while true do end end)",
    ] {
        check_ended(&format!("function cb(tag, ts, r) if r.loop then {loops} end {ends}"));
    }
}

#[test]
fn a_script_that_loops_at_its_start_is_refused() {
    let error = Trial::new("while true do end", &[("deadline", "0.05")]).err().unwrap();
    assert!(error.message.contains("did not return within 0.05 s"), "{error}");
}

#[test]
fn a_script_that_grows_ends_at_its_limit_and_starts_afresh() {
    for grows in [
        "kept = kept or {}; while true do kept[#kept + 1] = ('x'):rep(1000) .. #kept end",
        "local s = ('x'):rep(2000000000)",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local s = 'x' while true do s = s .. s end",
        "table.concat({ ('x'):rep(9e6), ('x'):rep(9e6) })",
    ] {
        let code = format!(
            "function cb(tag, ts, r) if r.grow then {grows} end r.kept = kept ~= nil; return 2, 0, r end"
        );
        let mut trial = Trial::of(&code, &[("memory_limit", "16M"), ("deadline", "20")]);
        let outlet = trial.given(&[r#"{"grow":1}"#, r#"{"a":1}"#]);
        let passed = testing::bodies(outlet.passed());
        assert_eq!(passed, [r#"{"grow":1}"#, r#"{"a":1,"kept":false}"#], "{grows}");
        assert_eq!(trial.failures("memory"), 1, "{grows}");
    }
}

#[test]
fn a_script_that_answers_without_end_is_bounded() {
    let code = "function cb(tag, ts, r)
        local s = ('x'):rep(8000000)
        return 2, 0, { a = s, b = s, c = s, d = s, e = s, f = s, g = s, h = s, i = s }
    end";
    let mut trial = Trial::of(code, &[]);
    assert_eq!(trial.given(&["{}"]).tally().failures(), 1);
    assert_eq!(trial.failures("bad_output"), 1);
    let code = "local s = ('x'):rep(8000000)
    function cb(tag, ts, r) return 2, 0, { a = s, b = s, c = s, d = s } end";
    let mut trial = Trial::of(code, &[]);
    let outlet = trial.given(&["{}"; 10]);
    assert_eq!((outlet.tally().replaced, outlet.tally().failures()), (8, 2));
    assert_eq!(trial.failures("memory"), 2);
}

#[test]
fn a_script_that_recurses_or_nests_without_end_fails_alone() {
    for harm in [
        "local function f() return 1 + f() end f()",
        "local t = {} for i = 1, 200 do t = { t } end return 2, 0, { t = t }",
        "local t = {} for i = 1, 200 do t = { k = t } end return 2, 0, t",
        "return 2, 0, { [9e9] = 1 }",
        "return 2, 0, { l = { [2e9] = 1 } }",
        "return 2, 0, setmetatable({ f = 1 }, { __index = error, __pairs = error, type = 1 })",
        "error(setmetatable({}, { __tostring = function() error('again') end }))",
        "return 2, 0, coroutine.create(print)",
        "return 2, 0, { c = coroutine.create(print) }",
        "return 1, 1 / 0, r",
        "return 1, 0 / 0, r",
        "os.exit(1)",
        "require('ffi')",
        "debug.sethook()",
        "jit.util.funcinfo(cb)",
        "newproxy(true)",
        "jit.attach(print, 'bc')",
        "getmetatable(io.stdout).__gc = print",
    ] {
        let code = format!("function cb(tag, ts, r) if r.x then {harm} end return 0 end");
        let mut trial = Trial::of(&code, &[]);
        let outlet = trial.given(&[r#"{"x":1}"#, r#"{"a":1}"#]);
        let tally = outlet.tally();
        assert_eq!(tally.records(), 2, "{harm}");
        let passed = testing::bodies(outlet.passed());
        assert_eq!(passed.last().map(String::as_str), Some(r#"{"a":1}"#), "{harm}");
    }
}

#[test]
fn a_script_may_break_its_own_world_and_nothing_else() {
    for harm in [
        "table, string, pairs, next, type, tostring, setmetatable = nil",
        "getmetatable('').__index = nil",
        "getmetatable(r).__index = error",
        "for key in pairs(_G) do if key ~= 'cb' then _G[key] = nil end end",
        "cb = nil",
        "collectgarbage('stop')",
        "io.stdout:close()",
        "package.loaded = nil",
        "os.setlocale('de_DE.UTF-8')",
    ] {
        let code = format!("function cb(tag, ts, r) {harm} r.ok = 1 return 2, 0, r end");
        let mut trial = Trial::of(&code, &[]);
        let outlet = trial.given(&["{}", r#"{"b":[]}"#]);
        assert_eq!(outlet.tally().records(), 2, "{harm}");
        let other = testing::filtered(
            &SPEC,
            &[
                ("call", "cb"),
                (
                    "code",
                    "function cb(t, ts, r) r.n = #pairs and 1 end function cb(t, ts, r) r.s = ('x'):rep(2) return 2, 0, r end",
                ),
            ],
            &["{}"],
        );
        assert_eq!(other, r#"{"s":"xx"}"#, "{harm}");
    }
}

#[test]
fn each_lane_has_a_state_of_its_own() {
    let code = "local n = 0 function cb(tag, ts, r) n = n + 1 r.n = n return 2, 0, r end";
    let mut trial = Trial::of(code, &[]);
    let mut other = trial.filter.fork().unwrap();
    assert_eq!(testing::bodies(trial.given(&["{}", "{}"]).passed()), [r#"{"n":1}"#, r#"{"n":2}"#]);
    let batch = testing::chunk("t", &[(1, 0, "{}")]);
    let outlet = std::thread::spawn(move || testing::given(&mut *other, batch)).join().unwrap();
    assert_eq!(testing::bodies(outlet.passed()), [r#"{"n":1}"#]);
}

#[test]
fn a_script_comes_from_a_file_and_its_errors_say_where() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("f.lua"), "\n\nfunction cb(t, ts, r)\n  return r.a.b\nend\n")
        .unwrap();
    let service = flb_plugin::Service {
        config_dir: Some(folder.path().to_owned()),
        ..flb_plugin::Service::default()
    };
    let options = testing::options(SPEC.options, &[("script", "f.lua"), ("call", "cb")]);
    let scene = testing::Scene::new(1.0);
    let mut filter = testing::build_in(&service, &options, build).unwrap();
    scene.logged(|| testing::given(&mut *filter, testing::chunk("app.x", &[(1, 0, "{}"); 3])));
    let log = scene.log();
    assert_eq!(log.lines().count(), 2, "{log}");
    assert!(log.contains("[filter:lua:test.0] "), "{log}");
    assert!(log.contains("f.lua:4: attempt to index field 'a' (a nil value)"), "{log}");
    assert!(log.contains("; the record is kept as it was (failure 1), tag: app.x"), "{log}");
}

#[test]
fn what_cannot_be_a_filter_is_refused() {
    let refused = |given: &[(&str, &str)]| {
        let options = testing::options(SPEC.options, given);
        testing::build_with(&options, build).err().unwrap().message
    };
    for (given, message) in [
        (&[("call", "cb")][..], "no script path defined"),
        (&[("code", "x = 1")], "function name defined by 'call' is not set"),
        (&[("code", "x = 1"), ("call", "cb")], "function cb is not found"),
        (&[("code", "cb = 1"), ("call", "cb")], "function cb is not found"),
        (&[("code", "x ="), ("call", "cb")], "code:1: unexpected symbol near '<eof>'"),
        (
            &[("code", "\nx.y = 1"), ("call", "cb")],
            "code:2: attempt to index global 'x' (a nil value)",
        ),
    ] {
        assert_eq!(refused(given), message);
    }
    let missing = refused(&[("script", "/no/such.lua"), ("call", "cb")]);
    assert!(missing.starts_with("cannot access script '/no/such.lua': "), "{missing}");
    let compiled = refused(&[("code", "\u{1b}LJ\u{2}"), ("call", "cb")]);
    assert_eq!(compiled, "attempt to load a binary chunk (mode is 't')");
}

#[test]
fn a_dry_run_reads_the_script_and_runs_none_of_it() {
    let service = flb_plugin::Service { dry_run: true, ..flb_plugin::Service::default() };
    let check = |code: &str| {
        let options = testing::options(SPEC.options, &[("code", code), ("call", "cb")]);
        testing::build_in(&service, &options, build).map(drop).map_err(|error| error.message)
    };
    assert_eq!(check("while true do end"), Ok(()));
    assert!(check("while true do").unwrap_err().starts_with("code:1: 'end' expected"));
}

#[test]
fn variables_of_the_configuration_are_in_flb_env() {
    let mut service = flb_plugin::Service::default();
    service.variables.set("TEAM", "shop");
    let code =
        "function cb(t, ts, r) r.team = FLB_ENV['TEAM'] r.home = FLB_ENV.HOME return 2, 0, r end";
    let options = testing::options(SPEC.options, &[("code", code), ("call", "cb")]);
    let mut filter = testing::build_in(&service, &options, build).unwrap();
    let outlet = testing::given(&mut *filter, testing::chunk("t", &[(1, 0, "{}")]));
    assert_eq!(testing::bodies(outlet.passed()), [r#"{"team":"shop"}"#]);
}
