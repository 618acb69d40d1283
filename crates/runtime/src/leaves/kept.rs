//! What the host keeps for one guest's calls of the functions of module `flb`.

use std::sync::Arc;

use flb_event::json::{JsonOptions, Printer};

use crate::meters::{Known, Names};
use crate::output::GuestLog;
use crate::{EventFormat, FilterOptions};

/// What the host keeps for one guest's calls of these.
#[derive(Default)]
pub(crate) struct Leaves {
    pub(super) printer: Option<Box<Printer>>,
    pub(super) text: Vec<u8>,
    pub(super) log: Option<GuestLog>,
    pub(super) meters: Known,
}

impl Leaves {
    /// For a guest with these options, of a module whose guests have asked for these names.
    pub(crate) fn new(options: &FilterOptions, names: Arc<Names>) -> Self {
        let printed = match options.format {
            EventFormat::Json { escape_unicode } => JsonOptions { escape_unicode },
            EventFormat::Msgpack => JsonOptions::default(),
        };
        Self {
            printer: Some(Box::new(Printer::new(printed))),
            text: Vec::new(),
            log: options.sandbox.log.clone(),
            meters: Known::new(options.sandbox.meters.clone(), names),
        }
    }
}
