//! What the plugin must stand in a Fluent Bit, row by row.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::Bench;
use super::agent::{Agent, read, signal};
use crate::run::{free_port, output, root};
use crate::toolchains;

const SERVICE: &str = "[SERVICE]\n Flush 0.2\n Grace 5\n Log_Level info\n";
const TO_FILE: &str = "[OUTPUT]\n Name file\n Match *\n Path .\n File records\n Format plain\n";

/// A filter's section.
fn filter(bench: &Bench, module: &str, function: &str, others: &str) -> Result<String> {
    let path = bench.module(module)?;
    Ok(format!(
        "[FILTER]\n Name aot\n Match *\n WASM_Path {path}\n Function_Name {function}\n{others}"
    ))
}

/// An input that makes so many records in so many milliseconds.
fn dummy(copies: u32, milliseconds: u32) -> String {
    format!(
        "[INPUT]\n Name dummy\n Copies {copies}\n Interval_Sec 0\n Interval_NSec {}\n",
        milliseconds * 1_000_000
    )
}

fn lines(room: &Path) -> usize {
    read(&room.join("records")).lines().count()
}

/// The number that belongs to a word in the line that a filter says at its end: `7 records: 3 kept, 4 replaced, 0 dropped, 2
/// failed (trap 2)`.
fn told(said: &str, word: &str) -> usize {
    let line = said.lines().rev().find(|line| line.contains(" records: ")).unwrap_or_default();
    let words: Vec<&str> =
        line.split([' ', ',', ':', '(', ')']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|other| *other == word);
    let number = |at: Option<usize>| words.get(at?)?.parse().ok();
    let [before, after] = [at.and_then(|at| at.checked_sub(1)), at.map(|at| at + 1)];
    number(after).filter(|_| ["trap", "deadline"].contains(&word)).or(number(before)).unwrap_or(0)
}

pub(super) fn help(bench: &Bench) -> Result<String> {
    let mut command = Command::new(&bench.program);
    let help = output(command.arg("-e").arg(bench.plugin()).args(["-F", "aot", "-h"]))?;
    let properties = ["wasm_path", "function_name", "config.", "on_error", "trusted_keys"];
    let missing: Vec<_> = properties.iter().filter(|name| !help.contains(**name)).collect();
    ensure!(missing.is_empty(), "{missing:?} are missing:\n{help}");
    Ok("every property is listed".to_owned())
}

pub(super) fn refused(bench: &Bench) -> Result<String> {
    let room = bench.room("refused")?;
    fs::write(room.join("key.pub"), "no key")?;
    let wrong = [
        ("enrich.wat", "nothing", "", "did you mean"),
        ("enrich.wat", "filter", " Deadlin 1\n", "did you mean 'deadline'"),
        ("enrich.wat", "filter", " Trusted_Keys key.pub\n", "trusted key key.pub"),
        ("start_trap.wat", "filter", "", "unreachable"),
    ];
    for (module, function, others, reason) in wrong {
        let filter = filter(bench, module, function, others)?;
        let agent = bench.start(&room, &format!("{SERVICE}{}{filter}{TO_FILE}", dummy(1, 100)))?;
        let ended = agent.ended()?;
        let code = ended.status.code();
        ensure!(code.is_some_and(|code| code != 0), "{}:\n{}", ended.status, ended.said);
        ensure!(ended.said.contains(reason), "no '{reason}':\n{}", ended.said);
    }
    Ok(format!("{} mistakes, each with its reason, and an exit code", wrong.len()))
}

pub(super) fn plugins_file(bench: &Bench) -> Result<String> {
    let room = bench.room("plugins")?;
    fs::write(
        room.join("plugins.conf"),
        format!("[PLUGINS]\n Path {}\n", bench.plugin().display()),
    )?;
    let filter = filter(bench, "enrich.wat", "filter", "")?;
    let service = format!("{SERVICE} Plugins_File plugins.conf\n");
    fs::write(room.join("agent.conf"), format!("{service}{}{filter}{TO_FILE}", dummy(1, 100)))?;
    let mut agent =
        bench.start_as(&room, Command::new(&bench.program).args(["-c", "agent.conf"]))?;
    agent.wait("a record comes", |_| lines(&room) > 0)?;
    agent.end()?.well()?;
    ensure!(read(&room.join("records")).contains("\"tag\":\"dummy.0\""), "the filter is not there");
    Ok("[PLUGINS] Path".to_owned())
}

