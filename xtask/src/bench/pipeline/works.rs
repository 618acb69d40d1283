//! What the agents are given to do: lines, how they are read, and the filters they go through.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::sent::Sent;
use super::sink;
use crate::bench::lines::{self, Shape};

/// Bytes of the line that most rows are about, its newline included.
pub(super) const LENGTH: usize = 227;
/// Rows beside the main ones have so many times fewer lines.
const ASIDE: usize = 5;

/// A function of a module, or of a script in Lua.
pub(super) struct Filter {
    pub(super) name: &'static str,
    pub(super) module: &'static str,
    pub(super) function: &'static str,
    /// What it is given, as the property has it. `None`: it is of the batch ABI, which has no such thing.
    pub(super) format: Option<&'static str>,
}

const fn filter(name: &'static str, module: &'static str, function: &'static str) -> Filter {
    Filter { name, module, function, format: Some("json") }
}

impl Filter {
    /// Whether it is a script, which nobody compiles.
    pub(super) fn is_script(&self) -> bool {
        self.module.ends_with(".lua")
    }
}

const ECHO: &Filter = &filter("echo", "tests/filter/modules/echo.wat", "filter");
const APPEND: &Filter = &filter("append", "tests/bench/append.wat", "filter");
const APPEND_MSGPACK: &Filter = &Filter {
    name: "append, msgpack",
    module: "tests/bench/append.wat",
    function: "filter_msgpack",
    format: Some("msgpack"),
};
const APPEND_BATCH: &Filter = &Filter {
    name: "append, batch ABI",
    module: "tests/filter/modules/batch_append.wat",
    function: "filter",
    format: None,
};
const REDACT: &Filter = &filter("redact", "tests/filter/modules/redact.wat", "filter");
const C_ENRICH: &Filter = &filter("c-enrich", "examples/filters/c-enrich.wasm", "c_filter");
const RUST_REDACT: &Filter =
    &filter("rust-redact", "examples/filters/rust-redact.wasm", "rust_redact");
const RUST_ENRICH: &Filter =
    &filter("rust-enrich", "examples/filters/rust-enrich.wasm", "rust_filter");
const LUA_APPEND: &Filter = &filter("lua append", "tests/bench/append.lua", "filter");
const LUA_ENRICH: &Filter = &filter("lua enrich", "tests/bench/enrich.lua", "filter");
/// Tells when the first record comes.
pub(super) const SAY: &Filter = &filter("say", "tests/bench/say.wat", "filter");

/// All that are compiled.
pub(super) const FILTERS: &[&Filter] =
    &[ECHO, APPEND, APPEND_MSGPACK, APPEND_BATCH, REDACT, C_ENRICH, RUST_REDACT, RUST_ENRICH, SAY];

/// The parser of JSON lines, as an input's property; and none.
const JSON: &str = "parser=bench_json";
const LINES: &str = "key=log";

/// A filter that both agents have.
#[derive(Clone)]
pub(super) struct Native {
    pub(super) name: &'static str,
    pub(super) properties: Vec<String>,
}

fn native(name: &'static str, properties: &[&str]) -> Native {
    Native { name, properties: properties.iter().map(|property| (*property).to_owned()).collect() }
}

/// Rows with filters that both agents have.
fn natives() -> Vec<(&'static str, &'static str, Vec<Native>)> {
    let modifier = native("record_modifier", &["record=env production", "remove_key=host"]);
    let grep = native("grep", &["regex=level ^(info|warn|error)$"]);
    let modify = native("modify", &["rename=svc service", "set=env production"]);
    let nest = native("nest", &["operation=lift", "nested_under=http", "add_prefix=http_"]);
    let tags = native("rewrite_tag", &["rule=$level ^error$ errors.$svc false"]);
    let parse = native("parser", &["key_name=log", "parser=bench_json"]);
    vec![
        ("record_modifier", JSON, vec![modifier.clone()]),
        ("grep", JSON, vec![grep.clone()]),
        ("modify", JSON, vec![modify]),
        ("nest", JSON, vec![nest]),
        ("rewrite_tag", JSON, vec![tags]),
        ("parser, grep and record_modifier", LINES, vec![parse, grep, modifier]),
    ]
}

/// One row of the table, whoever does it.
pub(super) struct Work {
    pub(super) name: String,
    /// A file for each input.
    pub(super) files: Vec<PathBuf>,
    /// How lines become records, as an input's property.
    pub(super) reading: &'static str,
    /// How lines come, if they are not read from their files.
    pub(super) sent: Option<Sent>,
    pub(super) records: usize,
    /// Bytes of a line.
    pub(super) length: usize,
    pub(super) filters: Vec<&'static Filter>,
    /// Filters that are no modules, and the tag that they want records to have.
    pub(super) natives: Vec<Native>,
    pub(super) tag: Option<&'static str>,
    /// Threads that filter the batches of an input in turn, if not one; only ours has that.
    pub(super) workers: Option<usize>,
    /// Where records go: the output's words.
    pub(super) output: Vec<String>,
    /// Whether it may use all CPUs, and not only one.
    pub(super) is_wide: bool,
}

