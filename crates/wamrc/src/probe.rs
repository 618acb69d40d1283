//! The trial run of `check`: many calls under the agent's limits, while memory is watched.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use flb_artifact::contract::{FREE_RESULT, MEMORY_LIMIT};
use flb_event::{Event, Tag, Timestamp};
use flb_runtime::{
    EngineOptions, EventFormat, FilterEngine, FilterInstance, FilterModule, FilterOptions,
    GuestLog, GuestOutput, Heard,
};
use flb_text::excerpt;

use crate::call::{Call, Grants, denied, options};
use crate::findings::{Finding, Level, size};
use crate::growth::Growth;
use crate::record::{body, record, text};

/// How many calls a trial has at least, if it has the time.
const CALLS: u64 = 10_000;
/// How many it has while memory goes on growing.
const MOST_CALLS: u64 = 200_000;
/// The longest that a trial takes.
const TIME: Duration = Duration::from_secs(10);
/// Bytes of a record that are shown.
const SHOWN: usize = 200;

// What is tried, and how. No documentation comment: clap would take it for the command's.
#[derive(Debug, Args)]
pub(crate) struct TrialArgs {
    #[command(flatten)]
    pub(crate) call: Call,
    #[command(flatten)]
    grants: Grants,
    /// The record's body, a JSON object; @FILE takes it from a file, - from standard input
    #[arg(long, value_name = "JSON", allow_hyphen_values = true)]
    record: Option<String>,
}

/// What a trial came to.
#[derive(Debug, Default)]
struct Trial {
    calls: u64,
    replaced: u64,
    dropped: u64,
    failed: u64,
    first_failure: Option<Failure>,
    unterminated: bool,
    /// Memory up to the first failure, after which it is another guest's.
    growth: Growth,
}

/// A call that came to nothing.
#[derive(Debug)]
struct Failure {
    message: String,
    record: Vec<u8>,
}

/// Loads the filter and tries it.
pub(crate) fn findings(
    bytes: Vec<u8>,
    file: &Path,
    function: String,
    args: &TrialArgs,
) -> anyhow::Result<Vec<Finding>> {
    let problem = |text: String| Finding::new(Level::Problem, "trial", text);
    let records = records(args.record.as_deref())?;
    let engine = match FilterEngine::new(EngineOptions::default()) {
        Ok(engine) => engine,
        Err(error) => return Ok(vec![problem(format!("cannot start the clock: {error}"))]),
    };
    let (output, lines) = counted();
    let options = options(function, file, &args.call, &args.grants, output)?;
    let load = |format| {
        let options = FilterOptions { format, ..options.clone() };
        FilterModule::load(&engine, bytes.clone(), options)
    };
    let module = match load(options.format) {
        Ok(module) => module,
        Err(error) => return Ok(vec![problem(error.to_string())]),
    };
    let notes = module.notes().iter();
    let mut findings: Vec<Finding> =
        notes.map(|note| Finding::new(Level::Warning, "code", note)).collect();
    match module.instantiate() {
        Ok(mut instance) => {
            let trial = trial(&mut instance, &records);
            findings.extend(trial.calls());
            findings.extend(trial.format(options.format, &records, load));
            findings.extend(trial.unterminated());
            let denied = instance.denied().map(|path| denied(&path));
            findings.extend(denied.map(|text| Finding::new(Level::Warning, "files", text)));
            findings.extend(trial.memory(module.frees_answers()));
        }
        Err(error) => findings.push(problem(error.to_string())),
    }
    findings.extend(printed(lines.load(Ordering::Relaxed)));
    Ok(findings)
}

