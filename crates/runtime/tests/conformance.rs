//! The SDKs in every language, by the same filters: `sdk/conformance` has them and their cases, and its README says what both are.
//!
//! Each language's module runs all cases, whose answers are the same byte for byte; then it reads and writes records that nobody would
//! write, and answers that do not fit in the room there is. Go's module is taken from where `cargo xtask filters go` puts it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use flb_artifact::{Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use flb_event::msgpack::{self, Reader, Value};
use flb_event::{Chunk, ChunkBuilder, Event, Tag, Timestamp, Verdict, json};
use flb_runtime::{
    Answers, EngineOptions, FilterEngine, FilterError, FilterInstance, FilterModule, FilterOptions,
    LoadError, Part,
};
use libtest_mimic::{Arguments, Failed, Trial};

const LANGUAGES: &[&str] = &["as", "c", "go", "rust", "zig"];

fn main() {
    let trials = LANGUAGES.iter().map(|language| {
        let path = module(language);
        let missing = !path.exists();
        // Skipped, and said so: `cargo xtask filters go` makes it.
        Trial::test(*language, move || check(&path)).with_ignored_flag(missing)
    });
    // Skipped as well where there is no compiler: `cargo xtask filters` brings those that lack.
    let examples = HEADS.iter().map(|head| {
        Trial::test(format!("the head's example in {}", head.language), || head.check())
            .with_ignored_flag(!head.is_there())
    });
    let trials: Vec<Trial> = trials.chain(examples).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn module(language: &str) -> PathBuf {
    match language {
        "go" => Path::new(env!("CARGO_TARGET_TMPDIR")).join("../filters/sdk-conformance/go.wasm"),
        _ => conformance().join(language).with_extension("wasm"),
    }
}

fn sdk() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk")
}

fn conformance() -> PathBuf {
    sdk().join("conformance")
}

fn check(path: &Path) -> Result<(), Failed> {
    let module = Module::of(path)?;
    let cases = fs::read_to_string(conformance().join("cases.jsonl"))?;
    let wrong: Vec<String> =
        cases.lines().map(Case::parse).filter_map(|case| wrong(&module, &case)).collect();
    if !wrong.is_empty() {
        return Err(wrong.join("\n").into());
    }
    what_is_copied_stays_the_same(&module)?;
    answers_find_their_room(&module)?;
    a_long_record_has_room_for_its_text(&module)
}

/// Where an SDK's head has its example, and what it is compiled by.
struct Head {
    language: &'static str,
    /// The file with the head, in `sdk`.
    file: &'static str,
    /// What stands before each line of the example; what is before every line of the head is its beginning.
    indent: &'static str,
    /// What the example is called when it is compiled.
    source: &'static str,
    /// What else is copied there, by its name there.
    beside: &'static [(&'static str, &'static str)],
    /// The shell's words for the compiler: `TOOLS` is where `cargo xtask filters` puts those that it brings, `SDK` the folder of SDKs.
    compiler: &'static str,
    /// How it says that it is there.
    version: &'static str,
    /// What it is told behind that.
    build: &'static str,
}

const ASC: &str = "TOOLS/as/node_modules/.bin/asc";
const GO: &str = "GOOS=wasip1 GOARCH=wasm GOTOOLCHAIN=local GOROOT=TOOLS/go/go GOCACHE=TOOLS/go-cache TOOLS/go/go/bin/go";
const ZIG: &str = "ZIG_GLOBAL_CACHE_DIR=TOOLS/zig-cache ZIG_LOCAL_CACHE_DIR=TOOLS/zig-local TOOLS/zig/ziglang/zig";

const HEADS: &[Head] = &[
    Head {
        language: "c",
        file: "c/flb_filter.h",
        indent: " *     ",
        source: "hide.c",
        beside: &[],
        compiler: "clang",
        version: "--version",
        build: "--target=wasm32 -O2 -mbulk-memory -ffreestanding -Wall -Wextra -Werror -I SDK/c -c hide.c",
    },
    Head {
        language: "c++",
        file: "c/flb_filter.h",
        indent: " *     ",
        source: "hide.c",
        beside: &[],
        compiler: "clang",
        version: "--version",
        build: "-x c++ --target=wasm32 -O2 -mbulk-memory -ffreestanding -Wall -Wextra -Werror -I SDK/c -c hide.c",
    },
    Head {
        language: "zig",
        file: "zig/flb_filter.zig",
        indent: "//!     ",
        source: "hide.zig",
        beside: &[("zig/flb_filter.zig", "flb_filter.zig")],
        compiler: ZIG,
        version: "version",
        build: "build-exe -target wasm32-freestanding -fno-entry -rdynamic -O ReleaseFast -fstrip hide.zig",
    },
    Head {
        language: "assemblyscript",
        file: "assemblyscript/flb_filter.ts",
        indent: " *     ",
        source: "hide.ts",
        beside: &[("assemblyscript/flb_filter.ts", "flb_filter.ts")],
        compiler: ASC,
        version: "--version",
        build: "hide.ts -O3 --runtime stub --use abort=flb_filter/flbAbort -o hide.wasm",
    },
    Head {
        language: "go",
        file: "go/flb.go",
        indent: "//\t",
        source: "hide.go",
        beside: &[("conformance/go/go.mod", "go.mod")],
        compiler: GO,
        version: "version",
        build: "build -buildmode=c-shared -ldflags=-s -o hide.wasm .",
    },
];

