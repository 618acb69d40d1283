//! `exec_wasi`: runs a WebAssembly program now and then, and makes a record of each line, or of each msgpack value, that it
//! prints.

use std::time::Duration;

use flb_event::msgpack::{MsgpackError, map_header};
use flb_event::{Event, Timestamp};
use flb_net::forward::decode::{Entries, Entry, Records};
use flb_plugin::keys::{Bool, Choice, Double, Key, Required, Size, Text, Word};
use flb_plugin::{
    BoxFuture, Build, BuildError, Closed, Context, Counter, End, Input, InputError, Metric,
    Options, Spec, Table, keys,
};
use flb_runtime::{Program, ProgramOptions, ProgramRun};

use super::shared::clock;
use super::shared::interval;
use super::shared::printed::Printed;
use super::shared::records;
use flb_guest::host::{self, Traps};
use flb_plugin::log::Label;

keys! {
    const KEYS;
    WASI_PATH: Required<Text> = Key::new("wasi_path", "The program: a .wasm or .aot file")
        .required("no WASI 'program path' was given", "add WASI_Path");
    FORMAT: Choice<Format> =
        Key::new("format", "What the program prints: lines, or msgpack").default("lines");
    PARSER: Option<Text> = Key::new("parser", "Parser of the lines");
    ONESHOT: Bool = Key::new("oneshot", "Run once, at the start").default("off");
    DEADLINE: Double = Key::new("deadline", "Longest time for a run, in seconds").default("10");
    OUTPUT_LIMIT: Size =
        Key::new("output_limit", "Most bytes that a run may print; more ends it").default("16M");
    BUF_SIZE: Option<Size> =
        Key::new("buf_size", "").idle("a line is one record, however long it is");
}

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "exec_wasi",
    about: "Run a WebAssembly program (.wasm or .aot) now and then; what it prints are records",
    options: Table(&[KEYS, host::KEYS, interval::KEYS]),
    build,
};

/// What a program prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Each line is a record.
    Lines,
    /// Each value is a record, or is none: a map, or an entry of the Forward protocol, with its time.
    Msgpack,
}

impl Word for Format {
    const ALL: &'static [(&'static str, Self)] =
        &[("lines", Self::Lines), ("msgpack", Self::Msgpack)];
}

const DAMAGED: Metric =
    Metric::new("damaged_runs", "Runs that printed what is no record.").worded("damaged runs");

/// The key of a line that is not parsed.
const KEY: &str = "wasi_stdout";

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    let label = Label::input("exec_wasi", build);
    let path = options.get(WASI_PATH)?;
    let (format, parser) = (options.get(FORMAT), options.get(PARSER));
    if format == Format::Msgpack && parser.is_some() {
        return Err(BuildError::new("a parser is for lines, and Format msgpack has none")
            .help("leave Parser out: msgpack needs none"));
    }
    let parser = records::parser(parser, build)?;
    let (engine, bytes, path) = host::open(path, build.service, Traps::default())?;
    let program_options = ProgramOptions {
        deadline: host::deadline(DEADLINE.name(), options.get(DEADLINE))?,
        memory_limit: host::memory_limit(options),
        output_limit: usize::try_from(options.get(OUTPUT_LIMIT)).unwrap_or(usize::MAX),
        required: host::required(options, build.service)?,
        sandbox: host::sandbox(options, &path, &label)?,
    };
    let program = Program::load(&engine, bytes, program_options)
        .map_err(|error| BuildError::new(format!("{}: {error}", path.display())))?;
    host::log_notes(&label, &path, program.notes(), program.unknown_imports());
    Ok(Box::new(ExecWasi {
        program,
        format,
        damaged: build.metrics.counter(&DAMAGED),
        printed: Printed::new(label.clone(), build.tag.clone(), KEY, parser),
        interval: interval::interval(options),
        once: options.get(ONESHOT),
        label,
        denied: false,
    }))
}

struct ExecWasi {
    program: Program,
    format: Format,
    damaged: Counter,
    printed: Printed,
    interval: Duration,
    once: bool,
    label: Label,
    /// Whether the log says that the program asked for files that it was not granted.
    denied: bool,
}

impl Input for ExecWasi {
    fn run<'a>(
        mut self: Box<Self>,
        context: &'a dyn Context,
    ) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            // A closed pipeline is a stop like another.
            let _ = self.run_often(context).await;
            Ok(End::Quiet)
        })
    }
}

