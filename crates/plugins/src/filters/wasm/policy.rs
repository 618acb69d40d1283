//! What becomes of records that the function fails on, and what the log says about it.

use std::path::Path;

use flb_artifact::Sha256Hex;
use flb_event::{Event, Tag};
use flb_plugin::{BuildError, Failure, Fate, Options, Tally};
use flb_runtime::{FilterError, FilterModule};

use super::quarantine::{Origin, Quarantine};
use crate::log::{Label, Mishaps, Times};

/// What becomes of a record that the function fails on.
#[derive(Debug)]
enum OnError {
    Keep,
    Drop,
    Quarantine(Quarantine),
}

/// The policy of one filter, shared by its instances.
#[derive(Debug)]
pub(super) struct Policy {
    on_error: OnError,
    label: Label,
    /// Failures by class, in the order of [`Failure::ALL`].
    failures: [Mishaps; Failure::ALL.len()],
    /// Records that the quarantine could not take.
    refusals: Mishaps,
    /// Times that the quarantine was full.
    overflows: Mishaps,
}

impl Policy {
    /// The policy that the options ask for. `instance` is the filter's name, `path` the file of the module.
    pub(super) fn read(
        options: &Options,
        label: Label,
        instance: &str,
        module: &FilterModule,
        path: &Path,
    ) -> Result<Self, BuildError> {
        let on_error = match options.text("on_error") {
            Some("drop") => OnError::Drop,
            Some("quarantine") => {
                let origin = Origin::new(instance, module, path);
                OnError::Quarantine(Quarantine::read(options, instance, origin)?)
            }
            _ => OnError::Keep,
        };
        Ok(Self {
            on_error,
            label,
            failures: Default::default(),
            refusals: Mishaps::default(),
            overflows: Mishaps::default(),
        })
    }

    /// Decides about a record that the function of this module failed on, and says so, ever less often.
    pub(super) fn apply(
        &self,
        (error, module): (&FilterError, Sha256Hex),
        tag: &Tag,
        event: Event<'_>,
        tally: &mut Tally,
    ) -> Fate {
        let class = class(error);
        let fate = match &self.on_error {
            OnError::Keep => Fate::Kept,
            OnError::Drop => Fate::Dropped,
            OnError::Quarantine(quarantine) => {
                self.quarantine(quarantine, (class, error, module), tag, event, tally)
            }
        };
        self.log(class, error, fate);
        fate
    }

    /// A record that cannot be put into quarantine is not lost: it passes.
    fn quarantine(
        &self,
        quarantine: &Quarantine,
        failure: (Failure, &FilterError, Sha256Hex),
        tag: &Tag,
        event: Event<'_>,
        tally: &mut Tally,
    ) -> Fate {
        match quarantine.add(failure, tag, event) {
            Ok(0) => Fate::Quarantined,
            Ok(lost) => {
                tally.quarantine_lost += lost;
                if let Some(times) = self.overflows.another().map(Times) {
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
                if let Some(times) = self.refusals.another().map(Times) {
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

    fn log(&self, class: Failure, error: &FilterError, fate: Fate) {
        let Some(times) = self.failures[class as usize].another().map(Times) else { return };
        let words = match class {
            Failure::BadOutput => "",
            _ => "Got exception running wasm code: ",
        };
        let fate = match fate {
            Fate::Kept => "kept as it was",
            Fate::Dropped => "dropped",
            Fate::Quarantined => "in quarantine",
        };
        tracing::error!("{} {words}{error}; the record is {fate}{times}", self.label);
    }
}

/// The class that a failure is counted under.
pub(super) fn class(error: &FilterError) -> Failure {
    match error {
        FilterError::Deadline { .. } => Failure::Deadline,
        FilterError::Memory { .. } => Failure::Memory,
        FilterError::BadOutput { .. } => Failure::BadOutput,
        FilterError::Exit { .. } => Failure::Exit,
        _ => Failure::Trap,
    }
}
