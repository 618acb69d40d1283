//! What a pipeline leaves to the one that replaces it: chunks in memory that are not delivered, the lock of its storage,
//! and its counts.
//!
//! A chunk is owed to certain outputs. In the new pipeline it goes to their heirs: the same section, wherever it stands now,
//! or else the same name. If an output has no heir, the outputs that are new get what it is owed, as far as they match. What
//! nobody there matches, the output itself delivers: it leaves, and stays in the new pipeline until it has done so.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use flb_event::{Chunk, Tag};

use super::parts::{OutputKey, OutputPart};
use crate::books::{Counters, InputRow};
use crate::flow::{Full, Router, Task};
use crate::storage::{ChunkName, Held, Lock};

/// Everything that a pipeline leaves to the next one.
pub struct Left {
    pub(crate) chunks: Vec<LeftChunk>,
    /// Those whom the chunks are owed.
    pub(crate) outputs: Vec<OutputPart>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) lock: Option<(PathBuf, Lock)>,
}

impl std::fmt::Debug for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Left").field("chunks", &self.chunks.len()).finish_non_exhaustive()
    }
}

impl Left {
    /// Number of records in memory that are handed over.
    pub fn records(&self) -> usize {
        self.chunks.iter().filter_map(|left| left.chunk.as_ref()).map(Chunk::len).sum()
    }

    /// Says who of `outputs` gets each chunk that is in memory. Outputs that leave are added to them.
    pub(crate) fn assign(&mut self, outputs: &mut Vec<OutputPart>) -> Vec<Assigned> {
        let heirs = heirs(&keys(&self.outputs), &keys(outputs));
        let is_new = |at: &usize| !heirs.contains(&Some(*at));
        let newcomers: Vec<usize> = (0..outputs.len()).filter(is_new).collect();
        let mut leaving: BTreeMap<usize, usize> = BTreeMap::new();
        let mut assigned = Vec::new();
        for left in std::mem::take(&mut self.chunks) {
            let mut to = BTreeSet::new();
            for owed in &left.owed {
                let takes = |at: &&usize| outputs[**at].matching.matches(&left.tag);
                let successors: Vec<usize> = match heirs[*owed] {
                    Some(heir) => vec![heir],
                    None => newcomers.iter().filter(takes).copied().collect(),
                };
                if successors.is_empty() {
                    to.insert(*leaving.entry(*owed).or_insert_with(|| {
                        outputs.push(self.outputs[*owed].leaving());
                        outputs.len() - 1
                    }));
                }
                to.extend(successors);
            }
            let LeftChunk { name, chunk, from, .. } = left;
            let to = to.into_iter().collect();
            assigned.extend(chunk.map(|chunk| Assigned { name, chunk, from, to }));
        }
        assigned
    }
}

fn keys(outputs: &[OutputPart]) -> Vec<&OutputKey> {
    outputs.iter().map(|part| &part.key).collect()
}

/// A chunk whose fate is open, at some outputs.
pub(crate) struct LeftChunk {
    name: ChunkName,
    tag: Tag,
    /// `None` if it is in a file, where it is found again.
    chunk: Option<Chunk>,
    from: Arc<InputRow>,
    /// The outputs that have not settled its fate, by their places.
    owed: Vec<usize>,
}

/// A chunk in memory and the outputs of the new pipeline that get it, by their places.
pub(crate) struct Assigned {
    name: ChunkName,
    chunk: Chunk,
    from: Arc<InputRow>,
    to: Vec<usize>,
}

impl Assigned {
    /// Hands it to the outputs of a pipeline whose lanes do not run yet.
    pub(crate) fn route(self, router: &Router, counters: &Counters) {
        let Self { name, chunk, from, to } = self;
        let same = |row: &&Arc<InputRow>| row.instance.is_same(&from.instance);
        let from = counters.inputs.iter().find(same).unwrap_or(&from);
        let held = Held::new(&from.buffer, chunk.bytes().len());
        from.chunks.add(1);
        router.send(from, Full { name, chunk, held, file: None, is_up: true }, &to);
    }
}

/// What is left in the outputs' backlogs, in the order in which it was routed.
pub(crate) fn gather(
    backlogs: impl IntoIterator<Item = (usize, Vec<Arc<Task>>)>,
) -> Vec<LeftChunk> {
    let mut tasks: BTreeMap<u64, (Arc<Task>, Vec<usize>)> = BTreeMap::new();
    for (output, backlog) in backlogs {
        for task in backlog {
            tasks.entry(task.number).or_insert_with(|| (task, Vec::new())).1.push(output);
        }
    }
    let left = tasks.into_values().map(|(task, mut owed)| {
        owed.sort_unstable();
        let (name, tag, from) = (task.name, task.tag().clone(), Arc::clone(&task.from));
        LeftChunk { name, tag, chunk: task.unstored(), from, owed }
    });
    left.collect()
}

/// How an output is known again, the surest way first.
const WAYS: [fn(&OutputKey, &OutputKey) -> bool; 3] =
    [|a, b| a.is_alike(b) && a.is_same(b), OutputKey::is_alike, OutputKey::is_same];

/// For each of the old outputs the place of the new one that stands for it.
fn heirs(old: &[&OutputKey], new: &[&OutputKey]) -> Vec<Option<usize>> {
    let mut heirs: Vec<Option<usize>> = vec![None; old.len()];
    for fits in WAYS {
        for (place, key) in old.iter().enumerate() {
            if heirs[place].is_none() {
                let is_free = |at: &usize| !heirs.contains(&Some(*at));
                heirs[place] = (0..new.len()).filter(is_free).find(|at| fits(key, new[*at]));
            }
        }
    }
    heirs
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_config::Role;

    use crate::instance::Instance;

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
        let (old_keys, new_keys) = (keys(old), keys(new));
        let found = heirs(&Vec::from_iter(&old_keys), &Vec::from_iter(&new_keys));
        assert_eq!(found, expected, "{old:?} {new:?}");
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