pub(super) fn million(bench: &Bench) -> Result<String> {
    const LINES: usize = 1_000_000;
    let room = bench.room("million")?;
    let mut text = String::with_capacity(LINES * 16);
    (0..LINES).for_each(|number| text += &format!("{{\"n\":{number}}}\n"));
    fs::write(room.join("lines"), text)?;
    fs::write(room.join("parsers.conf"), "[PARSER]\n Name json\n Format json\n")?;
    let filter = filter(bench, "enrich.wat", "filter", "")?;
    let tail = "[INPUT]\n Name tail\n Path lines\n Read_from_Head on\n Parser json\n Tag t\n";
    let service = format!("{SERVICE} Parsers_File parsers.conf\n");
    let mut agent = bench.start(&room, &format!("{service}{tail}{filter}{TO_FILE}"))?;
    let size = |_: &Agent| fs::metadata(room.join("records")).map_or(0, |file| file.len());
    let mut before = 0;
    // Lines are counted only when no more come.
    loop {
        sleep(Duration::from_secs(1));
        agent.wait("records come", |agent| size(agent) > 0)?;
        let now = size(&agent);
        if now == before {
            break;
        }
        before = now;
    }
    let ended = agent.end()?.well()?;
    let records = read(&room.join("records"));
    let numbers = records.lines().enumerate();
    let right = numbers
        .filter(|(number, line)| line.contains(&format!("{{\"n\":{number},\"tag\":\"t\"}}")))
        .count();
    ensure!(
        right == LINES && records.lines().count() == LINES,
        "{right} of {LINES}:\n{}",
        ended.said
    );
    ensure!(told(&ended.said, "replaced") == LINES, "{}", ended.said);
    fs::remove_dir_all(room)?;
    Ok("in = out, in order, and the filter's books agree".to_owned())
}

pub(super) fn metrics(bench: &Bench) -> Result<String> {
    let room = bench.room("metrics")?;
    let port = free_port()?;
    let service = format!("{SERVICE} HTTP_Server on\n HTTP_Listen 127.0.0.1\n HTTP_Port {port}\n");
    let filters = filter(bench, "enrich.wat", "filter", " Alias x\n")?
        + &filter(bench, "counting.wat", "filter", " Alias y\n")?;
    let mut agent = bench.start(&room, &format!("{service}{}{filters}{TO_FILE}", dummy(1, 100)))?;
    let wanted = [
        "flb_filter_verdicts_total{name=\"x\",verdict=\"replaced\"}",
        "flb_filter_failures_total{name=\"x\",class=\"trap\"} 0",
        "flb_filter_guest_memory_bytes{name=\"x\"} 65536",
        "flb_filter_module_info{name=\"x\",sha256=",
        "flb_filter_guest_total{name=\"y\",counter=\"seen\"}",
        "flb_filter_guest_values_bucket{name=\"y\",histogram=\"sizes\",le=\"2.5\"}",
        "flb_filter_guest_values_sum{name=\"y\",histogram=\"sizes\"}",
    ];
    agent.wait("all metrics are there", |_| {
        let text = get(port, "/api/v2/metrics/prometheus").unwrap_or_default();
        wanted.iter().all(|metric| text.contains(metric)) && !text.contains("replaced\"} 0")
    })?;
    agent.end()?.well()?;
    Ok("/api/v2/metrics/prometheus has flb_filter_…".to_owned())
}