/// The output that throws records away.
fn null() -> Vec<String> {
    vec!["null".to_owned()]
}

impl Work {
    /// Lines of a file to null.
    fn of(name: &str, file: &Path, reading: &'static str, records: usize, length: usize) -> Self {
        Self {
            name: name.to_owned(),
            files: vec![file.to_owned()],
            reading,
            sent: None,
            records,
            length,
            filters: Vec::new(),
            natives: Vec::new(),
            tag: None,
            workers: None,
            output: null(),
            is_wide: false,
        }
    }
}

/// All works, with their files made, for so many lines in the main ones.
pub(super) fn works(folder: &Path, lines: usize) -> Result<Vec<Work>> {
    let make = Maker { folder };
    let aside = lines.div_ceil(ASIDE);
    let mut works = Vec::new();
    let main = make.file(Shape::Service, LENGTH, lines)?;
    let mut add =
        |name: &str, file: &Path, reading, records, length, filters: &[&'static Filter]| {
            let filters = filters.to_vec();
            works.push(Work { filters, ..Work::of(name, file, reading, records, length) });
        };
    add("no filter", &main, JSON, lines, LENGTH, &[]);
    let compiled =
        [ECHO, APPEND, APPEND_MSGPACK, APPEND_BATCH, REDACT, C_ENRICH, RUST_REDACT, RUST_ENRICH];
    for filter in compiled.into_iter().chain([LUA_APPEND, LUA_ENRICH]) {
        add(filter.name, &main, JSON, lines, LENGTH, &[filter]);
    }
    let few = make.file(Shape::Service, LENGTH, aside)?;
    for count in [1, 2, 4, 8] {
        let name = format!("{count} x echo");
        add(&name, &few, JSON, aside, LENGTH, &vec![ECHO; count]);
    }
    let odd = [
        ("container lines", Shape::Container, LENGTH + 49, "multiline.parser=cri"),
        ("escapes", Shape::Escapes, LENGTH + 50, JSON),
        ("not ASCII", Shape::Unicode, LENGTH + 50, JSON),
        ("access log, regex", Shape::Access, 210, "parser=bench_access"),
    ];
    for (name, shape, length, reading) in odd {
        let file = make.file(shape, length, aside)?;
        add(&format!("{name}, no filter"), &file, reading, aside, length, &[]);
        add(&format!("{name}, append"), &file, reading, aside, length, &[APPEND]);
    }
    for (shape, length) in SIZES {
        let records = (lines * LENGTH / length / ASIDE).max(100).min(lines);
        let file = make.file(*shape, *length, records)?;
        let what = if *shape == Shape::Keys { "many keys" } else { "one text" };
        add(&format!("{length} B, {what}, no filter"), &file, JSON, records, *length, &[]);
        add(&format!("{length} B, {what}, append"), &file, JSON, records, *length, &[APPEND]);
    }
    for (name, reading, natives) in natives() {
        works.push(Work { natives, ..Work::of(name, &main, reading, lines, LENGTH) });
    }
    works.push(make.kubernetes(aside)?);
    let messages = make.file(Shape::Syslog, LENGTH, aside)?;
    for mode in ["udp", "tcp"] {
        let (name, sent) = (format!("syslog, {mode}"), Some(Sent::by(mode)?));
        let work = Work::of(&name, &messages, "parser=bench_syslog", aside, LENGTH);
        works.push(Work { sent, ..work });
    }
    for sink in sink::start(&folder.join("waiting"))? {
        // What came by OTLP goes out by it.
        let is_otlp = sink.name == "opentelemetry";
        let name = if is_otlp { "OTLP to OTLP".to_owned() } else { format!("to {}", sink.name) };
        let sent = is_otlp.then(|| Sent::by("otlp")).transpose()?;
        let work = Work::of(&name, &few, JSON, aside, LENGTH);
        works.push(Work { sent, output: sink.output, ..work });
    }
    let halves = make.halves(&main)?;
    for filter in [APPEND, RUST_ENRICH] {
        let wide = |name: String| Work {
            filters: vec![filter],
            is_wide: true,
            ..Work::of(&name, &main, JSON, lines, LENGTH)
        };
        let name = format!("{}, two inputs", filter.name);
        works.push(Work { files: halves.clone(), ..wide(name) });
        for workers in [1, 2] {
            let name = format!("{}, one input, {workers} in turn", filter.name);
            works.push(Work { workers: Some(workers), ..wide(name) });
        }
    }
    Ok(works)
}

