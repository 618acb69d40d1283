//! The plugin in a program that does with it what Fluent Bit does, and is none: `host/host.c`. A test is what the program is
//! told to do, and what it says then.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

use flb_artifact::{Levels, Target, Traps};
use flb_compiler::{CompileOptions, Compiler};
use flb_event::{json, msgpack};

/// The releases whose structs the program may have: 2.2 to 3.1, to 5.0, and later ones.
const RELEASES: [&str; 3] = ["-DRELEASE=22", "-DRELEASE=32", "-DRELEASE=51"];
const NEWEST: &str = RELEASES[2];

/// The program for a release, made once.
fn host(flags: &[&str]) -> PathBuf {
    static MADE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    let name = format!("host{}", flags.concat());
    let program = made.entry(name).or_insert_with_key(|name| {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut compiler = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
        compiler.args(["-Wall", "-Wextra", "-Werror", "-O1", "-g", "-rdynamic"]).args(flags);
        compiler.arg(source("host.c")).arg("-o").arg(&program).args(["-ldl", "-lpthread"]);
        assert!(compiler.status().unwrap().success(), "the C compiler");
        program
    });
    program.clone()
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host").join(name)
}

/// The plugin, which lies beside this test.
fn plugin() -> PathBuf {
    env::current_exe().unwrap().with_file_name("libfilter_aot.so")
}

/// A module of the tests of filters, or of these.
fn wasm(name: &str) -> Vec<u8> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/filter/modules").join(name);
    let path = if all.exists() { all } else { source(name) };
    wat::parse_bytes(&fs::read(path).unwrap()).unwrap().into_owned()
}

/// The module compiled, its traps raised so.
fn artifact(name: &str, traps: Traps) -> Vec<u8> {
    let compiler = Compiler::new(CompileOptions {
        targets: vec![Target::host().unwrap()],
        levels: Levels { opt_level: 3, size_level: 3 },
        embed_wasm: false,
        producer: "test".to_owned(),
        jobs: 1,
    });
    compiler.trapping(traps).compile(&wasm(name)).unwrap()
}

fn file(name: &str, bytes: &[u8]) -> String {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    // Tests at the same time write the same bytes, and nobody reads half of them.
    let half = tempfile::NamedTempFile::new_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    fs::write(half.path(), bytes).unwrap();
    half.persist(&file).unwrap();
    file.to_str().unwrap().to_owned()
}

/// The module as a file that the plugin takes: one without a compiler takes compiled ones only.
fn module(name: &str, traps: Traps) -> String {
    if cfg!(feature = "jit") {
        file(&format!("{name}.wasm"), &wasm(name))
    } else {
        file(&format!("{name}.{}.aot", traps.name()), &artifact(name, traps))
    }
}

/// Commands that set the properties of a filter.
fn filter(name: &str, function: &str, others: &[&str]) -> String {
    let is_explicit = others.contains(&"Traps explicit");
    let traps = if is_explicit { Traps::Explicit } else { Traps::Signal };
    let module = module(name, traps);
    let mut script = format!("set WASM_Path {module}\nset Function_Name {function}\n");
    for other in others {
        let _ = writeln!(script, "set {other}");
    }
    script
}