fn get(port: u16, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    // What has come by the time counts.
    let _ = stream.read_to_end(&mut answer);
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

pub(super) fn trap_after_signals(bench: &Bench) -> Result<String> {
    let room = bench.room("trap")?;
    for function in ["stomp", "divide", "unreachable"] {
        let filter = filter(bench, "faults.wat", function, "")?;
        // No reload, so that it is the same filter all the time.
        let mut agent =
            bench.start(&room, &format!("{SERVICE}{}{filter}{TO_FILE}", dummy(1, 20)))?;
        for name in ["CONT", "HUP", "CONT"] {
            let before = lines(&room);
            agent.wait("more records come", |_| lines(&room) > before + 3)?;
            agent.signal(name)?;
        }
        let before = lines(&room);
        agent.wait("more records come", |_| lines(&room) > before + 3)?;
        let ended = agent.end()?.well()?;
        let failures = told(&ended.said, "trap");
        ensure!(failures > 9, "{failures} traps:\n{}", ended.said);
    }
    Ok("three kinds of traps survive CONT, HUP, CONT".to_owned())
}

pub(super) fn storm(bench: &Bench) -> Result<String> {
    const SIGNALS: usize = 1_000;
    let room = bench.room("storm")?;
    let filter = filter(bench, "faults.wat", "stomp", "")?;
    let null = "[OUTPUT]\n Name null\n Match *\n";
    let mut agent = bench.start(&room, &format!("{SERVICE}{}{filter}{null}", dummy(20, 10)))?;
    agent.wait("it has started", |agent| agent.said().contains("Got exception"))?;
    for _ in 0..SIGNALS {
        agent.signal("CONT")?;
        sleep(Duration::from_millis(4));
    }
    let ended = agent.end()?.well()?;
    let traps = told(&ended.said, "trap");
    ensure!(traps > 1_000, "only {traps} traps:\n{}", ended.said);
    Ok(format!("{SIGNALS} CONT, one each 4 ms, beside {traps} traps"))
}

pub(super) fn reload(bench: &Bench) -> Result<String> {
    const RELOADS: usize = 5;
    let room = bench.room("reload")?;
    let filter = filter(bench, "enrich.wat", "filter", "")?;
    let tail = "[INPUT]\n Name tail\n Path lines\n DB offsets\n Read_from_Head on\n Refresh_Interval 1\n Tag t\n";
    fs::write(room.join("lines"), "")?;
    let service = format!("{SERVICE} Hot_Reload on\n");
    let mut agent = bench.start(&room, &format!("{service}{tail}{filter}{TO_FILE}"))?;
    let mut file = OpenOptions::new().append(true).open(room.join("lines"))?;
    let mut written = 0;
    for reload in 1..=RELOADS {
        for _ in 0..200 {
            for _ in 0..20 {
                writeln!(file, "{written}")?;
                written += 1;
            }
            sleep(Duration::from_millis(5));
        }
        agent.signal("HUP")?;
        let started = |agent: &Agent| agent.said().matches("[sp] stream processor started").count();
        agent.wait("it starts again", |agent| started(agent) > reload)?;
    }
    // What is missing then is told below.
    let _ = agent.wait("all records come", |_| lines(&room) >= written);
    agent.end()?.well()?;
    let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
    for line in read(&room.join("records")).lines() {
        let number = line.split_once("\"log\":\"").and_then(|(_, rest)| rest.split_once('"'));
        let number = number.and_then(|(number, _)| number.parse().ok());
        *seen.entry(number.with_context(|| line.to_owned())?).or_default() += 1;
    }
    let (lost, twice) = (written - seen.len(), seen.values().filter(|count| **count > 1).count());
    ensure!((lost, twice) == (0, 0), "of {written} lines, {lost} lost, {twice} twice");
    Ok(format!("{RELOADS} by SIGHUP, {written} records, none lost, none twice"))
}

pub(super) fn endless(bench: &Bench) -> Result<String> {
    let room = bench.room("endless")?;
    let filter = filter(bench, "faults.wat", "loop", " Deadline 1\n")?;
    let input = format!("{} Samples 40\n", dummy(40, 50));
    let mut agent = bench.start(&room, &format!("{SERVICE}{input}{filter}{TO_FILE}"))?;
    agent.wait("the first call is ended", |agent| agent.said().contains("than its deadline"))?;
    let ended = agent.end()?;
    let took = ended.took.as_secs_f64();
    ensure!(took < 15.0, "it took {took:.1} s to end:\n{}", ended.said);
    ended.well()?;
    Ok(format!("40 of them at Deadline 1: SIGTERM ends the agent in {took:.1} s, Grace 5"))
}

pub(super) fn coroutine(bench: &Bench) -> Result<String> {
    let room = bench.room("coroutine")?;
    let filter = filter(bench, "rust-enrich.wasm", "rust_filter", "")?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let input = format!(
        "[INPUT]\n Name health\n Host 127.0.0.1\n Port {port}\n Interval_Sec 0\n Interval_NSec 50000000\n Alert false\n"
    );
    let mut agent = bench.start(&room, &format!("{SERVICE}{input}{filter}{TO_FILE}"))?;
    agent.wait("records come", |_| lines(&room) >= 30)?;
    let ended = agent.end()?.well()?;
    let records = read(&room.join("records"));
    ensure!(
        records.lines().all(|line| line.contains("\"lang\":\"Rust\"")),
        "{records}\n{}",
        ended.said
    );
    Ok(format!(
        "input health: {} of {} records filtered",
        told(&ended.said, "replaced"),
        told(&ended.said, "records")
    ))
}

pub(super) fn processors(bench: &Bench) -> Result<String> {
    let room = bench.room("processors")?;
    let module = bench.module("enrich.wat")?;
    let unit = format!(
        "- name: aot\n            wasm_path: {module}\n            function_name: filter\n"
    );
    let configuration = format!(
        "service:\n  flush: 0.2\n  grace: 5\npipeline:\n  inputs:\n    - name: dummy\n      tag: a\n      threaded: on\n      \
         interval_sec: 0\n      interval_nsec: 20000000\n      processors:\n        logs:\n          {unit}    \
         - name: dummy\n      tag: b\n      threaded: on\n      rate: 50\n  filters:\n    - name: aot\n      match: b\n      \
         wasm_path: {module}\n      function_name: filter\n  outputs:\n    - name: file\n      match: '*'\n      path: .\n      \
         file: records\n      format: plain\n      processors:\n        logs:\n          {unit}"
    );
    let mut agent = bench.start(&room, &configuration)?;
    agent.wait("records come", |_| lines(&room) > 100)?;
    let ended = agent.end()?.well()?;
    let records = read(&room.join("records"));
    // Once on its way in, and once on its way out.
    let twice = |tag: &str| {
        let both = format!("\"tag\":\"{tag}\",\"tag\":\"{tag}\"");
        let once = format!("\"tag\":\"{tag}\"");
        records
            .lines()
            .filter(|line| line.contains(&both) || line.matches(&once).count() == 1)
            .count()
    };
    let (a, b) = (twice("a"), twice("b"));
    ensure!(
        a > 10 && b > 10 && a + b == records.lines().count(),
        "{a} and {b}:\n{records}{}",
        ended.said
    );
    Ok(format!("of a threaded input and of an output: {} records", a + b))
}

pub(super) fn beside(bench: &Bench) -> Result<String> {
    let help = output(Command::new(&bench.program).arg("--help"))?;
    if !help.contains(" wasm ") {
        return Ok("SKIPPED: this build has no filter wasm".to_owned());
    }
    let room = bench.room("beside")?;
    let ours = filter(bench, "faults.wat", "stomp", "")?;
    let theirs = filter(bench, "c-plain.wasm", "c_filter", "")?.replace("Name aot", "Name wasm");
    let mut agent =
        bench.start(&room, &format!("{SERVICE}{}{ours}{theirs}{ours}{TO_FILE}", dummy(1, 20)))?;
    agent.wait("records come", |_| lines(&room) > 30)?;
    agent.signal("CONT")?;
    agent.wait("more records come", |_| lines(&room) > 60)?;
    let ended = agent.end()?.well()?;
    ensure!(ended.said.contains("out of bounds memory access"), "{}", ended.said);
    ensure!(read(&room.join("records")).contains("\"lang\":\"C\""), "{}", ended.said);
    Ok("both at work in one process, traps before and behind it".to_owned())
}

pub(super) fn beside_go(bench: &Bench) -> Result<String> {
    let room = bench.room("go")?;
    let library = room.join("out_gocount.so");
    let Ok(mut go) = toolchains::go() else {
        return Ok("SKIPPED: there is no compiler for Go".to_owned());
    };
    let machine = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    go.envs([("GOOS", "linux"), ("GOARCH", machine), ("CGO_ENABLED", "1")]);
    go.args(["build", "-buildmode=c-shared", "-o"]).arg(&library).arg(".");
    output(go.current_dir(root().join("tests/fluent-bit/go")))?;
    let filter = filter(bench, "faults.wat", "stomp", "")?;
    let null = "[OUTPUT]\n Name gocount\n Match *\n";
    let configuration = format!("{SERVICE}{}{filter}{null}{TO_FILE}", dummy(1, 20));
    fs::write(room.join("agent.conf"), configuration)?;
    let mut command = Command::new(&bench.program);
    command.arg("-e").arg(bench.plugin()).arg("-e").arg(&library).args(["-c", "agent.conf"]);
    let mut agent = bench.start_as(&room, &mut command)?;
    let flushes = || read(&room.join("flushes"));
    agent.wait("Go has its faults, and goes on", |_| flushes().lines().count() > 5)?;
    // From here on faults of Go's are Fluent Bit's, with the filter as without it; the filter's stay its own.
    agent.signal("CONT")?;
    let before = lines(&room);
    agent.wait("more records come", |_| lines(&room) > before + 30)?;
    let ended = agent.end()?.well()?;
    let caught = flushes().matches("caught").count();
    ensure!(caught == 3, "of Go's three faults {caught} are Go's:\n{}", ended.said);
    Ok(format!(
        "both at work in one process: 3 faults of Go's, {} traps",
        told(&ended.said, "trap")
    ))
}

/// The handlers that a process has of its own, as the system shows them.
fn caught_signals(process: u32) -> Result<String> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    Ok(line.context("no SigCgt")?.trim().to_owned())
}

