//! The trial run of `check`: many calls under the agent's limits, while memory is watched.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flb_event::{Event, Tag, Timestamp, Verdict};
use flb_runtime::{
    EngineOptions, FilterEngine, FilterInstance, FilterModule, GuestLog, GuestOutput, Heard,
};

use crate::check::{Finding, Level, size};
use crate::options::{Given, UsageError};
use crate::run::{body, options};

/// How many calls a trial has, if it has the time.
const CALLS: usize = 10_000;
/// When the memory is looked at first, once the guest has what it keeps.
const WARM: usize = 1_000;
/// The longest that a trial takes.
const LIMIT: Duration = Duration::from_secs(10);

/// What a trial came to.
#[derive(Debug, Default)]
struct Trial {
    calls: usize,
    replaced: usize,
    dropped: usize,
    /// The first failure, and how many there were.
    failed: Option<(String, usize)>,
    unterminated: bool,
    /// Bytes of memory after the warm-up, half way, and at the end.
    memory: [u64; 3],
}

/// Loads the filter and tries it.
pub(crate) fn findings(
    bytes: Vec<u8>,
    file: &Path,
    function: String,
    given: &Given,
) -> Result<Vec<Finding>, UsageError> {
    let problem = |text: String| Ok(vec![Finding::new(Level::Problem, "trial", text)]);
    let engine = match FilterEngine::new(EngineOptions::default()) {
        Ok(engine) => engine,
        Err(error) => return problem(format!("cannot start the clock: {error}")),
    };
    let (output, lines) = counted();
    let options = options(function, file, given, output)?;
    let module = match FilterModule::load(&engine, bytes, options) {
        Ok(module) => module,
        Err(error) => return problem(error.to_string()),
    };
    let notes = module.notes().iter();
    let mut findings: Vec<Finding> =
        notes.map(|note| Finding::new(Level::Warning, "code", note)).collect();
    match module.instantiate() {
        Ok(mut instance) => findings.extend(judge(&trial(&mut instance, &records(given)))),
        Err(error) => findings.extend(problem(error.to_string())?),
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
    let often = lines >= CALLS as u64;
    Some(Finding::new(if often { Level::Warning } else { Level::Ok }, "output", text))
}

/// The user's record; else a long one and short ones, so that an answer without its NUL runs into an older one's rest.
fn records(given: &Given) -> Vec<Vec<u8>> {
    let long = format!("{{\"log\":\"{}\",\"level\":30,\"ok\":true}}", "a long line ".repeat(40));
    let texts = match &given.record {
        Some(record) => vec![record.clone()],
        None => vec![long, "{\"log\":\"short\"}".to_owned(), "{}".to_owned()],
    };
    texts.iter().filter_map(|text| body(text).ok()).collect()
}

fn trial(instance: &mut FilterInstance, records: &[Vec<u8>]) -> Trial {
    let mut trial = Trial::default();
    let Ok(tag) = Tag::new("flb-wamrc") else { return trial };
    let started = Instant::now();
    for (number, body) in records.iter().cycle().take(CALLS).enumerate() {
        let time = Timestamp { sec: u32::try_from(number).unwrap_or_default(), nsec: 0 };
        match instance.call(&tag, Event { time, metadata: Event::NO_METADATA, body }) {
            Ok(Verdict::Drop) => trial.dropped += 1,
            Ok(_) => trial.replaced += 1,
            Err(error) => {
                trial.failed.get_or_insert_with(|| (error.to_string(), 0)).1 += 1;
            }
        }
        trial.calls += 1;
        trial.unterminated |= instance.answer_was_unterminated();
        if let Some(index) = [WARM, CALLS / 2, CALLS].iter().position(|at| *at == trial.calls) {
            trial.memory[index] = instance.memory_size();
        }
        if started.elapsed() > LIMIT {
            break;
        }
    }
    trial
}

fn judge(trial: &Trial) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Trial { calls, replaced, dropped, .. } = trial;
    let failures = trial.failed.as_ref().map_or(0, |(_, count)| *count);
    let counts =
        format!("{calls} calls: {replaced} answered, {dropped} dropped, {failures} failed");
    match &trial.failed {
        None => findings.push(Finding::new(Level::Ok, "trial", counts)),
        Some((first, _)) => findings.push(Finding::new(
            Level::Problem,
            "trial",
            format!(
                "{counts}, the first with: {first}; help: try it with a record of yours: \
                 --record '{{..}}'"
            ),
        )),
    }
    if trial.unterminated {
        findings.push(Finding::new(
            Level::Warning,
            "answer",
            "its JSON ends without a NUL; it is understood here, but other agents read on; help: \
             end the text with a zero byte \
             (CString in Rust, append(text, 0) in Go)",
        ));
    }
    findings.extend(memory(trial));
    findings
}

/// Memory that still grows in the second half is never given back.
fn memory(trial: &Trial) -> Option<Finding> {
    let [warm, half, end] = trial.memory;
    if trial.calls < CALLS || end == 0 {
        return None;
    }
    if !(warm < half && half < end) {
        let text = format!("{} after {CALLS} calls, and no longer growing", size(end));
        return Some(Finding::new(Level::Ok, "memory", text));
    }
    let each = (end - warm) / (CALLS - WARM) as u64;
    Some(Finding::new(
        Level::Problem,
        "memory",
        format!(
            "it grew from {} to {}, about {each} bytes a record, and does not stop; help: don't \
             allocate a new answer for each \
             record: keep one buffer and reuse it",
            size(warm),
            size(end)
        ),
    ))
}