/// A pod as the API of Kubernetes tells it.
const POD: &str = r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web-1","namespace":"shop",
"uid":"6d1e2042-8013-449c-aa93-e7238391c45f","labels":{"app":"web","pod-template-hash":"7d4b9c9f5","tier":"front"},
"annotations":{"prometheus.io/scrape":"true","prometheus.io/port":"8080"}},"spec":{"nodeName":"node-1"},
"status":{"podIP":"10.1.2.3","containerStatuses":[{"name":"nginx","image":"docker.io/library/nginx:1.27",
"imageID":"docker.io/library/nginx@sha256:9f86d081884c7d65","containerID":"containerd://0a1b"}]}}"#;

const SIZES: &[(Shape, usize)] = &[
    (Shape::Text, 100),
    (Shape::Text, 1_000),
    (Shape::Keys, 1_000),
    (Shape::Text, 10_000),
    (Shape::Keys, 10_000),
    (Shape::Text, 64_000),
    (Shape::Keys, 64_000),
];

/// One line, for one record through the filter that tells when it comes.
pub(super) fn one_line(folder: &Path) -> Result<Work> {
    let file = Maker { folder }.file(Shape::Service, LENGTH, 1)?;
    Ok(Work { filters: vec![SAY], ..Work::of("one record", &file, JSON, 1, LENGTH) })
}

/// Lines to be written to files by both agents, without a filter and with one.
pub(super) fn to_compare(folder: &Path, lines: usize) -> Result<Vec<Work>> {
    let make = Maker { folder };
    let hostile = folder.join("hostile.jsonl");
    let text = lines::hostile();
    fs::write(&hostile, &text)?;
    let files = [
        ("service", make.file(Shape::Service, LENGTH, lines)?, lines),
        (
            "escapes",
            make.file(Shape::Escapes, LENGTH + 50, lines.div_ceil(ASIDE))?,
            lines.div_ceil(ASIDE),
        ),
        (
            "not ASCII",
            make.file(Shape::Unicode, LENGTH + 50, lines.div_ceil(ASIDE))?,
            lines.div_ceil(ASIDE),
        ),
        ("hostile", hostile, text.split(|byte| *byte == b'\n').count() - 1),
    ];
    let mut works = Vec::new();
    for (name, file, records) in files {
        for filters in [vec![], vec![APPEND]] {
            let with = filters.first().map_or("no filter", |filter: &&Filter| filter.name);
            let work = Work::of(&format!("{name}, {with}"), &file, JSON, records, LENGTH);
            works.push(Work { filters, is_wide: true, ..work });
        }
    }
    Ok(works)
}

struct Maker<'a> {
    folder: &'a Path,
}

impl Maker<'_> {
    fn file(&self, shape: Shape, length: usize, lines: usize) -> Result<PathBuf> {
        let path = self.folder.join(format!("{shape:?}-{length}-{lines}.jsonl"));
        fs::write(&path, lines::file(shape, length, lines))?;
        Ok(path)
    }

    /// A container's lines through the filter `kubernetes`, which knows the pod from the second batch on: from a file, so that
    /// no server is needed.
    fn kubernetes(&self, records: usize) -> Result<Work> {
        let folder = self.folder.join("kube");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("shop_web-1.meta"), POD)?;
        let length = LENGTH + 49;
        let name = format!("web-1_shop_nginx-{}.log", "0a1b2c3d4e5f0a1b".repeat(4));
        let file = folder.join(name);
        fs::write(&file, lines::file(Shape::Container, length, records))?;
        let place = folder.display().to_string();
        let prefix = format!("kube.{}.", place.trim_start_matches('/').replace('/', "."));
        let properties = vec![
            format!("kube_tag_prefix={prefix}"),
            format!("kube_meta_preload_cache_dir={place}"),
            "kube_url=http://127.0.0.1:1".to_owned(),
            "merge_log=on".to_owned(),
            "keep_log=off".to_owned(),
        ];
        let name = "container lines, kubernetes filter with a warm cache";
        let natives = vec![Native { name: "kubernetes", properties }];
        let work = Work::of(name, &file, "multiline.parser=cri", records, length);
        Ok(Work { natives, tag: Some("kube.*"), ..work })
    }

    /// The lines of a file in two files.
    fn halves(&self, file: &Path) -> Result<Vec<PathBuf>> {
        let text = fs::read_to_string(file)?;
        let middle =
            text[text.len() / 2..].find('\n').map_or(text.len(), |at| text.len() / 2 + at + 1);
        let (left, right) = text.split_at(middle);
        let halves = [("left.jsonl", left), ("right.jsonl", right)];
        halves
            .into_iter()
            .map(|(name, half)| {
                let path = self.folder.join(name);
                fs::write(&path, half)?;
                Ok(path)
            })
            .collect()
    }
}