impl Head {
    /// Runs a line for the compiler in a folder.
    fn compiler(&self, words: &str, folder: &Path) -> std::io::Result<std::process::Output> {
        let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../toolchains");
        let line = format!("{} {words}", self.compiler);
        let line = line.replace("TOOLS", &tools.canonicalize().unwrap_or(tools).to_string_lossy());
        let line = line.replace("SDK", &sdk().to_string_lossy());
        Command::new("sh").arg("-c").arg(line).current_dir(folder).output()
    }

    fn is_there(&self) -> bool {
        self.compiler(self.version, Path::new(".")).is_ok_and(|output| output.status.success())
    }

    /// The example compiles, by the command that stands below it.
    fn check(&self) -> Result<(), Failed> {
        let head = fs::read_to_string(sdk().join(self.file))?;
        let begin = self.indent.trim_end();
        let is_shown = |line: &&str| line.starts_with(self.indent) || line.trim_end() == begin;
        let is_command = |line: &&str| ["zig ", "asc "].iter().any(|name| line.starts_with(name));
        let lines = head.lines().skip_while(|line| !line.starts_with(self.indent));
        let lines = lines.take_while(is_shown);
        let example = lines.map(|line| line.strip_prefix(self.indent).unwrap_or_default());
        let example: Vec<&str> = example.filter(|line| !is_command(line)).collect();
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join(self.source), example.join("\n") + "\n")?;
        for (file, name) in self.beside {
            let text = fs::read_to_string(sdk().join(file))?;
            let go = sdk().join("go").display().to_string();
            fs::write(folder.path().join(name), text.replace("../../go", &go))?;
        }
        let compiled = self.compiler(self.build, folder.path())?;
        if compiled.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&compiled.stderr).into_owned().into())
    }
}

/// A language's module, compiled.
struct Module {
    engine: FilterEngine,
    artifact: Vec<u8>,
}

impl Module {
    fn of(path: &Path) -> Result<Self, Failed> {
        let compiler = Compiler::new(CompileOptions {
            targets: vec![Target::host().unwrap()],
            levels: Levels { opt_level: 3, size_level: 1 },
            embed_wasm: false,
            producer: "flb-runtime's tests".to_owned(),
            jobs: 1,
        });
        let artifact = compiler.compile(&fs::read(path)?)?;
        Ok(Self { engine: FilterEngine::new(EngineOptions::default())?, artifact })
    }

    fn start(
        &self,
        filter: &str,
        config: &[(String, String)],
    ) -> Result<FilterInstance, LoadError> {
        let options = FilterOptions {
            deadline: Duration::from_secs(60),
            config: config.to_vec(),
            name: "wasm.0".to_owned(),
            ..FilterOptions::new(filter)
        };
        FilterModule::load(&self.engine, self.artifact.clone(), options)?.instantiate()
    }
}

/// A line of `cases.jsonl`.
struct Case {
    about: String,
    filter: String,
    tag: Tag,
    time: Timestamp,
    metadata: Vec<u8>,
    config: Vec<(String, String)>,
    records: Vec<Vec<u8>>,
    becomes: Vec<Made>,
    fails: Vec<Failure>,
}

/// A record that leaves a filter.
#[derive(Clone, Debug, PartialEq)]
struct Made {
    tag: String,
    time: Timestamp,
    metadata: Vec<u8>,
    body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq)]
struct Failure {
    record: Option<usize>,
    class: String,
    why: String,
}

/// A JSON object of the suite, as msgpack.
struct Object<'a>(&'a [u8]);

