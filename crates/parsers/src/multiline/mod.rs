//! Multiline parsers: those that configurations define, those that are there, and the joining of lines by them.

mod builtin;
mod docker_first;
mod first_line;
mod join;
mod section;
#[cfg(test)]
mod testing;

pub use builtin::builtin_multiline;
pub use builtin::docker;
pub use docker_first::{DockerFirst, DockerFirstParsers};
pub use first_line::{FirstLine, FirstLineParsers};
pub use join::join_lines;
pub use join::{Join, Joined, Joiner, Out, What, is_over};
pub use section::ALL;

use std::collections::BTreeSet;
use std::sync::Arc;

use flb_plugin::{Build, BuildError, MultilineParser};

/// The multiline parser with this name.
pub fn find_multiline(name: &str, build: &Build<'_>) -> Result<Arc<MultilineParser>, BuildError> {
    build.multiline.find(name).cloned().ok_or_else(|| {
        let known: BTreeSet<&str> = build.multiline.names().collect();
        let known: Vec<&str> = known.into_iter().collect();
        BuildError::new(format!("multiline parser '{name}' is not known"))
            .help(format!("known multiline parsers are: {}", known.join(", ")))
    })
}