pub(super) fn explicit_traps(bench: &Bench) -> Result<String> {
    let room = bench.room("explicit")?;
    let mut agent = bench.start(&room, &format!("{SERVICE}{}{TO_FILE}", dummy(1, 20)))?;
    agent.wait("records come", |_| lines(&room) > 3)?;
    let without = caught_signals(agent.id())?;
    agent.end()?.well()?;
    for function in ["stomp", "divide", "unreachable", "loop"] {
        let room = bench.room("explicit")?;
        let others = " Traps explicit\n Deadline 0.02\n";
        let filter = filter(bench, "faults.wat", function, others)?;
        let mut agent =
            bench.start(&room, &format!("{SERVICE}{}{filter}{TO_FILE}", dummy(1, 50)))?;
        agent.wait("records come", |_| lines(&room) > 3)?;
        let with = caught_signals(agent.id())?;
        ensure!(with == without, "it handles {with}, and without the filter {without}");
        agent.signal("CONT")?;
        let before = lines(&room);
        agent.wait("more records come", |_| lines(&room) > before + 3)?;
        agent.end()?.well()?;
    }
    Ok("three kinds of traps and deadlines, before and after CONT, and no signal is taken"
        .to_owned())
}

pub(super) fn daemon(bench: &Bench) -> Result<String> {
    let room = bench.room("daemon")?;
    let filter = filter(bench, "faults.wat", "stomp", "")?;
    let file = format!(
        "[OUTPUT]\n Name file\n Match *\n Path {}\n File records\n Format plain\n",
        room.display()
    );
    let service = format!("{SERVICE} Log_File {}\n", room.join("said").display());
    fs::write(room.join("agent.conf"), format!("{service}{}{filter}{file}", dummy(1, 20)))?;
    let mut command = Command::new(&bench.program);
    command.arg("-d").arg("-e").arg(bench.plugin()).arg("-c").arg(room.join("agent.conf"));
    bench.start_as(&room, &mut command)?.ended()?.well()?;
    let process = wait_for_process(&room)?;
    for _ in 0..500 {
        if lines(&room) > 20 {
            break;
        }
        sleep(Duration::from_millis(20));
    }
    signal(process, "TERM")?;
    for _ in 0..1000 {
        if !Path::new(&format!("/proc/{process}")).exists() {
            ensure!(lines(&room) > 20, "only {} records", lines(&room));
            return Ok(format!("with -d: {} traps kept", lines(&room)));
        }
        sleep(Duration::from_millis(20));
    }
    signal(process, "KILL")?;
    bail!("the background process does not end")
}

