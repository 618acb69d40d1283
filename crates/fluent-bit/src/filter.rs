//! One filter of the agent's configuration: made of its properties, given chunks, ended.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use flb_artifact::Sha256Hex;
use flb_event::Tag;
use flb_guest::filter::{self, Look, Measures, Policy, Source, module_options};
use flb_guest::host::{self, Traps};
use flb_plugin::log::Label;
use flb_plugin::{
    Books, Build, BuildError, Metrics, MultilineParsers, Options, Parsers, Service, Shared, Tally,
};
use flb_runtime::Hurry;

use crate::NAME;
use crate::journal::Journal;
use crate::metrics::{self, Count};
use crate::patience::{End, IsEnding, Patience};
use crate::properties;
use crate::signals::{self, Held};
use crate::version::Version;
use crate::work::{Done, Job, Watch, Work};
use crate::worker::Worker;

/// What the agent says about a filter of its configuration.
pub(crate) struct Given {
    /// Its name, or its alias.
    pub(crate) name: String,
    pub(crate) properties: Vec<(String, String)>,
    /// Which Fluent Bit it is, if that is known.
    pub(crate) version: Option<Version>,
    /// Whether the agent was asked to end.
    pub(crate) is_ending: Arc<IsEnding>,
}

/// The answer to a chunk.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The new chunk; `None` if nothing changed.
    pub(crate) chunk: Option<Vec<u8>>,
    pub(crate) counts: Vec<Count>,
}

/// A filter at work.
pub(crate) struct Filter {
    label: Label,
    journal: Journal,
    stage: Mutex<Stage>,
    total: Mutex<Tally>,
    metrics: Metrics,
    /// Dropped last, when no guest is left. `None`: its guests need no signals.
    _held: Option<Held>,
}

/// How far it is: threads are started with the first chunk.
enum Stage {
    Ready(Box<Work>),
    Working(Worker<Job, Option<Done>>),
    Over,
}

impl Filter {
    /// Makes it; the journal says why, if that is not possible.
    pub(crate) fn new(given: Given, journal: Journal) -> Option<Self> {
        let label = Label::named(format!("[filter:{NAME}:{}]", given.name));
        let (held, work) = journal.keep(|| {
            let read = properties::read(given.properties)?;
            let held = match filter::traps(&read.0) {
                Traps::Signal => Some(hold(&label)?),
                Traps::Explicit => None,
            };
            let about = (given.name.as_str(), given.version, given.is_ending);
            // The watchdog's thread is started in here.
            let build = || signals::with_engine(|| build(read, about, &label));
            Some((held, signals::unbothered(build)?))
        })?;
        let metrics = work.metrics.clone();
        let stage = Mutex::new(Stage::Ready(Box::new(work)));
        Some(Self { label, journal, stage, total: Mutex::default(), metrics, _held: held })
    }

    /// What it has to say.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// What the metrics say before there is a record.
    pub(crate) fn first_counts(&self) -> Vec<Count> {
        match &mut *self.stage.lock().unwrap_or_else(PoisonError::into_inner) {
            Stage::Ready(work) => {
                let module = work.instance.module().source().to_string();
                metrics::first(&self.metrics.read(), &module)
            }
            _ => Vec::new(),
        }
    }

    /// Filters one chunk. Whatever goes wrong, what is not decided passes.
    pub(crate) fn filter(&self, tag: &[u8], chunk: &[u8]) -> Answer {
        let done = self.journal.keep(|| self.done(tag, chunk));
        let Some(Done { chunk, tally, counts }) = done else {
            return Answer { chunk: None, counts: Vec::new() };
        };
        self.total.lock().unwrap_or_else(PoisonError::into_inner).add(&tally);
        Answer { chunk, counts }
    }

    fn done(&self, tag: &[u8], chunk: &[u8]) -> Option<Done> {
        let tag = Tag::new(&String::from_utf8_lossy(tag)).ok()?;
        let mut stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Stage::Ready(_) = *stage {
            *stage = self.started(std::mem::replace(&mut *stage, Stage::Over));
        }
        let Stage::Working(worker) = &*stage else { return None };
        let done = worker.run(Job { tag, chunk: chunk.to_vec() }).flatten();
        if done.is_none() {
            let label = &self.label;
            tracing::error!(
                "{label} a bug of the plugin: it panicked, and the chunk passes as it was"
            );
        }
        done
    }