impl<'a> Object<'a> {
    fn get(&self, name: &str) -> Option<&'a [u8]> {
        let mut entries = msgpack::entries(self.0).unwrap().map(Result::unwrap);
        entries
            .find(|(key, _)| msgpack::as_str(key) == Some(name.as_bytes()))
            .map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name)
            .map(|value| str::from_utf8(msgpack::as_str(value).unwrap()).unwrap().to_owned())
    }

    fn list(&self, name: &str) -> Vec<&'a [u8]> {
        self.get(name).map(elements).unwrap_or_default()
    }

    fn time(&self) -> Option<Timestamp> {
        let part = |value: &&[u8]| u32::try_from(number(value)).unwrap();
        let parts: Vec<u32> = elements(self.get("time")?).iter().map(part).collect();
        Some(Timestamp { sec: parts[0], nsec: parts[1] })
    }
}

fn elements(array: &[u8]) -> Vec<&[u8]> {
    msgpack::elements(array).unwrap().map(Result::unwrap).collect()
}

fn number(value: &[u8]) -> u64 {
    match Reader::new(value).next() {
        Ok(Value::Uint(number)) => number,
        other => panic!("{other:?} is no number"),
    }
}

/// A body: a map, or its msgpack in hexadecimal digits.
fn body(value: &[u8]) -> Vec<u8> {
    let Some(digits) = msgpack::as_str(value) else { return value.to_vec() };
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

impl Case {
    fn parse(line: &str) -> Self {
        let mut parsed = Vec::new();
        json::parse_object(line.as_bytes(), &mut parsed).unwrap();
        let case = Object(&parsed);
        let tag = case.text("tag").unwrap_or_else(|| "test".to_owned());
        let time = case.time().unwrap_or(Timestamp { sec: 1_700_000_000, nsec: 5 });
        let metadata = case.get("metadata").unwrap_or(Event::NO_METADATA).to_vec();
        let whole = Made { tag: tag.clone(), time, metadata: metadata.clone(), body: Vec::new() };
        let config = case.get("config").map(|map| {
            let text = |value| str::from_utf8(msgpack::as_str(value).unwrap()).unwrap().to_owned();
            let entries = msgpack::entries(map).unwrap().map(Result::unwrap);
            entries.map(|(key, value)| (text(key), text(value))).collect()
        });
        let failure = |value: &&[u8]| {
            let failure = Object(value);
            Failure {
                record: failure.get("record").map(|value| number(value) as usize),
                class: failure.text("class").unwrap(),
                why: failure.text("why").unwrap_or_default(),
            }
        };
        Self {
            about: case.text("about").unwrap(),
            filter: case.text("filter").unwrap(),
            tag: Tag::new(&tag).unwrap(),
            time,
            metadata,
            config: config.unwrap_or_default(),
            records: case.list("records").into_iter().map(body).collect(),
            becomes: case
                .list("becomes")
                .into_iter()
                .map(|made| Made::parse(made, &whole))
                .collect(),
            fails: case.list("fails").iter().map(failure).collect(),
        }
    }
}

impl Made {
    /// A body, or an array of it and what else is its own.
    fn parse(made: &[u8], whole: &Made) -> Self {
        let Ok(parts) = msgpack::elements(made) else {
            return Self { body: body(made), ..whole.clone() };
        };
        let parts: Vec<&[u8]> = parts.map(Result::unwrap).collect();
        let own = Object(parts[1]);
        Self {
            tag: own.text("tag").unwrap_or_else(|| whole.tag.clone()),
            time: own.time().unwrap_or(whole.time),
            metadata: own.get("metadata").map_or(whole.metadata.clone(), <[u8]>::to_vec),
            body: body(parts[0]),
        }
    }
}

/// What came of a batch.
struct Outcome<'b> {
    batch: &'b Chunk,
    answered: usize,
    made: Vec<Made>,
    failed: Vec<Failure>,
}

impl Outcome<'_> {
    fn push(&mut self, event: Event<'_>, tag: Option<&Tag>) {
        let (metadata, body) = (event.metadata.to_vec(), event.body.to_vec());
        let tag = tag.unwrap_or(self.batch.tag()).as_str().to_owned();
        self.made.push(Made { tag, time: event.time, metadata, body });
    }
}

impl Answers for Outcome<'_> {
    fn keep(&mut self, records: usize) {
        for event in self.batch.records().skip(self.answered).take(records) {
            self.push(event, None);
        }
        self.answered += records;
    }

    fn decide(&mut self, event: Event<'_>, verdict: Verdict<'_>) {
        self.answered += 1;
        for body in verdict.bodies(event.body) {
            self.push(Event { body, ..event }, None);
        }
    }

    fn split(&mut self, _event: Event<'_>, parts: &[Part<'_>]) {
        self.answered += 1;
        for part in parts {
            self.push(part.event, part.tag.as_ref());
        }
    }

    fn fail(&mut self, _event: Event<'_>, error: FilterError) {
        let (record, why) = (Some(self.answered), error.to_string());
        self.failed.push(Failure { record, class: error.class().name().to_owned(), why });
        self.answered += 1;
    }
}

