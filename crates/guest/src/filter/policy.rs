//! What becomes of records that the function fails on, and what the log says about it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flb_artifact::Sha256Hex;
use flb_event::json::{self, JsonOptions};
use flb_event::{Event, Tag};
use flb_plugin::{Build, BuildError, Fate, Options};
use flb_runtime::{Failure, FilterError, FilterModule};

use super::measures::Failures;
use super::options as given;
use super::quarantine::{Origin, Quarantine};
use crate::host;
use flb_plugin::log::{Kinds, Label, Mishaps, Times};

/// What becomes of a record that the function fails on.
#[derive(Debug)]
enum OnError {
    Keep,
    Drop,
    Quarantine(Quarantine),
}

/// The policy of one filter, shared by its instances.
#[derive(Debug)]
pub struct Policy {
    on_error: OnError,
    label: Label,
    pub(super) failures: Failures,
    /// Those that the log knows, by class in the order of [`Failure::ALL`].
    kinds: [Kinds; Failure::ALL.len()],
    /// Records that the quarantine could not take.
    refusals: Mishaps,
    /// Times that the quarantine was full.
    overflows: Mishaps,
    /// Times that a guest failed behind its last record.
    losses: Mishaps,
    /// Whether the log says that the module asked for files that it was not granted.
    denied: AtomicBool,
    /// Set once nobody waits for the filter any longer.
    overdue: Arc<AtomicBool>,
}

/// Bytes of a record that the log shows.
const SHOWN: usize = 4096;

impl Policy {
    /// The policy that the options ask for. `path` is the file of the module.
    pub fn read(
        options: &Options,
        label: Label,
        build: &Build<'_>,
        module: &FilterModule,
        path: &Path,
    ) -> Result<Self, BuildError> {
        let on_error = match options.get(given::ON_ERROR) {
            given::OnError::Drop => OnError::Drop,
            given::OnError::Quarantine => {
                let origin = Origin::new(build.instance, module, path);
                OnError::Quarantine(Quarantine::read(
                    options,
                    build.instance,
                    origin,
                    build.service.dry_run,
                )?)
            }
            given::OnError::Keep => OnError::Keep,
        };
        let policy = Self::new(on_error, label, Failures::of(build.metrics));
        Ok(Self { overdue: Arc::clone(&build.service.overdue), ..policy })
    }

    fn new(on_error: OnError, label: Label, failures: Failures) -> Self {
        Self {
            on_error,
            label,
            failures,
            kinds: Default::default(),
            refusals: Mishaps::default(),
            overflows: Mishaps::default(),
            losses: Mishaps::default(),
            denied: AtomicBool::new(false),
            overdue: Arc::default(),
        }
    }

    /// One whose records pass.
    #[cfg(test)]
    pub(super) fn keeping() -> Self {
        Self::new(OnError::Keep, Label::named("test".to_owned()), Failures::default())
    }

    /// One whose records are removed.
    pub fn dropping() -> Self {
        Self::new(OnError::Drop, Label::named("test".to_owned()), Failures::default())
    }

    /// Decides about a record that the function of this module failed on, and says so, ever less often.
    pub fn apply(
        &self,
        (error, module): (&FilterError, Sha256Hex),
        tag: &Tag,
        event: Event<'_>,
    ) -> Fate {
        let class = error.class();
        self.failures.count(class, 1);
        let fate = match &self.on_error {
            OnError::Keep => Fate::Kept,
            OnError::Drop => Fate::Dropped,
            OnError::Quarantine(quarantine) => {
                self.quarantine(quarantine, (class, error, module), tag, event)
            }
        };
        self.log((class, error), fate, tag, event);
        fate
    }

    /// Why the function is not to be called again, if it is not.
    pub(super) fn refusal(&self) -> Option<FilterError> {
        let reason = "the agent ends or reloads, and waits for the filter no longer";
        let is_overdue = self.overdue.load(Ordering::Relaxed);
        is_overdue.then(|| FilterError::GivenUp { reason: reason.to_owned() })
    }

    /// Says, ever less often, that a guest failed when it had decided about all records.
    pub(super) fn lost(&self, error: &FilterError) {
        if let Some(times) = self.losses.another().map(Times::of) {
            tracing::error!(
                "{} Got exception running wasm code: {error}; it had decided about all records, and starts afresh{times}",
                self.label
            );
        }
    }

    /// Says, once, that the module asked for a file that it was not granted.
    pub fn denied(&self, path: &str) {
        if !self.denied.swap(true, Ordering::Relaxed) {
            host::log_denied(&self.label, path);
        }
    }

    /// A record that cannot be put into quarantine is not lost: it passes.
    fn quarantine(
        &self,
        quarantine: &Quarantine,
        failure: (Failure, &FilterError, Sha256Hex),
        tag: &Tag,
        event: Event<'_>,
    ) -> Fate {
        match quarantine.add(failure, tag, event) {
            Ok(0) => Fate::Quarantined,
            Ok(lost) => {
                self.failures.lost.add(lost);
                if let Some(times) = self.overflows.another().map(Times::of) {
                    tracing::warn!(
                        "{} the quarantine is full: its {lost} oldest records are removed{times}; help: raise \
                         Quarantine_Limit, or replay and remove {}",
                        self.label,
                        quarantine.path().display()
                    );
                }
                Fate::Quarantined
            }
            Err(error) => {
                if let Some(times) = self.refusals.another().map(Times::of) {
                    tracing::error!(
                        "{} cannot write to the quarantine {}: {error}{times}",
                        self.label,
                        quarantine.path().display()
                    );
                }
                Fate::Kept
            }
        }
    }

    fn log(
        &self,
        (class, error): (Failure, &FilterError),
        fate: Fate,
        tag: &Tag,
        event: Event<'_>,
    ) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            tracing::debug!("{} failed on a record of {tag}: {}", self.label, shown(event.body));
        }
        let Some(times) = self.kinds[class as usize].another(&kind(error)) else { return };
        let words = match class {
            Failure::BadOutput | Failure::Refused => "",
            _ => "Got exception running wasm code: ",
        };
        let fate = match fate {
            Fate::Kept => "kept as it was",
            Fate::Dropped => "dropped",
            Fate::Quarantined => "in quarantine",
        };
        let label = &self.label;
        tracing::error!("{label} {words}{error}; the record is {fate}{times}, tag: {tag}");
    }
}

/// What is the same in failures of one kind: where and why, but not with which numbers, and nothing of the record.
fn kind(error: &FilterError) -> String {
    let place = error.backtrace().first().map(String::as_str).unwrap_or_default();
    let reason = match error {
        FilterError::Trap { reason, .. }
        | FilterError::OutOfMemory { reason, .. }
        | FilterError::Memory { reason }
        | FilterError::BadOutput { reason }
        | FilterError::Refused { reason } => reason.split(", buf: ").next().unwrap_or_default(),
        _ => "",
    };
    format!("{place} {}", reason.replace(|letter: char| letter.is_ascii_digit(), ""))
}

/// A record as a log line has it.
fn shown(body: &[u8]) -> String {
    let mut text = Vec::new();
    if json::write(body, &mut text, JsonOptions { escape_unicode: false }).is_err() {
        return format!("{} bytes that are no msgpack", body.len());
    }
    let more = if text.len() > SHOWN { "..." } else { "" };
    text.truncate(SHOWN);
    format!("{}{more}", String::from_utf8_lossy(&text))
}
