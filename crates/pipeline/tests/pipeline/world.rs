//! Runs a configuration with the plugins of this test, and keeps what its outputs received.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flb_config::{Document, FileKind, Memory, Variables, read_file};
use flb_event::Chunk;
use flb_pipeline::{Blueprint, Findings, Meter, Pipeline, Report, RunError, Settings, Stop};
use flb_plugin::{MultilineParsers, Parsers, Table};

use crate::plugins::REGISTRY;

/// Longer than anything here takes, unless it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// What an output received: a tag and the numbers of the records, chunk by chunk.
#[derive(Default)]
pub(crate) struct Sink {
    chunks: Mutex<Vec<(String, Vec<u32>)>>,
    changed: Condvar,
}

static SINKS: LazyLock<Mutex<BTreeMap<String, Arc<Sink>>>> = LazyLock::new(Mutex::default);

/// The sink with this name. Tests share the process, so each uses names of its own.
pub(crate) fn sink(name: &str) -> Arc<Sink> {
    Arc::clone(SINKS.lock().unwrap().entry(name.to_owned()).or_default())
}

impl Sink {
    pub(crate) fn receive(&self, chunk: &Chunk) {
        let numbers = chunk.records().map(|event| number(event.body)).collect();
        self.chunks.lock().unwrap().push((chunk.tag().to_string(), numbers));
        self.changed.notify_all();
    }

    /// Something, for whoever waits for it.
    pub(crate) fn receive_anything(&self) {
        self.chunks.lock().unwrap().push(("any".to_owned(), Vec::new()));
        self.changed.notify_all();
    }

    pub(crate) fn clear(&self) {
        self.chunks.lock().unwrap().clear();
    }

    pub(crate) fn chunks(&self) -> Vec<(String, Vec<u32>)> {
        self.chunks.lock().unwrap().clone()
    }

    /// All numbers in the order they came.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        self.chunks().into_iter().flat_map(|(_, numbers)| numbers).collect()
    }

    /// The numbers that came with one tag.
    pub(crate) fn tagged(&self, tag: &str) -> Vec<u32> {
        let of_tag = self.chunks().into_iter().filter(|(other, _)| other == tag);
        of_tag.flat_map(|(_, numbers)| numbers).collect()
    }

    pub(crate) fn wait_for_chunks(&self, count: usize) {
        let chunks = self.chunks.lock().unwrap();
        let (chunks, timeout) = self
            .changed
            .wait_timeout_while(chunks, PATIENCE, |chunks| chunks.len() < count)
            .unwrap();
        assert!(!timeout.timed_out(), "only {} of {count} chunks came", chunks.len());
    }
}

/// The record `{"n": number}`.
pub(crate) fn body(number: u32) -> [u8; 8] {
    let [a, b, c, d] = number.to_be_bytes();
    [0x81, 0xa1, b'n', 0xce, a, b, c, d]
}

fn number(body: &[u8]) -> u32 {
    u32::from_be_bytes(body[4..8].try_into().unwrap())
}

/// A configuration that was read but need not be right.
pub(crate) struct Built {
    pub(crate) pipeline: Option<Pipeline>,
    pub(crate) findings: Findings,
    document: Document,
}

impl Built {
    /// What is to be said about the configuration, as text.
    pub(crate) fn config(&self) -> String {
        self.findings.config.render(self.document.sources())
    }

    /// What is to be said about plugins that do not start, as text.
    pub(crate) fn start(&self) -> String {
        self.findings.start.render(self.document.sources())
    }
}

pub(crate) fn build(text: &str) -> Built {
    build_with(text, &[])
}

/// The keys of the service section.
const SERVICE_KEYS: Table = Table(&[flb_pipeline::SERVICE, flb_plugin::SERVICE]);

/// Builds what `text` says, in either format; `files` are further files.
pub(crate) fn build_with(text: &str, files: &[(&str, &str)]) -> Built {
    let is_yaml = text.contains("pipeline:");
    let path = PathBuf::from(if is_yaml { "etc/main.yaml" } else { "etc/main.conf" });
    let main = (path.clone(), text.to_owned());
    let others = files.iter().map(|(path, text)| (PathBuf::from(path), (*text).to_owned()));
    let files = Memory(others.chain([main]).collect());
    let mut document = Document::default();
    let config = read_file(&mut document, &path, FileKind::Main, &files);
    let mut findings = Findings { config, ..Findings::default() };
    assert!(!findings.config.has_errors(), "{}", findings.config.render(document.sources()));
    let variables = Variables::default();
    let settings = Settings::read(SERVICE_KEYS, &document, &variables, &mut findings);
    let folders = [PathBuf::from("etc")];
    flb_pipeline::read_parsers_files(&mut document, &settings, &folders, &files, &mut findings);
    let blueprint = Blueprint {
        document: &document,
        variables: &variables,
        registry: &REGISTRY,
        parsers: &Parsers::default(),
        multiline: &MultilineParsers::default(),
        settings: &settings,
        config_dir: Some("etc".into()),
        shared: Arc::default(),
        dry_run: false,
    };
    let pipeline = blueprint.build(&mut findings);
    Built { pipeline, findings, document }
}

/// A pipeline at work.
pub(crate) struct Running {
    pub(crate) stop: Stop,
    pub(crate) meter: Meter,
    thread: JoinHandle<Result<Report, RunError>>,
}

/// Starts a pipeline on a thread and a runtime of its own.
pub(crate) fn start(text: &str) -> Running {
    let built = build(text);
    let (config, start) = (built.config(), built.start());
    let pipeline = built.pipeline.unwrap_or_else(|| panic!("{config}{start}"));
    let (stop, meter) = (Stop::default(), pipeline.meter());
    let asked = stop.clone();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        let report = runtime.block_on(pipeline.run(&asked));
        runtime.shutdown_background();
        report
    });
    Running { stop, meter, thread }
}

impl Running {
    /// Waits until the pipeline has stopped of itself.
    pub(crate) fn wait(self) -> Report {
        self.result().unwrap()
    }

    /// The same, or why it could not run.
    pub(crate) fn result(self) -> Result<Report, RunError> {
        let deadline = Instant::now() + PATIENCE;
        while !self.thread.is_finished() {
            assert!(Instant::now() < deadline, "the pipeline hangs: {:#?}", self.meter.read());
            std::thread::sleep(Duration::from_millis(1));
        }
        self.thread.join().unwrap()
    }

    /// Asks the pipeline to stop and waits until it has.
    pub(crate) fn stop(self) -> Report {
        self.stop.ask();
        self.wait()
    }

    /// Waits until the counters say so.
    pub(crate) fn wait_until(&self, fact: impl Fn(&Report) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !fact(&self.meter.read()) {
            assert!(Instant::now() < deadline, "it does not happen: {:#?}", self.meter.read());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Runs until an input asks the agent to stop.
pub(crate) fn run(text: &str) -> Report {
    start(text).wait()
}
