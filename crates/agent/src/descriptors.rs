//! How many files and connections the process may have open, and who gets how many of them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as anybody needs. More would make commands slow that close all descriptors that they may have got.
const ENOUGH: u64 = 65_536;

/// Shares of the descriptors. What is left is for files: those that inputs read, outputs write, and storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// Connections of all inputs together.
    pub(crate) inputs: usize,
    /// Connections of the HTTP server.
    pub(crate) server: usize,
}

impl Descriptors {
    /// Raises the soft limit as far as may be.
    pub(crate) fn raise() -> Self {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let current = current.unwrap_or(u64::MAX);
        let wanted = maximum.unwrap_or(u64::MAX).min(ENOUGH);
        let raised = Rlimit { current: Some(wanted), maximum };
        let is_raised = wanted > current && setrlimit(Resource::Nofile, raised).is_ok();
        Self::of(if is_raised { wanted } else { current })
    }

    fn of(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Self { inputs: (limit / 2).max(1), server: (limit / 8).clamp(2, 64) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_and_the_server_leave_room_for_files() {
        for (limit, inputs, server) in
            [(0, 1, 2), (64, 32, 8), (1024, 512, 64), (u64::MAX, usize::MAX / 2, 64)]
        {
            assert_eq!(Descriptors::of(limit), Descriptors { inputs, server }, "{limit}");
        }
    }
}
