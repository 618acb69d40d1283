//! What outputs refused for good, or ran out of retries for: kept in files below `storage.path` (`storage.keep.rejected`), as many bytes
//! as there may be. Nobody delivers them but who moves them back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flb_event::Chunk;

use super::chunk_name::ChunkName;
use super::file::ChunkFile;
use super::folder::folder_name;
use super::settings::StorageSettings;

/// The folder of refused chunks, with one for each output.
#[derive(Debug)]
pub(crate) struct Rejected {
    folder: PathBuf,
    /// Most bytes to keep.
    limit: Option<u64>,
    /// One output at a time.
    turn: Mutex<()>,
}

impl Rejected {
    /// The place, if refused chunks are kept.
    pub(crate) fn of(settings: &StorageSettings) -> Option<Arc<Self>> {
        let folder = settings.path.as_ref().filter(|_| settings.keeps_rejected)?;
        let path = folder.join(&settings.rejected_path);
        Some(Arc::new(Self::new(path, settings.rejected_limit)))
    }

    pub(crate) fn new(folder: PathBuf, limit: Option<u64>) -> Self {
        Self { folder, limit, turn: Mutex::default() }
    }

    /// Writes a chunk that the output refused. Where it is, and how many older ones had to go for it.
    pub(crate) fn keep(
        &self,
        output: &str,
        mut name: ChunkName,
        input: &str,
        chunk: &Chunk,
    ) -> io::Result<(PathBuf, usize)> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.folder.join(folder_name(output));
        let mut file = ChunkFile::create(&folder, &mut name, (input, chunk.tag()), true)?;
        let appended = file.append(chunk);
        let file = file.close();
        if let Err(error) = appended {
            file.delete();
            return Err(error);
        }
        let gone = self.make_room(&file.path)?;
        Ok((file.path, gone))
    }

    /// Deletes the oldest files until all fit, but never the newest one.
    fn make_room(&self, newest: &Path) -> io::Result<usize> {
        let Some(limit) = self.limit else { return Ok(0) };
        let mut files = Vec::new();
        for folder in entries(&self.folder)?.into_iter().filter(|path| path.is_dir()) {
            for path in entries(&folder)? {
                let length = fs::metadata(&path)?.len();
                files.extend(ChunkName::of(&path).map(|name| (name, path, length)));
            }
        }
        files.sort();
        let mut total: u64 = files.iter().map(|(_, _, length)| length).sum();
        let mut gone = 0;
        for (_, path, length) in files.iter().filter(|(_, path, _)| path != newest) {
            if total <= limit {
                break;
            }
            fs::remove_file(path)?;
            total -= length;
            gone += 1;
        }
        Ok(gone)
    }
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

#[cfg(test)]
mod tests {
    use flb_event::{ChunkBuilder, Event, Tag, Timestamp};

    use super::*;
    use crate::storage::format;

    fn chunk() -> Chunk {
        let mut builder = ChunkBuilder::new(Tag::new("a.b").unwrap());
        let time = Timestamp::default();
        builder.push(Event { time, metadata: Event::NO_METADATA, body: &[0x80] }).unwrap();
        builder.build()
    }

    fn name(sec: u32) -> ChunkName {
        ChunkName { created: Timestamp { sec, nsec: 0 }, process: 7 }
    }

    #[test]
    fn a_refused_chunk_can_be_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let rejected = Rejected::new(folder.path().join("rejected"), None);
        let (path, gone) = rejected.keep("http/0", name(1), "tail.0", &chunk()).unwrap();
        assert!(path.ends_with("rejected/http_0/7-1.000000000.flb") && gone == 0);
        let contents = format::read(&fs::read(path).unwrap()).unwrap();
        assert_eq!((contents.chunk.tag().as_str(), contents.chunk.len()), ("a.b", 1));
    }

    #[test]
    fn over_the_limit_the_oldest_go_but_never_the_newest() {
        let folder = tempfile::tempdir().unwrap();
        let all = Rejected::new(folder.path().to_owned(), None);
        let (first, _) = all.keep("b", name(5), "in", &chunk()).unwrap();
        let length = fs::metadata(&first).unwrap().len();
        let (second, _) = all.keep("a", name(6), "in", &chunk()).unwrap();
        let two = Rejected::new(folder.path().to_owned(), Some(2 * length));
        let (third, gone) = two.keep("a", name(7), "in", &chunk()).unwrap();
        assert_eq!((gone, first.exists(), second.exists(), third.exists()), (1, false, true, true));
        let none = Rejected::new(folder.path().to_owned(), Some(0));
        let (fourth, gone) = none.keep("a", name(1), "in", &chunk()).unwrap();
        assert_eq!((gone, third.exists(), fourth.exists()), (2, false, true));
    }
}
