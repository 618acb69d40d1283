//! Multiline parsers: which lines belong together. Whoever reads lines joins them by these.

use std::sync::Arc;
use std::time::Duration;

use crate::{Named, Parser, Regex};

/// The multiline parsers that a configuration may name.
pub type MultilineParsers = Named<MultilineParser>;

/// Says which lines belong together.
#[derive(Clone)]
pub struct MultilineParser {
    /// When a record is whole.
    pub whole: Whole,
    /// Parses each line first. Without one, a line is text and nothing else.
    pub parser: Option<Arc<dyn Parser>>,
    /// The key of a parsed line's text: the one that is joined.
    pub key_content: Option<String>,
    /// The key of a parsed line that is looked at instead of the text.
    pub key_pattern: Option<String>,
    /// Parsed lines belong together only if they have the same value under this key.
    pub key_group: Option<String>,
    /// How long to wait for more lines.
    pub flush_timeout: Duration,
}

impl std::fmt::Debug for MultilineParser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MultilineParser").field("whole", &self.whole).finish_non_exhaustive()
    }
}

/// When a record is whole.
#[derive(Debug, Clone)]
pub enum Whole {
    /// When the next line follows no rule that goes on from here.
    Rules(Vec<Rule>),
    /// With a line that ends with this text; with `negate`, that does not.
    EndsWith {
        /// The text.
        text: Vec<u8>,
        /// Whether the others are meant.
        negate: bool,
    },
    /// With a line that is this text; with `negate`, that is not.
    Equals {
        /// The text.
        text: Vec<u8>,
        /// Whether the others are meant.
        negate: bool,
    },
}

/// In one of these states, a line that the pattern is found in belongs to the record and leads to the next state.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The states it is for. In [`Rule::START`] the line begins a record.
    pub from: Vec<String>,
    /// What the line must have.
    pub pattern: Regex,
    /// The next state.
    pub to: String,
}

impl Rule {
    /// The state between records.
    pub const START: &str = "start_state";

    /// Whether the rule is for this state.
    pub fn is_for(&self, state: &str) -> bool {
        self.from.iter().any(|from| from == state)
    }
}