/// Runs the program, perhaps under another, and returns what it says.
fn run_with(mut command: Command, script: &str) -> Vec<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.arg(plugin()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let script = script.to_owned();
    let writer = std::thread::spawn(move || {
        // A program that dies does not read on.
        let _ = stdin.write_all(script.as_bytes());
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    assert!(!stdout.contains("foreign thread"), "{stdout}");
    stdout.lines().map(str::to_owned).collect()
}

fn run(release: &str, script: &str) -> Vec<String> {
    run_with(Command::new(host(&[release])), script)
}

/// A filter from its start to its end, and what the program says in between.
fn session(properties: &str, commands: &str) -> Vec<String> {
    let said = run(NEWEST, &format!("open\n{properties}init\n{commands}exit\nclose\n"));
    let start =
        said.iter().position(|line| line == "init 0").unwrap_or_else(|| panic!("{said:#?}"));
    let end = said.iter().position(|line| line == "exit 0").unwrap_or_else(|| panic!("{said:#?}"));
    assert_eq!(said[end..], ["exit 0", "close 0"]);
    said[start + 1..end].to_vec()
}

fn packed(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    json::parse(text.as_bytes(), &mut out).unwrap();
    out
}

const TIME: &[u8] = b"\xd7\0\x65\x53\xf1\0\x07\x5b\xcd\x15";

/// A record in the newer form.
fn record(time: &[u8], metadata: &str, body: &str) -> Vec<u8> {
    [b"\x92\x92", time, &packed(metadata), &packed(body)].concat()
}

fn usual(body: &str) -> Vec<u8> {
    record(TIME, "{}", body)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn chunk(parts: &[Vec<u8>]) -> String {
    format!("chunk {}\n", hex(&parts.concat()))
}

fn modified(parts: &[Vec<u8>]) -> String {
    format!("modified {}", hex(&parts.concat()))
}

/// Lines with this text in them.
fn count(said: &[String], text: &str) -> usize {
    said.iter().filter(|line| line.contains(text)).count()
}

#[test]
fn every_release_loads_it_and_gets_filtered_records() {
    let old = [b"\x92".as_slice(), TIME, &packed(r#"{"a":1}"#)].concat();
    for release in RELEASES {
        let script = format!(
            "threads\nopen\nthreads\n{}alias a\ninit\n{}exit\nclose\n",
            filter("enrich.wat", "filter", &[]),
            chunk(&[usual(r#"{"a":1}"#), old.clone()]),
        );
        let said = run(release, &script);
        let changed = r#"{"a":1,"tag":"test"}"#;
        let old = [b"\x92".as_slice(), TIME, &packed(changed)].concat();
        assert_eq!(said[..3], ["threads 1", "threads 1", "init 0"], "{said:#?}");
        assert_eq!(said[3], modified(&[usual(changed), old]));
        assert_eq!(said[4], "log 3 [filter:aot:a] 2 records: 2 replaced, 0 dropped, 0 failed");
        assert_eq!(said[5..], ["exit 0", "close 0"]);
    }
}

#[test]
fn the_agents_help_has_every_property() {
    for release in RELEASES {
        let said = run(release, "open\nhelp\nclose\n");
        assert!(said[0].starts_with("help aot: Call a function"), "{said:#?}");
        let row =
            |name: &str| said.iter().find(|line| line.contains(&format!(" '{name}' "))).unwrap();
        assert!(row("wasm_path").starts_with("property 0 'wasm_path' 0 [] The module"));
        assert!(row("env").starts_with("property 0 'env' 1 [] "));
        assert!(row("deadline").starts_with("property 4 'deadline' 0 [1] "));
        assert!(row("config.").starts_with("property 1 'config.' 0 [] "));
        assert!(said[said.len() - 2].starts_with("property 1 '' 0 [] Any other"));
    }
}

#[test]
fn records_keep_their_form_and_what_is_none_passes() {
    let times: [&[u8]; 4] =
        [TIME, b"\x07", b"\xcb\x40\x1e\0\0\0\0\0\0", b"\xc7\x08\0\0\0\0\x07\0\0\0\x08"];
    let group = |marker: u8| {
        let time = [b"\xd7\0\xff\xff\xff".as_slice(), &[marker], &[0; 4]].concat();
        record(&time, r#"{"schema":"otlp"}"#, r#"{"resource":{}}"#)
    };
    let mut before = vec![group(0xff)];
    let mut after = vec![group(0xff)];
    for time in times {
        before.push(record(time, r#"{"m":1}"#, r#"{"a":1}"#));
        after.push(record(time, r#"{"m":1}"#, r#"{"a":1,"tag":"test"}"#));
        before.push([b"\x92", time, &packed("{}")[..]].concat());
        after.push([b"\x92", time, &packed("{}")[..]].concat());
    }
    // What `enrich` makes of no members is no JSON, so those records stay.
    for other in [group(0xfe), b"\x92\x92\xff\x80\x80".to_vec(), b"\xc0".to_vec()] {
        before.push(other.clone());
        after.push(other);
    }
    let said = session(&filter("enrich.wat", "filter", &[]), &chunk(&before));
    assert!(said.contains(&modified(&after)), "{said:#?}");
    let books = "8 records: 4 kept, 4 replaced, 0 dropped, 4 failed (bad_output 4)";
    assert_eq!(said.last().unwrap().split_once("] ").unwrap().1, books);
}

#[test]
fn nothing_is_touched_where_nothing_changed() {
    let records = [usual(r#"{"a":1}"#), usual("{}")];
    let same = session(&filter("echo.wat", "filter", &[]), &chunk(&records));
    assert_eq!(same[0], "untouched");
    let dropped = session(&filter("drop.wat", "filter", &[]), &chunk(&records));
    assert_eq!(dropped[0], "dropped");
    let none = session(&filter("drop.wat", "filter", &[]), "chunk\nchunk c0\n");
    assert_eq!(none[..2], ["untouched", "untouched"]);
}

#[test]
fn guests_do_not_run_on_the_stack_of_a_coroutine() {
    let records: Vec<_> = (0..50).map(|_| usual(r#"{"a":1}"#)).collect();
    let chunk = chunk(&records);
    let said = session(
        &filter("trap.wat", "recurse", &["On_Error drop"]),
        &format!("stack 24576\n{chunk}{chunk}stack 0\n{chunk}"),
    );
    assert_eq!(said.iter().filter(|line| *line == "dropped").count(), 3, "{said:#?}");
    assert!(said.last().unwrap().ends_with(", 150 failed (trap 150)"), "{said:#?}");
}

#[test]
fn traps_stay_traps_whatever_the_agent_does_to_their_handlers() {
    let trapping = chunk(&[usual("{}")]);
    for function in ["stomp", "divide", "unreachable"] {
        let commands = ["signal CONT\n", "signal HUP\n", "displace\n", "signal CONT\n"];
        let commands: String =
            commands.iter().flat_map(|command| [*command, trapping.as_str()]).collect();
        let said = session(&filter("faults.wat", function, &["On_Error drop"]), &commands);
        assert_eq!((count(&said, "handled"), count(&said, "not handled")), (3, 0), "{said:#?}");
        assert!(said.last().unwrap().ends_with(", 4 failed (trap 4)"), "{said:#?}");
    }
}

#[test]
fn explicit_traps_leave_every_signal_to_the_agent() {
    let trapping = chunk(&[usual("{}")]);
    let commands = format!(
        "handlers\n{trapping}signal CONT\n{trapping}displace\nstack 24576\n{trapping}handlers\n"
    );
    for (module, function, class) in [
        ("faults.wat", "stomp", "trap"),
        ("faults.wat", "divide", "trap"),
        ("faults.wat", "unreachable", "trap"),
        ("trap.wat", "recurse", "trap"),
        ("faults.wat", "loop", "deadline"),
    ] {
        let properties =
            filter(module, function, &["On_Error drop", "Traps explicit", "Deadline 0.3"]);
        let said = session(&properties, &commands);
        assert_eq!(count(&said, "handlers are the agent's"), 2, "{said:#?}");
        let books = format!(", 3 failed ({class} 3)");
        assert!(said.last().unwrap().ends_with(&books), "{said:#?}");
    }
    let said = session(&filter("faults.wat", "stomp", &["On_Error drop"]), "handlers\n");
    assert_eq!(said[0], "handlers are others");
}

#[test]
fn traps_stay_traps_beside_a_runtime_that_hands_faults_to_itself() {
    let trapping = chunk(&[usual("{}")]);
    let commands = format!(
        "{trapping}stranger\n{trapping}stranger\n{trapping}signal CONT\n{trapping}stranger\n{trapping}"
    );
    let said = session(&filter("faults.wat", "stomp", &["On_Error drop"]), &commands);
    assert!(said.last().unwrap().ends_with(", 5 failed (trap 5)"), "{said:#?}");
}

#[test]
fn a_fault_of_the_agents_own_is_the_agents() {
    let trapping = chunk(&[usual("{}")]);
    let script = format!(
        "open\n{}init\n{trapping}stranger\n{trapping}stranger\n{trapping}crash\n",
        filter("faults.wat", "stomp", &[])
    );
    let mut child = Command::new(host(&[NEWEST]))
        .arg(plugin())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && said.ends_with("caught a fault\n"), "{said}");
}

#[test]
fn traps_stay_traps_in_a_storm_of_signals() {
    let records: Vec<_> = (0..20).map(|_| usual("{}")).collect();
    let storm = format!("storm 250 4000 {}\n", hex(&records.concat()));
    let said = session(&filter("faults.wat", "stomp", &["On_Error drop"]), &storm);
    assert!(said.contains(&"survived".to_owned()), "{said:#?}");
}

#[test]
fn a_reload_closes_the_library_after_it_has_opened_it_again() {
    let properties = filter("faults.wat", "stomp", &["On_Error drop"]);
    let trapping = chunk(&[usual("{}")]);
    let once = format!("{properties}init\n{trapping}signal CONT\n{trapping}exit\n");
    let script = format!(
        "open\n{once}close\nsignal HUP\nopen\n{once}signal HUP\nclose\nsignal CONT\nopen\n{once}close\n"
    );
    let said = run(NEWEST, &script);
    assert_eq!(count(&said, ", 2 failed (trap 2)"), 3, "{said:#?}");
    assert_eq!((count(&said, "init 0"), count(&said, "not handled")), (3, 0));
}

#[test]
fn several_filters_are_at_work_beside_each_other() {
    let records = chunk(&[usual(r#"{"a":1}"#)]);
    let script = format!(
        "open\n{}init\ninstance 1\n{}init\n{records}instance 0\n{records}exit\ninstance 1\n{records}exit\nclose\n",
        filter("enrich.wat", "filter", &[]),
        filter("drop.wat", "filter", &[]),
    );
    let said = run(NEWEST, &script);
    assert_eq!(count(&said, "cannot end"), 0, "{said:#?}");
    let changed = modified(&[usual(r#"{"a":1,"tag":"test"}"#)]);
    let answers: Vec<&String> = said.iter().filter(|line| !line.starts_with("log")).collect();
    assert_eq!(
        answers,
        ["init 0", "init 0", "dropped", &changed, "exit 0", "dropped", "exit 0", "close 0"]
    );
}

#[test]
fn deadlines_of_a_chunk_do_not_add_up() {
    let records: Vec<_> = (0..1000).map(|_| usual("{}")).collect();
    let chunk = chunk(&records);
    let properties = filter("faults.wat", "loop", &["Deadline 0.02", "On_Error drop"]);
    let said = session(&properties, &format!("{chunk}{chunk}metrics\n"));
    assert_eq!(
        count(&said, "metric flb_filter_failures_total{name=aot.0,class=deadline} 2000"),
        1,
        "{said:#?}"
    );
    assert!(count(&said, "not called, because 3 calls before it ran") > 0, "{said:#?}");
    // Asked to end, the agent waits for one.
    let said = session(&properties, &format!("signal TERM\n{chunk}"));
    assert!(count(&said, "not called, because 1 call") > 0, "{said:#?}");
}

#[test]
fn answers_in_between_give_a_chunk_no_further_deadlines() {
    // The function keeps records without members, and does not come back from others.
    let records: Vec<_> =
        (0..40).map(|number| usual(if number % 2 == 0 { "{}" } else { r#"{"a":1}"# })).collect();
    let properties = filter("slow.wat", "some", &["Deadline 0.2", "On_Error drop"]);
    let chunk = chunk(&records);
    let said = session(&properties, &format!("{chunk}{chunk}"));
    let books = "80 records: 6 replaced, 0 dropped, 74 dropped by failure, 74 failed (deadline 74)";
    assert!(said.last().unwrap().contains(books), "{said:#?}");
}

/// What each of these calls takes depends on the machine; all of them take far longer than three deadlines, and none takes
/// one.
#[test]
fn an_agent_that_is_ending_does_not_wait_for_all_of_many_slow_answers() {
    let records: Vec<_> = (0..400).map(|_| usual("{}")).collect();
    let chunk = chunk(&records);
    for function in ["slow", "slow_batch"] {
        let properties = filter("slow.wat", function, &["Deadline 0.4", "On_Error drop"]);
        let said = session(&properties, &format!("signal TERM\n{chunk}"));
        let books = said.last().unwrap();
        assert!(count(&said, "not called, because ") > 0, "{function}: {said:#?}");
        assert!(books.contains("failed (deadline ") && !books.contains("400 failed"), "{said:#?}");
    }
}

#[test]
fn what_cannot_be_used_is_refused_at_the_start_with_a_reason() {
    let given = |properties: &str| {
        let said = run(NEWEST, &format!("open\n{properties}init\nclose\n"));
        assert_eq!(said[said.len() - 2..], ["init -1", "close 0"], "{said:#?}");
        said[0].clone()
    };
    let path = module("enrich.wat", Traps::Signal);
    let signals = file("signals.aot", &artifact("enrich.wat", Traps::Signal));
    for (properties, reason) in [
        ("".to_owned(), "no WASM 'program path' was given; help: add Wasm_Path"),
        (
            format!("set wasm_path {path}\n"),
            "no WASM 'function name' was given; help: add Function_Name",
        ),
        (filter("enrich.wat", "nothing", &[]), "nothing"),
        (filter("enrich.wat", "filter", &["Deadlin 1"]), "did you mean 'deadline'?"),
        (filter("enrich.wat", "filter", &["On_Error perhaps"]), "on_error"),
        (
            filter("enrich.wat", "filter", &["Trusted_Keys /no/key.pub"]),
            "trusted key /no/key.pub: ",
        ),
        (filter("start_trap.wat", "filter", &[]), "unreachable"),
        (
            format!("set wasm_path {signals}\nset function_name filter\nset traps explicit\n"),
            "compile it with flb-wamrc --traps=explicit",
        ),
        (
            "set wasm_path /no/file.wasm\nset function_name f\n".to_owned(),
            "cannot access wasm program at /no/file.wasm",
        ),
    ] {
        let said = given(&properties);
        assert!(said.starts_with("log 1 [") && said.contains(reason), "{properties}{said}");
    }
}

#[cfg(not(feature = "jit"))]
#[test]
fn without_a_compiler_a_module_is_refused() {
    let path = file("enrich.wasm", &wasm("enrich.wat"));
    let script = format!("open\nset wasm_path {path}\nset function_name filter\ninit\nclose\n");
    let said = run(NEWEST, &script);
    assert!(said[0].contains("this program is built without a compiler"), "{said:#?}");
    assert_eq!(said[1..], ["init -1", "close 0"]);
}

#[test]
fn an_agent_that_is_not_known_is_told_so() {
    let script = format!("open\n{}init\n", filter("enrich.wat", "filter", &[]));
    let strange = run_with(Command::new(host(&[NEWEST, "-DSTRANGE"])), &script);
    assert!(strange[0].starts_with("log 1 [filter:aot] this agent is none that the plugin knows"));
    assert_eq!(strange[1], "init -1");
    let mut newer = Command::new(host(&[NEWEST]));
    newer.env("HOST_VERSION", "6.0.0");
    let said = run_with(newer, &format!("{script}metrics\nexit\nclose\n"));
    assert_eq!(
        (count(&said, "no metrics"), count(&said, "metric "), count(&said, "init 0")),
        (1, 0, 1)
    );
}

#[test]
fn the_agents_registry_has_the_metrics() {
    let chunk = chunk(&[usual(r#"{"a":1}"#), usual(r#"{"a":2}"#)]);
    let said =
        session(&filter("enrich.wat", "filter", &[]), &format!("metrics\n{chunk}{chunk}metrics\n"));
    for line in [
        "verdicts_total{name=aot.0,verdict=replaced} 0",
        "verdicts_total{name=aot.0,verdict=replaced} 4",
    ] {
        assert_eq!(count(&said, &format!("metric flb_filter_{line}")), 1, "{said:#?}");
    }
    assert_eq!(
        count(&said, "metric flb_filter_guest_memory_bytes{name=aot.0} 65536"),
        2,
        "{said:#?}"
    );
    assert_eq!(count(&said, "metric flb_filter_module_info{name=aot.0,sha256="), 2);
}

#[test]
fn the_agents_registry_has_what_guests_count() {
    let chunk = chunk(&[usual(r#"{"a":1}"#), usual(r#"{"a":2}"#)]);
    let properties = filter("counting.wat", "filter", &[]);
    let said = session(&properties, &format!("{chunk}{chunk}metrics\n"));
    for line in [
        "total{name=aot.0,counter=seen} 4",
        "values_bucket{name=aot.0,histogram=sizes,le=1} 0",
        "values_bucket{name=aot.0,histogram=sizes,le=2.5} 4",
        "values_bucket{name=aot.0,histogram=sizes,le=+Inf} 4",
        "values_sum{name=aot.0,histogram=sizes} 8",
        "values_count{name=aot.0,histogram=sizes} 4",
    ] {
        assert_eq!(count(&said, &format!("metric flb_filter_guest_{line}")), 1, "{said:#?}");
    }
}

#[test]
fn lines_come_from_the_agents_thread_at_its_level_and_ever_less_often() {
    let records: Vec<_> = (0..100).map(|_| usual("{}")).collect();
    let chunk = chunk(&records);
    let said = session(&filter("faults.wat", "unreachable", &[]), &chunk);
    assert_eq!(
        said.iter()
            .filter(|line| line.starts_with("log 1 [filter:aot:aot.0] Got exception"))
            .count(),
        7
    );
}

#[cfg(feature = "wasi")]
#[test]
fn what_a_guest_prints_is_in_the_agents_log() {
    let records: Vec<_> = (0..100).map(|_| usual("{}")).collect();
    let chunk = chunk(&records);
    let quiet = session(&format!("level 1\n{}", filter("wasi.wat", "print", &[])), &chunk);
    assert_eq!(quiet, ["untouched"]);
    let said = session(&filter("wasi.wat", "print", &[]), &chunk);
    assert_eq!(count(&said, "log 3 [filter:aot:aot.0] stdout: hi from the guest"), 10, "{said:#?}");
}

#[test]
fn a_record_that_fails_goes_into_quarantine() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("Quarantine_Path {}", folder.path().join("q").display());
    let properties = filter("faults.wat", "divide", &["On_Error quarantine", &path]);
    let said = session(&properties, &chunk(&[usual(r#"{"a":1}"#)]));
    assert!(said.contains(&"dropped".to_owned()), "{said:#?}");
    let kept = fs::read_to_string(folder.path().join("q/aot.0.jsonl")).unwrap();
    assert!(kept.contains(r#""record":{"a":1}"#), "{kept}");
}

#[test]
fn a_newer_module_is_taken_between_chunks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.wasm");
    fs::copy(module("drop.wat", Traps::Signal), &path).unwrap();
    // The program waits for its signal's handler meanwhile; the file is looked at twice a second.
    let records = chunk(&[usual(r#"{"a":1}"#)]);
    let properties =
        format!("set wasm_path {}\nset function_name filter\nset watch on\n", path.display());
    let mut child = Command::new(host(&[NEWEST]))
        .arg(plugin())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut said = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    stdin.write_all(format!("open\n{properties}init\n").as_bytes()).unwrap();
    assert_eq!(said.next().unwrap().unwrap(), "init 0");
    let newer = module("enrich.wat", Traps::Signal);
    fs::copy(newer, folder.path().join("new")).unwrap();
    fs::rename(folder.path().join("new"), &path).unwrap();
    let changed = modified(&[usual(r#"{"a":1,"tag":"test"}"#)]);
    let taken = std::iter::repeat_with(|| {
        stdin.write_all(records.as_bytes()).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50));
        said.next().unwrap().unwrap()
    });
    assert!(taken.take(1000).any(|line| line == changed));
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn valgrind_finds_no_mistake() {
    let works = Command::new("valgrind")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !works {
        eprintln!("SKIPPED: there is no valgrind");
        return;
    }
    let mut command = Command::new("valgrind");
    command.args(["-q", "--error-exitcode=9", "--max-stackframe=9000000"]);
    command.arg(host(&[NEWEST, "-DPLAIN"]));
    let records =
        chunk(&[usual(r#"{"a":1}"#), b"\xc0".to_vec(), usual(r#"{"b":[1,2,{"c":null}]}"#)]);
    let script = format!(
        "open\nhelp\n{}init\n{records}{records}metrics\nexit\nclose\n",
        filter("enrich.wat", "filter", &["Env A=1", "Config.x y"])
    );
    let said = run_with(command, &script);
    assert_eq!(count(&said, "modified "), 2, "{said:#?}");
}

#[test]
fn msgpack_records_are_filtered_as_well() {
    let properties = filter("msgpack_echo.wat", "filter", &["Event_Format msgpack"]);
    let mut deep = [b"\x92\x92", TIME, b"\x80\x81\xa1a"].concat();
    deep.extend([0x91; 300]);
    deep.push(0xc0);
    assert!(msgpack::value_len(&deep).is_err());
    let said = session(&properties, &chunk(&[usual(r#"{"a":1}"#), deep.clone(), usual("{}")]));
    assert!(said.last().unwrap().contains("3 records"), "{said:#?}");
}
