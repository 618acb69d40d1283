//! Runs cases through a filter, and says of each what it answered.

use std::path::Path;

use anyhow::Context as _;
use flb_event::{ChunkBuilder, Event};
use flb_runtime::{FilterInstance, FilterModule, FilterOptions};

use crate::call::{Call, Code, Grants};
use crate::cases::{Case, Failure, START};
use crate::fate::{self, Fate, Made};
use crate::record::text;

/// What a case came to: the answers as people read them, line by line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answers {
    pub(crate) passed: bool,
    /// What was wanted, and what came: a line a record, then a line a failure.
    pub(crate) wanted: Vec<String>,
    pub(crate) found: Vec<String>,
    /// The record that failed first though nobody wanted it to, as JSON.
    pub(crate) culprit: Option<String>,
}

/// Runs all cases, in their order, each with a fresh guest.
pub(crate) fn run(
    file: &Path,
    (call, grants): (&Call, &Grants),
    cases: &[Case],
) -> anyhow::Result<Vec<Answers>> {
    let code = Code::read(file)?;
    let mut modules = Modules { code, call, grants, known: Vec::new() };
    cases
        .iter()
        .map(|case| {
            let module = modules.of(case);
            let module =
                module.with_context(|| format!("{}:{}", case.file.display(), case.line))?;
            answers(&module, case)
        })
        .collect()
}

/// The filter, loaded once for every function and configuration that cases have.
struct Modules<'a> {
    code: Code<'a>,
    call: &'a Call,
    grants: &'a Grants,
    known: Vec<(FilterOptions, FilterModule)>,
}

impl Modules<'_> {
    fn of(&mut self, case: &Case) -> anyhow::Result<FilterModule> {
        let function = case.filter.clone().or_else(|| self.call.function.clone());
        let call = Call { function, ..self.call.clone() };
        let mut options = self.code.options(&call, self.grants)?;
        options.config.extend(case.config.iter().cloned());
        let is_same = |known: &FilterOptions| {
            known.function == options.function && known.config == options.config
        };
        if let Some((_, module)) = self.known.iter().find(|(known, _)| is_same(known)) {
            return Ok(module.clone());
        }
        let module = self.code.load(options.clone())?;
        self.known.push((options, module.clone()));
        Ok(module)
    }
}

fn answers(module: &FilterModule, case: &Case) -> anyhow::Result<Answers> {
    let fates = match module.instantiate() {
        Ok(mut instance) => fates(&mut instance, case)?,
        Err(error) => return Ok(not_started(case, &error.to_string())),
    };
    let made: Vec<&Made> = fates.iter().flatten().flatten().collect();
    let failed: Vec<Failed> = fates.iter().enumerate().filter_map(Failed::of).collect();
    let is_so = |(wanted, found): (&Failure, &Failed)| found.is(wanted);
    let failed_so = failed.len() == case.fails.len() && case.fails.iter().zip(&failed).all(is_so);
    let passed = failed_so && made.iter().copied().eq(&case.becomes);
    let exactly = is_same_text(&made, &case.becomes);
    let shown = |made: &Made| shown(made, case, exactly);
    let wanted =
        case.becomes.iter().map(shown).chain(case.fails.iter().map(|one| Ok(failure(one))));
    // Where a failure is as it was wanted, it is not told in other words.
    let told = failed.iter().enumerate().map(|(at, found)| match case.fails.get(at) {
        Some(wanted) if found.is(wanted) => Ok(failure(wanted)),
        _ => Ok(found.to_string()),
    });
    let found = made.iter().copied().map(shown).chain(told);
    let culprit = failed.iter().find(|found| !case.fails.iter().any(|wanted| found.is(wanted)));
    Ok(Answers {
        passed,
        wanted: wanted.collect::<anyhow::Result<_>>()?,
        found: found.collect::<anyhow::Result<_>>()?,
        culprit: culprit.and_then(|found| text(case.records.get(found.record)?).ok()),
    })
}

fn fates(instance: &mut FilterInstance, case: &Case) -> anyhow::Result<Vec<Fate>> {
    let mut batch = ChunkBuilder::new(case.tag.clone());
    for body in &case.records {
        batch.push(Event { time: case.time, metadata: &case.metadata, body })?;
    }
    Ok(fate::ask(instance, &batch.build()))
}

/// A failure that came.
struct Failed {
    record: usize,
    class: &'static str,
    message: String,
}

impl Failed {
    fn of((record, fate): (usize, &Fate)) -> Option<Self> {
        let error = fate.as_ref().err()?;
        let mut message = error.to_string();
        // The message names the first function; those that called it help, too.
        for function in error.backtrace().iter().skip(1) {
            message.push_str(&format!(", called by {function}"));
        }
        Some(Self { record, class: error.class().name(), message })
    }

    /// Whether it is the one that is wanted. Some languages end by `exit` where others trap.
    fn is(&self, wanted: &Failure) -> bool {
        let is_class =
            self.class == wanted.class || (self.class, &*wanted.class) == ("exit", "trap");
        wanted.record.is_none_or(|record| record == self.record)
            && is_class
            && self.message.contains(&wanted.why)
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "record {} fails: {}: {}", self.record, self.class, self.message)
    }
}

fn failure(wanted: &Failure) -> String {
    let Failure { record, class, why } = wanted;
    let record = record.map_or("one".to_owned(), |record| format!("record {record}"));
    said(format!("{record} fails: {class}"), why)
}

/// What is said, with why if that is known.
fn said(what: String, why: &str) -> String {
    if why.is_empty() { what } else { format!("{what}: {why}") }
}

/// The module does not start: that is wanted, or it is wrong whatever else is wanted.
fn not_started(case: &Case, why: &str) -> Answers {
    let is_wanted = |wanted: &Failure| wanted.class == START && why.contains(&wanted.why);
    let passed = case.becomes.is_empty() && matches!(&*case.fails, [only] if is_wanted(only));
    let told = |why: &str| said("it does not start".to_owned(), why);
    let wanted = match &*case.fails {
        [only] if only.class == START => vec![told(&only.why)],
        _ => vec!["it starts".to_owned()],
    };
    let found = if passed { wanted.clone() } else { vec![told(why)] };
    Answers { passed, wanted, found, culprit: None }
}

/// Whether bodies differ though they look the same as JSON.
fn is_same_text(made: &[&Made], wanted: &[Made]) -> bool {
    made.iter().zip(wanted).any(|(made, wanted)| {
        made.body != wanted.body && text(&made.body).ok() == text(&wanted.body).ok()
    })
}

/// A record as JSON, with what of it is not as its case has it; exactly with its bytes, too.
fn shown(made: &Made, case: &Case, exactly: bool) -> anyhow::Result<String> {
    let mut shown = text(&made.body)?;
    if made.tag != case.tag {
        shown += &format!(" tag {}", made.tag.as_str());
    }
    if made.time != case.time {
        shown += &format!(" time [{}, {}]", made.time.sec, made.time.nsec);
    }
    if made.metadata != case.metadata {
        shown += &format!(" metadata {}", text(&made.metadata)?);
    }
    if exactly {
        let digits: String = made.body.iter().map(|byte| format!("{byte:02x}")).collect();
        shown += &format!(" msgpack {digits}");
    }
    Ok(shown)
}
