//! The classes of failures, for logs, metrics, quarantine files and cases.

/// The class of a failure. The record's fate is then the filter's failure policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The guest trapped.
    Trap,
    /// The guest ran past its deadline.
    Deadline,
    /// The guest ran out of memory, or the record did not fit into it.
    Memory,
    /// The guest's answer could not be understood.
    BadOutput,
    /// The guest ended itself.
    Exit,
    /// The guest said that it failed on the record.
    Refused,
}

impl Failure {
    /// Every class.
    pub const ALL: [Failure; 6] =
        [Self::Trap, Self::Deadline, Self::Memory, Self::BadOutput, Self::Exit, Self::Refused];

    /// Its name in logs, metrics and quarantine files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::BadOutput => "bad_output",
            Self::Exit => "exit",
            Self::Refused => "refused",
        }
    }
}