impl ExecWasi {
    async fn run_often(&mut self, context: &dyn Context) -> Result<(), Closed> {
        if self.once {
            return self.run_once(context).await;
        }
        let mut wait = self.interval;
        while !clock::stopped_within(context, wait).await {
            let begun = context.now();
            self.run_once(context).await?;
            // A run that takes longer than the interval is followed by the next one at once.
            wait = self.interval.saturating_sub(clock::between(begun, context.now()));
        }
        Ok(())
    }

    /// Runs the program and hands over what it printed. A stop waits for the run to end, so that its records are not lost.
    async fn run_once(&mut self, context: &dyn Context) -> Result<(), Closed> {
        let program = self.program.clone();
        let run = match tokio::task::spawn_blocking(move || program.run()).await {
            Ok(Ok(run)) => run,
            Ok(Err(error)) => {
                self.printed.complain(&error.to_string());
                return Ok(());
            }
            Err(error) => {
                self.printed.complain(&error.to_string());
                return Ok(());
            }
        };
        self.check(&run);
        match self.format {
            Format::Lines => self.emit_lines(&run.stdout, context).await?,
            Format::Msgpack => self.emit_values(&run.stdout, context).await?,
        }
        match self.printed.take() {
            Some(batch) => context.emit(batch).await,
            None => Ok(()),
        }
    }

    async fn emit_lines(&mut self, stdout: &[u8], context: &dyn Context) -> Result<(), Closed> {
        let now = context.now();
        let text = stdout.strip_suffix(b"\n").unwrap_or(stdout);
        for line in text.split(|byte| *byte == b'\n').filter(|_| !stdout.is_empty()) {
            self.printed.push(line, now);
            if let Some(batch) = self.printed.full() {
                context.emit(batch).await?;
            }
        }
        Ok(())
    }

    async fn emit_values(&mut self, stdout: &[u8], context: &dyn Context) -> Result<(), Closed> {
        let now = context.now();
        let (mut strays, mut damage) = (0, None);
        for entry in Records::new(&Entries::Many(stdout), stdout) {
            match entry.map(|entry| event(entry, now)) {
                Ok(Ok(event)) => self.printed.push_event(event),
                Ok(Err(is_stray)) => strays += u64::from(is_stray),
                Err(error) => damage = Some(error),
            }
            if let Some(batch) = self.printed.full() {
                context.emit(batch).await?;
            }
        }
        self.complain_of(strays, damage.as_ref(), stdout.len());
        Ok(())
    }

    /// Says what of a run's output was no record.
    fn complain_of(&self, strays: u64, damage: Option<&MsgpackError>, bytes: usize) {
        const HELP: &str =
            "help: print whole msgpack values to stdout, and words for people to stderr";
        if let Some(error) = damage {
            self.printed.complain(&format!(
                "what it printed is damaged, and the rest of its {bytes} bytes is lost: {error}; {HELP}"
            ));
        }
        if strays > 0 {
            self.printed.complain(&format!(
                "{strays} values that it printed are no records, and are lost; {HELP}"
            ));
        }
        self.damaged.add(u64::from(damage.is_some() || strays > 0));
    }

    fn check(&mut self, run: &ProgramRun) {
        if let Some(path) = run.denied.as_ref().filter(|_| !self.denied) {
            host::log_denied(&self.label, path);
            self.denied = true;
        }
        match &run.ended {
            Ok(0) => {}
            Ok(code) => self.printed.complain(&format!("the program exited with {code}")),
            Err(error) => self.printed.complain(&format!("the run failed: {error}")),
        }
    }
}