fn batch<'r>(
    tag: &Tag,
    time: Timestamp,
    metadata: &[u8],
    bodies: impl IntoIterator<Item = &'r Vec<u8>>,
) -> Chunk {
    let mut batch = ChunkBuilder::new(tag.clone());
    for body in bodies {
        batch.push(Event { time, metadata, body }).unwrap();
    }
    batch.build()
}

fn filter<'b>(instance: &mut FilterInstance, batch: &'b Chunk) -> Outcome<'b> {
    let mut outcome = Outcome { batch, answered: 0, made: Vec::new(), failed: Vec::new() };
    instance.filter(batch, &mut outcome);
    outcome
}

/// How the module's answers differ from the case's.
fn wrong(module: &Module, case: &Case) -> Option<String> {
    let (made, failed) = match module.start(&case.filter, &case.config) {
        Err(error) => {
            let why = error.to_string();
            (Vec::new(), vec![Failure { record: None, class: "start".to_owned(), why }])
        }
        Ok(mut instance) => {
            let batch = batch(&case.tag, case.time, &case.metadata, &case.records);
            let outcome = filter(&mut instance, &batch);
            (outcome.made, outcome.failed)
        }
    };
    let fails_so = |wanted: &Failure, found: &Failure| {
        let class = if found.class == "exit" { "trap" } else { &found.class };
        wanted.record == found.record && wanted.class == class && found.why.contains(&wanted.why)
    };
    let is_right = made == case.becomes
        && failed.len() == case.fails.len()
        && case.fails.iter().zip(&failed).all(|(wanted, found)| fails_so(wanted, found));
    let wanted = (&case.becomes, &case.fails);
    (!is_right).then(|| format!("{}: {made:x?} {failed:?}, not {wanted:x?}", case.about))
}

const RECORDS: usize = 4_000;
const A_BATCH: usize = 100;

/// Records of all kinds and forms, read value by value and written again, are what our own reader makes of them.
fn what_is_copied_stays_the_same(module: &Module) -> Result<(), Failed> {
    let mut instance = module.start("copy", &[])?;
    let mut random = Random(0x5eed);
    let records: Vec<Vec<u8>> = (0..RECORDS).map(|_| random.record()).collect();
    let (tag, time) = (Tag::new("test")?, Timestamp { sec: 0, nsec: 0 });
    for bodies in records.chunks(A_BATCH) {
        let batch = batch(&tag, time, Event::NO_METADATA, bodies);
        let outcome = filter(&mut instance, &batch);
        assert_eq!(outcome.failed, []);
        for (body, made) in bodies.iter().zip(&outcome.made) {
            let mut wanted = Vec::new();
            copy(&mut Reader::new(body), body, &mut wanted);
            assert!(
                made.body == wanted,
                "{body:02x?} became {:02x?}, not {wanted:02x?}",
                made.body
            );
        }
    }
    Ok(())
}