/// The process whose configuration lies in this room.
fn wait_for_process(room: &Path) -> Result<u32> {
    let configuration = room.join("agent.conf").display().to_string();
    for _ in 0..500 {
        for entry in fs::read_dir("/proc")?.flatten() {
            let id = entry.file_name().to_string_lossy().parse::<u32>();
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if let (Ok(id), true) = (id, String::from_utf8_lossy(&line).contains(&configuration)) {
                return Ok(id);
            }
        }
        sleep(Duration::from_millis(10));
    }
    bail!("there is no background process")
}

pub(super) fn address_space(bench: &Bench) -> Result<String> {
    let room = bench.room("space")?;
    let filter = filter(bench, "enrich.wat", "filter", "")?;
    fs::write(room.join("agent.conf"), format!("{SERVICE}{}{filter}{TO_FILE}", dummy(1, 50)))?;
    let script = format!(
        "ulimit -v 3000000; exec {} -e {} -c agent.conf",
        bench.program.display(),
        bench.plugin().display()
    );
    let mut agent = bench.start_as(&room, Command::new("sh").args(["-c", &script]))?;
    // It either goes without, or says that it cannot.
    let come = agent.wait("records come", |_| lines(&room) > 5);
    if come.is_ok() {
        agent.end()?.well()?;
        ensure!(read(&room.join("records")).contains("\"tag\""), "records pass unfiltered");
        return Ok("3 GB: it runs all the same".to_owned());
    }
    let said = agent.said();
    let ended = agent.ended()?;
    ensure!(ended.status.code().is_some_and(|code| code != 0), "{}:\n{said}", ended.status);
    ensure!(said.contains("[filter:aot:aot.0]") && said.contains("memory"), "{said}");
    let reason = said.lines().find(|line| line.contains("[filter:aot:aot.0]")).unwrap_or_default();
    let reason = reason.rsplit_once("] ").map_or(reason, |(_, reason)| reason);
    Ok(format!("3 GB: refused, “{reason}”"))
}
