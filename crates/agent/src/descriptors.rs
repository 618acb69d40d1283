//! How many files and connections the process may have open, and who gets how many of them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as anybody needs. More would make commands slow that close all descriptors that they may have got.
const ENOUGH: u64 = 65_536;

/// What the agent needs for itself, and for a few outputs and chunks.
const RESERVE: usize = 64;

/// Shares of the descriptors. What is left is for outputs, storage and all else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// Connections of all inputs together.
    pub(crate) connections: usize,
    /// Files that inputs follow.
    pub(crate) files: usize,
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
        let shared = limit - RESERVE.min(limit / 2);
        Self {
            connections: (shared / 8 * 3).max(1),
            files: (shared / 2).max(1),
            server: (shared / 16).clamp(2, 64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_and_files_may_take_leaves_room_for_outputs() {
        for (limit, connections, files, server) in
            [(0, 1, 1, 2), (64, 12, 16, 2), (1024, 360, 480, 60), (65_536, 24_552, 32_736, 64)]
        {
            let shares = Descriptors { connections, files, server };
            assert_eq!(Descriptors::of(limit), shares, "{limit}");
        }
    }
}