    fn started(&self, stage: Stage) -> Stage {
        let Stage::Ready(work) = stage else { return stage };
        let mut working = Working { journal: self.journal.clone(), work: Some(work) };
        let run = move |job: Job| working.run(&job);
        match Worker::start(run) {
            Ok(worker) => Stage::Working(worker),
            Err(error) => {
                let label = &self.label;
                tracing::error!("{label} cannot start its thread, and all records pass: {error}");
                Stage::Over
            }
        }
    }

    /// Ends it, and says what became of all records.
    pub(crate) fn end(self) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = Stage::Over;
        let tally = *self.total.lock().unwrap_or_else(PoisonError::into_inner);
        let (label, metrics) = (&self.label, self.metrics.read());
        let books = Books { tally: &tally, metrics: &metrics };
        self.journal.keep(|| tracing::info!("{label} {books}"));
    }
}

/// The work in its thread.
struct Working {
    journal: Journal,
    /// `None` only while it ends.
    work: Option<Box<Work>>,
}

impl Working {
    fn run(&mut self, job: &Job) -> Option<Done> {
        let work = self.work.as_mut()?;
        Some(self.journal.keep(|| signals::with_guests(|| work.run(job))))
    }
}

impl Drop for Working {
    /// A guest may have something to say when it ends.
    fn drop(&mut self) {
        self.journal.keep(|| self.work = None);
    }
}

/// Takes the agent's signals over. The log says why, if that is not possible.
fn hold(label: &Label) -> Option<Held> {
    let held = Held::new();
    held.map_err(|error| tracing::error!("{label} cannot take signals over: {error}")).ok()
}

/// Loads the module and starts it.
fn build(
    (options, mut service): (Options, Service),
    (name, version, is_ending): (&str, Option<Version>, Arc<IsEnding>),
    label: &Label,
) -> Option<Work> {
    service.shared = shared();
    let version = version.map_or_else(|| "?".to_owned(), |version| version.to_string());
    tracing::debug!("{label} in Fluent Bit {version}");
    match work(&options, &service, name, label, is_ending) {
        Ok(work) => Some(work),
        Err(error) => {
            tracing::error!("{label} {}", properties::told(&error));
            None
        }
    }
}

/// What all filters of the process share, those of a configuration before this one too: the engine.
fn shared() -> Arc<Shared> {
    static SHARED: OnceLock<Arc<Shared>> = OnceLock::new();
    Arc::clone(SHARED.get_or_init(Arc::default))
}

fn work(
    options: &Options,
    service: &Service,
    name: &str,
    label: &Label,
    is_ending: Arc<IsEnding>,
) -> Result<Work, BuildError> {
    let path = options.get(filter::WASM_PATH)?;
    let function = options.get(filter::FUNCTION_NAME)?;
    let (engine, bytes, path) = host::open(path, service, filter::traps(options))?;
    let refused =
        |error: flb_runtime::LoadError| BuildError::new(format!("{}: {error}", path.display()));
    let metrics = Metrics::default();
    let mut sandbox = host::sandbox(options, &path, label)?;
    sandbox.meters = Some(filter::meters(&metrics));
    let mut module_options = module_options(options, function, (service, name), sandbox)?;
    let end = Arc::new(End::new(is_ending, module_options.deadline));
    let patience = Patience::new(Arc::clone(&end));
    module_options.hurry = Some(Hurry::when(move || end.is_over()));
    let digest = Sha256Hex::of(&[&bytes]);
    let source =
        Source { engine, path: path.clone(), options: module_options, label: label.clone() };
    let module = source.load(bytes).map_err(refused)?;
    let tag = Tag::new("").map_err(|error| BuildError::new(error.to_string()))?;
    let (parsers, multiline) = (Parsers::default(), MultilineParsers::default());
    let measures = Measures::of(&metrics);
    let build = Build {
        instance: name,
        tag: &tag,
        parsers: &parsers,
        multiline: &multiline,
        service,
        metrics: &metrics,
    };
    let policy = Policy::read(options, label.clone(), &build, &module, &path)?;
    let instance = module.instantiate().map_err(|error| starved(refused(error)))?;
    let watch = options.get(filter::WATCH).then(|| Watch::new(Look::new(source, digest)));
    Ok(Work::new(instance, policy, watch, patience, (metrics, measures)))
}

/// What to do where a guest does not start because the process may not have the address space for it.
fn starved(error: BuildError) -> BuildError {
    // What the process may have of it, in bytes, or `unlimited`.
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max address space"));
    match limit.and_then(|limit| limit.split_whitespace().next()?.parse::<u64>().ok()) {
        Some(bytes) => error.help(format!(
            "a guest reserves several GiB of address space, and takes little of it, but the process may have {} MiB only; \
             raise the limit (ulimit -v)",
            bytes >> 20
        )),
        None => error,
    }
}