/// The next value in its shortest form; extensions as they are.
fn copy(from: &mut Reader<'_>, data: &[u8], to: &mut Vec<u8>) {
    let at = from.position();
    match from.next().unwrap() {
        Value::Nil => msgpack::write_nil(to),
        Value::Bool(value) => msgpack::write_bool(to, value),
        Value::Uint(value) => msgpack::write_uint(to, value),
        Value::Int(value) => msgpack::write_int(to, value),
        Value::Float(value) => msgpack::write_float(to, value),
        Value::Str(text) => msgpack::write_str(to, text),
        Value::Bin(bytes) => msgpack::write_bin(to, bytes),
        Value::Ext(..) => to.extend_from_slice(&data[at..from.position()]),
        Value::Array(len) => {
            msgpack::write_array_header(to, len);
            (0..len).for_each(|_| copy(from, data, to));
        }
        Value::Map(len) => {
            msgpack::write_map_header(to, len);
            (0..2 * len).for_each(|_| copy(from, data, to));
        }
    }
}

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// A map: made up, and every other time with a few bytes changed, if it is one still.
    fn record(&mut self) -> Vec<u8> {
        let mut record = Vec::new();
        self.map(2, &mut record);
        for _ in 0..self.below(2) * 20 {
            let mut changed = record.clone();
            let at = self.below(changed.len() as u64) as usize;
            changed[at] = self.below(256) as u8;
            if msgpack::map_len(&changed) == Ok(changed.len()) {
                record = changed;
            }
        }
        record
    }

    fn map(&mut self, depth: u64, to: &mut Vec<u8>) {
        let len = self.below(17) as u32;
        match self.below(3) {
            0 => msgpack::write_map_header(to, len),
            1 => to.extend([0xde, 0, len as u8]),
            _ => to.extend([0xdf, 0, 0, 0, len as u8]),
        }
        (0..2 * len).for_each(|_| self.value(depth, to));
    }

    fn value(&mut self, depth: u64, to: &mut Vec<u8>) {
        match self.below(if depth > 0 { 12 } else { 10 }) {
            0 => to.push(0xc0 + [0, 2, 3][self.below(3) as usize]),
            1 => to.push(self.below(0x80) as u8),
            2 => to.push(0xe0 | self.below(32) as u8),
            3 | 4 => {
                // Integers and floats: as many bytes as their first one says, of which most are 0 or 255.
                let kind = self.below(10) as u8;
                to.push(0xca + kind);
                let len = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8][usize::from(kind)];
                let fill = [0, 0xff, 0x7f][self.below(3) as usize];
                (0..len).for_each(|_| to.push(fill));
                let last = to.len() - 1;
                to[last] = self.below(256) as u8;
            }
            5 | 6 => {
                let text = vec![b'a'; [1, 5, 31, 32, 255, 256][self.below(6) as usize]];
                match self.below(3) {
                    0 => msgpack::write_str(to, &text),
                    1 => to.extend([0xda, (text.len() >> 8) as u8, text.len() as u8]),
                    _ => to.extend([0xdb, 0, 0, (text.len() >> 8) as u8, text.len() as u8]),
                }
                if !to.ends_with(&text) {
                    to.extend(text);
                }
            }
            7 => {
                let bytes = vec![0xfe; [0, 1, 255, 256][self.below(4) as usize]];
                to.extend([0xc5, (bytes.len() >> 8) as u8, bytes.len() as u8]);
                to.extend(bytes);
            }
            8 => {
                let size = self.below(5);
                to.extend([0xd4 + size as u8, self.below(256) as u8]);
                to.extend(vec![7; 1 << size]);
            }
            9 => to.extend([0xc7, 3, 5, 1, 2, 3]),
            10 => {
                let len = self.below(17) as u8;
                to.extend([0xdc, 0, len]);
                (0..len).for_each(|_| self.value(depth - 1, to));
            }
            _ => self.map(depth - 1, to),
        }
    }
}

/// A filter that is out of room goes on in the next call; a record whose answer never fits costs itself.
fn answers_find_their_room(module: &Module) -> Result<(), Failed> {
    let mut instance = module.start("grow", &[])?;
    let sizes = [20_000, 20_000, 70_000_000, 20_000, 40_000, 1, 20_000];
    let record = |size: &u64| {
        let mut body = Vec::new();
        msgpack::write_map_header(&mut body, 1);
        msgpack::write_str(&mut body, "size");
        msgpack::write_uint(&mut body, *size);
        body
    };
    let bodies: Vec<Vec<u8>> = sizes.iter().map(record).collect();
    let time = Timestamp { sec: 0, nsec: 0 };
    let batch = batch(&Tag::new("test")?, time, Event::NO_METADATA, &bodies);
    let outcome = filter(&mut instance, &batch);
    let failed: Vec<_> =
        outcome.failed.iter().map(|failure| (failure.record, &*failure.class)).collect();
    assert_eq!(failed, [(Some(2), "memory")]);
    let grown = outcome.made.iter().map(|made| {
        let big = Object(&made.body).get("big").unwrap();
        msgpack::as_str(big).unwrap().len() as u64
    });
    assert!(grown.eq([20_000, 20_000, 20_000, 40_000, 1, 20_000]));
    Ok(())
}

/// JSON text may be six times as long as the record.
fn a_long_record_has_room_for_its_text(module: &Module) -> Result<(), Failed> {
    const LONG: usize = 1 << 20;
    let mut instance = module.start("enrich", &[])?;
    let mut body = Vec::new();
    msgpack::write_map_header(&mut body, 1);
    msgpack::write_str(&mut body, "m");
    msgpack::write_str(&mut body, vec![1; LONG]);
    let (tag, time) = (Tag::new("test")?, Timestamp { sec: 0, nsec: 0 });
    let batch = batch(&tag, time, Event::NO_METADATA, &[body]);
    let outcome = filter(&mut instance, &batch);
    assert_eq!(outcome.failed, []);
    let text = msgpack::as_str(Object(&outcome.made[0].body).get("original").unwrap());
    assert_eq!(text.unwrap().len(), r#"{"m":""}"#.len() + 6 * LONG);
    Ok(())
}
