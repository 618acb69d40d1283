//! Why a call of a guest ended early, in words that are no engine's.

/// What ends a guest in its own code and in the host's alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Trap {
    /// It reached for what is not in its memory.
    #[error("out of bounds memory access")]
    MemoryOutOfBounds,
    /// Its deadline has passed.
    #[error("interrupt")]
    Interrupt,
}

// The words that users know from other runtimes, for traps of any engine.

pub(crate) const UNREACHABLE: &str = "unreachable";
pub(crate) const DIVISION_BY_ZERO: &str = "integer divide by zero";
pub(crate) const STACK_OVERFLOW: &str = "wasm operand stack overflow";

/// Why a call of a guest ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// A trap that matters to the host.
    #[error(transparent)]
    Trap(#[from] Trap),
    /// The guest ended itself, with this code.
    #[error("exit({0})")]
    Exit(i32),
    /// Anything else, in its own words.
    #[error("{0}")]
    Said(String),
}

impl Fault {
    /// In these words.
    pub(crate) fn said(words: impl Into<String>) -> Self {
        Self::Said(words.into())
    }
}

impl wasmi::errors::HostError for Fault {}

/// A call that ended early: why, and where.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) fault: Fault,
    /// The guest's functions that were running, innermost first.
    pub(crate) backtrace: Vec<String>,
}

impl Ended {
    /// One about which there is no more to say.
    pub(crate) fn said(words: impl Into<String>) -> Self {
        Self { fault: Fault::said(words), backtrace: Vec::new() }
    }
}