/// The record that an entry is, or whether it ought to be one.
fn event(entry: Entry<'_>, now: Timestamp) -> Result<Event<'_>, bool> {
    match entry {
        Entry::Record { time, metadata, body } => {
            Ok(Event { time: time.unwrap_or(now), metadata, body })
        }
        Entry::NoRecord(body) if map_header(body).is_ok() => {
            Ok(Event { time: now, metadata: Event::NO_METADATA, body })
        }
        Entry::NoRecord(_) => Err(true),
        Entry::Group => Err(false),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use flb_harness::Scene;

    /// A program that prints `text` to its stdout, then does what `then` says.
    fn program(text: impl AsRef<[u8]>, then: &str) -> String {
        let text = text.as_ref();
        let (length, escaped): (usize, String) =
            (text.len(), text.iter().map(|byte| format!("\\{byte:02x}")).collect());
        format!(
            r#"(module
                (import "wasi_snapshot_preview1" "fd_write"
                    (func $write (param i32 i32 i32 i32) (result i32)))
                (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (memory (export "memory") 1)
                (global $runs (mut i32) (i32.const 0))
                (data (i32.const 1024) "{escaped}")
                (func (export "_start")
                    (i32.store (i32.const 0) (i32.const 1024))
                    (i32.store (i32.const 4) (i32.const {length}))
                    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))
                    {then}))"#
        )
    }

    /// What comes of a program within some seconds from 1000.0; and the log.
    fn run(wat: &str, seconds: f64, options: &[(&str, &str)]) -> (Vec<String>, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("program.wasm");
        fs::write(&path, wat::parse_str(wat).unwrap()).unwrap();
        let scene = Scene::new(1000.0).until(1000.0 + seconds);
        let mut options = options.to_vec();
        options.push(("wasi_path", path.to_str().unwrap()));
        assert_eq!(scene.run(&SPEC, &options).unwrap(), End::Quiet);
        (scene.records(), scene.log())
    }

    fn check(wat: &str, seconds: f64, options: &[(&str, &str)], expected: &[&str]) -> String {
        let (records, log) = run(wat, seconds, options);
        assert_eq!(records, expected, "{log}");
        log
    }

    #[test]
    fn each_run_gives_its_lines_in_a_fresh_instance() {
        // The exit code is how often this memory has run.
        let count = "(global.set $runs (i32.add (global.get $runs) (i32.const 1)))
            (if (i32.ne (global.get $runs) (i32.const 1)) (then unreachable))";
        let log = check(
            &program("one\ntwo\r\n\nlast", count),
            3.0,
            &[],
            &[
                r#"t 1001.000000000 {"wasi_stdout":"one"}"#,
                r#"t 1001.000000000 {"wasi_stdout":"two\r"}"#,
                r#"t 1001.000000000 {"wasi_stdout":""}"#,
                r#"t 1001.000000000 {"wasi_stdout":"last"}"#,
                r#"t 1002.000000000 {"wasi_stdout":"one"}"#,
                r#"t 1002.000000000 {"wasi_stdout":"two\r"}"#,
                r#"t 1002.000000000 {"wasi_stdout":""}"#,
                r#"t 1002.000000000 {"wasi_stdout":"last"}"#,
            ],
        );
        assert_eq!(log, "");
    }

    #[test]
    fn the_interval_is_in_seconds_and_nanoseconds_and_never_zero() {
        let wat = program("x\n", "");
        let times = |options: &[(&str, &str)]| -> Vec<String> {
            let (records, _) = run(&wat, 3.2, options);
            records.iter().map(|one| one.split(' ').nth(1).unwrap().to_owned()).collect()
        };
        let half = [("interval_sec", "1"), ("interval_nsec", "500000000")];
        assert_eq!(times(&half), ["1001.500000000", "1003.000000000"]);
        let second = ["1001.000000000", "1002.000000000", "1003.000000000"];
        assert_eq!(times(&[("interval_sec", "0")]), second);
        assert_eq!(times(&[("interval_sec", "-1"), ("interval_nsec", "-5")]), second);
    }

    #[test]
    fn oneshot_runs_once_and_at_once() {
        let expected = [r#"t 1000.000000000 {"wasi_stdout":"x"}"#];
        check(&program("x\n", ""), 5.0, &[("oneshot", "on")], &expected);
    }

    #[test]
    fn a_parser_makes_the_records_and_what_it_refuses_is_kept() {
        let log = check(
            &program("{\"a\":1}\n\nno json\n", ""),
            5.0,
            &[("oneshot", "on"), ("parser", "json")],
            &[r#"t 1000.000000000 {"a":1}"#, r#"t 1000.000000000 {"wasi_stdout":"no json"}"#],
        );
        assert!(log.contains("a line is kept unparsed: 'no json' ("), "{log}");
    }

    const MSGPACK: [(&str, &str); 2] = [("oneshot", "on"), ("format", "msgpack")];

    #[test]
    fn values_are_records_with_the_time_that_they_say_or_now() {
        let printed = [
            &b"\x81\xa1a\x01"[..],
            b"\x92\xd7\0\0\0\0\x07\0\0\0\x05\x81\xa1a\xa1\n",
            b"\x92\x09\x81\xa1a\x03",
            b"\x92\x92\x08\x81\xa1m\x01\x81\xa1a\x04",
            b"\x92\xc0\x81\xa1a\xc4\x01\xff",
        ];
        let log = check(
            &program(printed.concat(), ""),
            5.0,
            &MSGPACK,
            &[
                r#"t 1000.000000000 {"a":1}"#,
                r#"t 7.000000005 {"a":"\n"}"#,
                r#"t 9.000000000 {"a":3}"#,
                r#"t 8.000000000 {"a":4}"#,
                "t 1000.000000000 {\"a\":\"\u{fffd}\"}",
            ],
        );
        assert_eq!(log, "");
        assert_eq!(check(&program("", ""), 5.0, &MSGPACK, &[]), "");
    }

    #[test]
    fn what_is_no_record_is_told_and_the_records_before_and_behind_it_are_kept() {
        let records = [r#"t 1000.000000000 {"a":1}"#, r#"t 1000.000000000 {"a":2}"#];
        let stray = program(b"\x81\xa1a\x01hello\n\xa1x\x91\x01\x81\xa1a\x02", "");
        let log = check(&stray, 5.0, &MSGPACK, &records);
        assert!(
            log.contains("8 values that it printed are no records, and are lost; help: print"),
            "{log}"
        );
        let broken = program(b"\x81\xa1a\x01\x81\xa1a\x02\xc1\x81\xa1a\x03", "");
        let log = check(&broken, 5.0, &MSGPACK, &records);
        let words =
            "the rest of its 13 bytes is lost: 0xc1 at byte 8 begins no msgpack value; help: print";
        assert!(log.contains(words), "{log}");
        let cut = program(b"\x81\xa1a\x01\x81\xa1a\x02\x81\xa1", "unreachable");
        let log = check(&cut, 5.0, &MSGPACK, &records);
        assert!(log.contains("the run failed: Exception: unreachable"), "{log}");
        assert!(log.contains(" is cut off; help: print"), "{log}");
    }

    #[test]
    fn an_exit_is_no_failure_unless_its_code_says_so() {
        let expected = [r#"t 1000.000000000 {"wasi_stdout":"x"}"#];
        let exit = |code| program("x\n", &format!("(call $exit (i32.const {code}))"));
        assert_eq!(check(&exit(0), 5.0, &[("oneshot", "on")], &expected), "");
        let log = check(&exit(3), 5.0, &[("oneshot", "on")], &expected);
        assert!(log.contains("the program exited with 3 [1 so far]"), "{log}");
    }

    #[test]
    fn what_was_printed_before_a_failure_is_kept() {
        let check = |then: &str, words: &str| {
            let options = [
                ("oneshot", "on"),
                ("deadline", "0.2"),
                ("memory_limit", "1M"),
                ("wasm_heap_size", "1k"),
                ("wasm_stack_size", "1k"),
            ];
            let (records, log) = run(&program("x\n", then), 5.0, &options);
            assert_eq!(records, [r#"t 1000.000000000 {"wasi_stdout":"x"}"#], "{log}");
            assert!(log.contains(words), "{log}");
        };
        check("unreachable", "the run failed: Exception: unreachable");
        check("(loop (br 0))", "longer than its deadline of 200 ms");
        let grow = "(if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))";
        check(grow, "the run failed: Exception: out of memory: 1024 KiB more were refused");
    }

    #[test]
    fn more_output_than_the_limit_ends_the_run_and_the_rest_is_kept() {
        let log = check(
            &program("one\ntwo\nthree\n", "unreachable"),
            5.0,
            &[("oneshot", "on"), ("output_limit", "6")],
            &[
                r#"t 1000.000000000 {"wasi_stdout":"one"}"#,
                r#"t 1000.000000000 {"wasi_stdout":"tw"}"#,
            ],
        );
        assert!(log.contains("it wrote more than 6 bytes to its stdout"), "{log}");
    }

    #[test]
    fn what_cannot_be_run_is_refused_at_start() {
        let refused = |options: &[(&str, &str)]| {
            let scene = Scene::new(1000.0);
            scene.build(&SPEC, options, build).err().unwrap().message
        };
        assert_eq!(refused(&[]), "no WASI 'program path' was given");
        let missing = refused(&[("wasi_path", "/no/such/file")]);
        assert!(missing.contains("cannot access wasm program at /no/such/file"), "{missing}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("library.wasm");
        let library = r#"(module (func (export "f")))"#;
        fs::write(&path, wat::parse_str(library).unwrap()).unwrap();
        let path = path.to_str().unwrap();
        let library = refused(&[("wasi_path", path)]);
        assert!(library.contains("WASI main function is not found; exported functions: f"));
        let both = refused(&[("wasi_path", path), ("parser", "json"), ("format", "msgpack")]);
        assert_eq!(both, "a parser is for lines, and Format msgpack has none");
        let parser = refused(&[("wasi_path", path), ("parser", "nope")]);
        assert_eq!(parser, "parser 'nope' is not known");
        let directory = refused(&[("wasi_path", path), ("accessible_paths", "/no/such/place")]);
        assert!(directory.contains("/no/such/place"), "{directory}");
    }
}
