//! What a pipeline leaves to the one that replaces it: chunks in memory that are not delivered, the lock of its storage,
//! and its counts.
//!
//! A chunk is owed to certain outputs. In the new pipeline it goes to their heirs: the same section, wherever it stands now,
//! or else the same name. If an output has no heir, the outputs that are new get what it is owed, as far as they match.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use flb_event::Chunk;

use crate::buffer::Held;
use crate::counters::{Counters, InputRow};
use crate::instance::Instance;
use crate::router::Router;
use crate::storage::Lock;
use crate::task::{ChunkName, Full, Task};

/// Everything that a pipeline leaves to the next one.
pub struct Left {
    pub(crate) chunks: Vec<LeftChunk>,
    /// Those whom the chunks are owed.
    pub(crate) outputs: Vec<OutputKey>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) lock: Option<(PathBuf, Lock)>,
}

impl std::fmt::Debug for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Left").field("chunks", &self.chunks.len()).finish_non_exhaustive()
    }
}

impl Left {
    /// Number of records that are handed over.
    pub fn records(&self) -> usize {
        self.chunks.iter().map(|left| left.chunk.len()).sum()
    }

    /// Hands all chunks to the outputs of a pipeline whose lanes do not run yet.
    pub(crate) fn route(self, router: &Router, outputs: &[OutputKey], counters: &Counters) {
        let heirs = heirs(&self.outputs, outputs);
        let is_new = |at: &usize| !heirs.contains(&Some(*at));
        let newcomers: Vec<usize> = (0..outputs.len()).filter(is_new).collect();
        for LeftChunk { name, chunk, from, owed } in self.chunks {
            let (tag, records, bytes) = (chunk.tag().clone(), chunk.len(), chunk.bytes().len());
            let mut to: Vec<usize> = owed.iter().filter_map(|owed| heirs[*owed]).collect();
            if owed.iter().any(|owed| heirs[*owed].is_none()) {
                to.extend(newcomers.iter().filter(|at| router.matches(**at, &tag)));
            }
            if to.is_empty() {
                counters.not_handed_over.add(records);
                tracing::error!(
                    "[reload] chunk '{name}' with {records} records of tag '{tag}' is dropped: the output that it was for is gone"
                );
                continue;
            }
            let same = |row: &&Arc<InputRow>| row.instance.is_same(&from.instance);
            let from = counters.inputs.iter().find(same).unwrap_or(&from);
            let held = Held::new(from, bytes);
            from.chunks.add(1);
            router.send(from, Full { name, chunk, held, file: None, is_up: true }, &to);
        }
    }
}

/// A chunk that is nowhere but in memory.
pub(crate) struct LeftChunk {
    name: ChunkName,
    chunk: Chunk,
    from: Arc<InputRow>,
    /// The outputs that have not settled its fate, by their places.
    owed: Vec<usize>,
}

/// What is left in the outputs' backlogs, in the order in which it was routed. What is stored is found again in its files.
pub(crate) fn gather(
    backlogs: impl IntoIterator<Item = (usize, Vec<Arc<Task>>)>,
) -> Vec<LeftChunk> {
    let mut tasks: BTreeMap<u64, (Arc<Task>, Vec<usize>)> = BTreeMap::new();
    for (output, backlog) in backlogs {
        for task in backlog {
            tasks.entry(task.number).or_insert_with(|| (task, Vec::new())).1.push(output);
        }
    }
    let left = tasks.into_values().filter_map(|(task, mut owed)| {
        owed.sort_unstable();
        let chunk = task.unstored()?;
        Some(LeftChunk { name: task.name, chunk, from: Arc::clone(&task.from), owed })
    });
    left.collect()
}

/// By what an output is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OutputKey {
    pub(crate) instance: Instance,
    /// All that its section says.
    pub(crate) section: String,
}

impl OutputKey {
    fn is_alike(&self, other: &Self) -> bool {
        self.section == other.section
    }

    fn is_same(&self, other: &Self) -> bool {
        self.instance.is_same(&other.instance)
    }
}

/// How an output is known again, the surest way first.
const WAYS: [fn(&OutputKey, &OutputKey) -> bool; 3] =
    [|a, b| a.is_alike(b) && a.is_same(b), OutputKey::is_alike, OutputKey::is_same];

/// For each of the old outputs the place of the new one that stands for it.
fn heirs(old: &[OutputKey], new: &[OutputKey]) -> Vec<Option<usize>> {
    let mut heirs: Vec<Option<usize>> = vec![None; old.len()];
    for fits in WAYS {
        for (place, key) in old.iter().enumerate() {
            if heirs[place].is_none() {
                let is_free = |at: &usize| !heirs.contains(&Some(*at));
                heirs[place] = (0..new.len()).filter(is_free).find(|at| fits(key, &new[*at]));
            }
        }
    }
    heirs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instance::Role;

    /// `name=section` of each output.
    fn keys(outputs: &[&str]) -> Vec<OutputKey> {
        let key = |text: &&str| {
            let (name, section) = text.split_once('=').unwrap();
            let name = name.into();
            let instance = Instance::new(Role::Output, "out", name);
            OutputKey { instance, section: section.to_owned() }
        };
        outputs.iter().map(key).collect()
    }

    fn check(old: &[&str], new: &[&str], expected: &[Option<usize>]) {
        assert_eq!(heirs(&keys(old), &keys(new)), expected, "{old:?} {new:?}");
    }

    #[test]
    fn an_output_is_known_again_by_its_section_and_else_by_its_name() {
        check(&["out.0=a", "out.1=b"], &["out.0=a", "out.1=b"], &[Some(0), Some(1)]);
        check(&["out.0=a", "out.1=a"], &["out.0=a", "out.1=a"], &[Some(0), Some(1)]);
        check(&["out.0=a", "out.1=b"], &["out.0=c", "out.1=a", "out.2=b"], &[Some(1), Some(2)]);
        check(&["out.0=a", "out.1=b"], &["out.0=b"], &[None, Some(0)]);
        check(&["out.0=a"], &["out.0=b"], &[Some(0)]);
        check(&["x=a"], &["y=b"], &[None]);
    }
}