/// A place for the guest's output that counts its lines.
fn counted() -> (GuestOutput, Arc<AtomicU64>) {
    let lines = Arc::<AtomicU64>::default();
    let count = Arc::clone(&lines);
    let log = GuestLog::new(u32::MAX, move |heard| {
        if matches!(heard, Heard::Line { .. }) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    (GuestOutput::Lines(log), lines)
}

/// Printing costs more than most filters do.
fn printed(lines: u64) -> Option<Finding> {
    let text = match lines {
        0 => return None,
        1 => "it prints: 1 line in all".to_owned(),
        lines => format!("it prints: {lines} lines in all; the agent logs ten of them a second"),
    };
    let often = lines >= CALLS;
    Some(Finding::new(if often { Level::Warning } else { Level::Ok }, "output", text))
}

/// The user's record; else a long one and short ones, so that an answer without its NUL runs into an older one's rest.
fn records(own: Option<&str>) -> anyhow::Result<Vec<Vec<u8>>> {
    if let Some(record) = record(own)? {
        return Ok(vec![record]);
    }
    let long = format!("{{\"log\":\"{}\",\"level\":30,\"ok\":true}}", "a long line ".repeat(40));
    let texts = [long.as_str(), "{\"log\":\"short\"}", "{}"];
    Ok(texts.iter().map(|text| body(text.as_bytes())).collect::<Result<_, _>>()?)
}

fn trial(instance: &mut FilterInstance, records: &[Vec<u8>]) -> Trial {
    let mut trial = Trial::default();
    let started = Instant::now();
    for body in records.iter().cycle() {
        match call(instance, trial.calls, body) {
            Ok(bodies) if bodies.is_empty() => trial.dropped += 1,
            Ok(_) => trial.replaced += 1,
            Err(error) => trial.fail(error.to_string(), body),
        }
        trial.calls += 1;
        trial.unterminated |= instance.answer_was_unterminated();
        if trial.failed == 0 {
            trial.growth.add(instance.memory_size());
        }
        if trial.is_over() || started.elapsed() > TIME {
            break;
        }
    }
    trial
}

/// The bodies that come of a record; none if it is dropped.
fn call(instance: &mut FilterInstance, number: u64, body: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    let time = Timestamp { sec: u32::try_from(number).unwrap_or_default(), nsec: 0 };
    let event = Event { time, metadata: Event::NO_METADATA, body };
    Ok(instance.ask(&Tag::new("flb-wamrc")?, event)?)
}

impl Trial {
    fn fail(&mut self, message: String, record: &[u8]) {
        self.failed += 1;
        self.first_failure.get_or_insert_with(|| Failure { message, record: record.to_vec() });
    }

    /// Whether there is no more to be learned.
    fn is_over(&self) -> bool {
        let knows = self.failed > 0 || self.growth.is_over();
        self.calls >= if knows { CALLS } else { MOST_CALLS }
    }

    fn calls(&self) -> Option<Finding> {
        let Self { calls, replaced, dropped, failed, .. } = self;
        let counts =
            format!("{calls} calls: {replaced} answered, {dropped} dropped, {failed} failed");
        let Some(Failure { message, record }) = &self.first_failure else {
            return Some(Finding::new(Level::Ok, "trial", counts));
        };
        let shown = text(record).unwrap_or_default();
        let shown = excerpt(shown.as_bytes(), SHOWN);
        let text = format!(
            "{counts}, the first with: {message}, on the record {shown}; help: try it with a record \
             of yours: --record '{{..}}'"
        );
        Some(Finding::new(Level::Problem, "trial", text))
    }

    /// A filter for the other format fails, or drops everything: it cannot read a record. Asked in that format it answers.
    fn format(
        &self,
        format: EventFormat,
        records: &[Vec<u8>],
        load: impl Fn(EventFormat) -> Result<FilterModule, flb_runtime::LoadError>,
    ) -> Option<Finding> {
        if self.replaced > 0 {
            return None;
        }
        let (other, name) = match format {
            EventFormat::Json { .. } => (EventFormat::Msgpack, "msgpack"),
            EventFormat::Msgpack => (EventFormat::Json { escape_unicode: true }, "json"),
        };
        let mut instance = load(other).ok()?.instantiate().ok()?;
        let answers = records
            .iter()
            .all(|body| call(&mut instance, 0, body).is_ok_and(|bodies| !bodies.is_empty()));
        let text = format!(
            "it answers records that come as {name}; help: check it with --format {name}, and write \
             Event_Format {name} in the agent's configuration"
        );
        answers.then(|| Finding::new(Level::Warning, "format", text))
    }

    fn unterminated(&self) -> Option<Finding> {
        self.unterminated.then(|| {
            Finding::new(
                Level::Warning,
                "answer",
                "its JSON ends without a NUL; it is understood here, but other agents read on; help: \
                 end the text with a zero byte \
                 (CString in Rust, append(text, 0) in Go)",
            )
        })
    }

    /// Memory that goes on growing is never given back.
    fn memory(&self, frees_answers: bool) -> Option<Finding> {
        let Self { calls, failed, growth, .. } = self;
        let (first, most) = (size(growth.first()), size(growth.most()));
        let (is_over, help) = (growth.is_over(), advice(frees_answers));
        let grew = format!(
            "it grew from {first} to {most} in {} calls, about {} bytes a record",
            growth.calls(),
            growth.each()
        );
        let (level, text) = if *failed > 0 {
            if is_over || growth.most() < MEMORY_LIMIT / 2 {
                return None;
            }
            (Level::Problem, format!("{grew}, until one failed; help: {help}"))
        } else if *calls < CALLS {
            (
                Level::Ok,
                format!("{most} after {calls} calls, too few to say whether it still grows"),
            )
        } else if is_over {
            (Level::Ok, format!("{most} after {calls} calls, and no longer growing"))
        } else if *calls < MOST_CALLS || !growth.is_steady() {
            let text = format!("{grew}, and was not seen to stop; help: if it does not, {help}");
            (Level::Warning, text)
        } else {
            (Level::Problem, format!("{grew}, and does not stop; help: {help}"))
        };
        Some(Finding::new(level, "memory", text))
    }
}

/// What to do about memory that grows with the records.
fn advice(frees_answers: bool) -> String {
    if frees_answers {
        format!(
            "{FREE_RESULT} is called after each record: free there all that the answer took, and keep nothing else of a record"
        )
    } else {
        format!(
            "free each answer in an exported function {FREE_RESULT}(pointer), or keep one buffer and reuse it"
        )
    }
}
