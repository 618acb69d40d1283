//! How large a configuration may be, so that a wrong file costs a message and not the machine.

/// How many files one configuration may consist of.
pub(crate) const MAX_FILES: usize = 1000;

/// How deep files may include each other; reading recurses, and the stack is finite.
pub(crate) const MAX_DEPTH: usize = 64;

/// How many diagnostics are worth showing: what is no configuration at all need not be told by
/// line.
pub(crate) const MAX_DIAGNOSTICS: usize = 100;

/// How many bytes a file may have.
pub(crate) const MAX_FILE_SIZE: u64 = 32 << 20;
