//! The folder of all chunks, `storage.path`: one agent's at a time, with a folder for each input, and one for files that
//! are damaged.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use flb_event::{Chunk, Tag};
use flb_files::Access;

use super::chunk_name::ChunkName;
use super::file::{ChunkFile, StoredFile};
use super::format::{self, Contents, End, NotAChunk};
use super::settings::StorageSettings;
use super::slots::Slots;

/// Where damaged files are kept.
const QUARANTINE: &str = "quarantine";

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Another agent is at work there.
    #[error("[storage] {} is in use by another agent; give each agent a storage.path of its own", .0.display())]
    InUse(PathBuf),
    /// It cannot be read or written.
    #[error("[storage] cannot use {}: {source}", path.display())]
    Io {
        /// What could not be used.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl StorageError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

/// Keeps other agents out of a folder, until it is dropped or the process ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file gives the lock up")] File);

/// The folder of all chunks.
#[derive(Debug)]
pub(crate) struct Storage {
    folder: PathBuf,
    is_synced: bool,
    deletes_damaged: bool,
    /// The folder of chunks that outputs refused.
    rejected: PathBuf,
    pub(crate) slots: Slots,
}

/// A chunk that was there at the start.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) name: ChunkName,
    pub(crate) file: StoredFile,
    pub(crate) chunk: Chunk,
    /// Outputs that need it no more.
    pub(crate) settled: Vec<String>,
}

impl Storage {
    /// Makes the folder if need be.
    pub(crate) fn new(folder: &Path, settings: &StorageSettings) -> Self {
        Self {
            folder: folder.to_owned(),
            is_synced: settings.is_synced,
            deletes_damaged: settings.deletes_damaged,
            rejected: folder.join(&settings.rejected_path),
            slots: Slots::new(settings.max_chunks_up),
        }
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes the folder for this agent, and makes it if need be.
    pub(crate) fn lock(&self) -> Result<Lock, StorageError> {
        flb_files::make_folder(&self.folder).map_err(StorageError::io(&self.folder))?;
        let path = self.folder.join("lock");
        let file = flb_files::open(&path, Access::ReadWrite).map_err(StorageError::io(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(StorageError::InUse(self.folder.clone())),
            Err(TryLockError::Error(source)) => Err(StorageError::Io { path, source }),
        }
    }

    /// Makes a file for a chunk of an input.
    pub(crate) fn create(
        &self,
        name: &mut ChunkName,
        (input, tag): (&str, &Tag),
    ) -> io::Result<ChunkFile> {
        let folder = self.folder.join(folder_name(input));
        ChunkFile::create(&folder, name, (input, tag), self.is_synced)
    }

    /// The files of all chunks that are there, oldest first.
    pub(crate) fn chunks(&self) -> Result<Vec<(ChunkName, PathBuf)>, StorageError> {
        let mut found = Vec::new();
        for folder in entries(&self.folder)? {
            let is_aside =
                folder.file_name() == Some(OsStr::new(QUARANTINE)) || folder == self.rejected;
            if folder.is_dir() && !is_aside {
                let files = entries(&folder)?.into_iter();
                found.extend(files.filter_map(|path| Some((ChunkName::of(&path)?, path))));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Reads a file that was there at the start. `None` if there is nothing in it to deliver.
    pub(crate) fn read(&self, name: ChunkName, path: PathBuf) -> Option<Found> {
        let read = fs::read(&path).map(|bytes| format::read(&bytes));
        let Contents { chunk, settled, good, end, .. } = match read {
            Ok(Ok(contents)) => contents,
            Ok(Err(NotAChunk::Unfinished)) => {
                tracing::info!("[storage] {} was not finished and is empty", path.display());
                StoredFile { path }.delete();
                return None;
            }
            Ok(Err(NotAChunk::FluentBit)) => {
                tracing::warn!(
                    "[storage] {} is Fluent Bit's and stays there; let Fluent Bit deliver it",
                    path.display()
                );
                return None;
            }
            Ok(Err(error)) => {
                self.put_aside(&path, &error.to_string());
                return None;
            }
            Err(error) => {
                tracing::error!(
                    "[storage] cannot read {}, it stays there: {error}",
                    path.display()
                );
                return None;
            }
        };
        match end {
            End::Whole => {}
            End::Torn => {
                tracing::info!(
                    "[storage] {} ends with a batch that was not finished",
                    path.display()
                );
                cut(&path, good);
            }
            End::Damaged(why) => {
                let records = chunk.len();
                if !self.keep_copy(&path, why) {
                    return None;
                }
                tracing::warn!("[storage] the {records} records before the damage are delivered");
                cut(&path, good);
            }
        }
        let file = StoredFile { path };
        if chunk.is_empty() {
            file.delete();
            return None;
        }
        Some(Found { name, file, chunk, settled })
    }

    /// Moves a file of which nothing can be read out of the way.
    fn put_aside(&self, path: &Path, why: &str) {
        if self.deletes_damaged {
            tracing::error!("[storage] {} is damaged and deleted: {why}", path.display());
            return StoredFile { path: path.to_owned() }.delete();
        }
        match self.quarantine(path).and_then(|to| fs::rename(path, &to).map(|()| to)) {
            Ok(to) => tracing::error!(
                "[storage] {} is damaged and moved to {}: {why}",
                path.display(),
                to.display()
            ),
            Err(error) => tracing::error!(
                "[storage] {} is damaged and stays there: {why}; it cannot be moved: {error}",
                path.display()
            ),
        }
    }

    /// Keeps a copy of a file that is damaged at its end, so that the end may go from the file itself. False if it cannot.
    fn keep_copy(&self, path: &Path, why: &str) -> bool {
        if self.deletes_damaged {
            tracing::error!(
                "[storage] the end of {} is damaged and deleted: {why}",
                path.display()
            );
            return true;
        }
        match self.quarantine(path).and_then(|to| fs::copy(path, &to).map(|_| to)) {
            Ok(to) => {
                let (path, to) = (path.display(), to.display());
                tracing::error!(
                    "[storage] the end of {path} is damaged: {why}; all of it is in {to}"
                );
                true
            }
            Err(error) => {
                let path = path.display();
                tracing::error!(
                    "[storage] the end of {path} is damaged and it stays there: {why}; it cannot be copied: {error}"
                );
                false
            }
        }
    }

    /// A free name for a damaged file.
    fn quarantine(&self, path: &Path) -> io::Result<PathBuf> {
        let folder = self.folder.join(QUARANTINE);
        flb_files::make_folder(&folder)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut free = (0_u32..).map(|n| match n {
            0 => folder.join(&name),
            n => folder.join(format!("{name}.{n}")),
        });
        free.find(|path| !path.exists()).ok_or_else(|| io::ErrorKind::AlreadyExists.into())
    }
}

/// Cuts off what is not good, so that more can be appended.
fn cut(path: &Path, good: usize) {
    let cut = OpenOptions::new().write(true).open(path);
    if let Err(error) = cut.and_then(|file| file.set_len(good as u64)) {
        tracing::warn!("[storage] cannot shorten {}: {error}", path.display());
    }
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, StorageError> {
    let read = || -> io::Result<Vec<PathBuf>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
    };
    read().map_err(StorageError::io(folder))
}

/// The folder of an input: its name, without what means something to file systems.
pub(super) fn folder_name(input: &str) -> String {
    let plain = |letter: char| {
        let is_plain = letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        if is_plain { letter } else { '_' }
    };
    let name: String = input.chars().map(plain).collect();
    let is_taken = name == QUARANTINE || name == "lock" || name.bytes().all(|byte| byte == b'.');
    if is_taken { format!("{name}_") } else { name }
}

#[cfg(test)]
mod tests {
    use flb_event::{ChunkBuilder, Event, Timestamp};

    use super::*;

    fn storage(folder: &Path) -> Storage {
        Storage::new(folder, &StorageSettings::plain())
    }

    fn batch(sec: u32) -> Chunk {
        let mut builder = ChunkBuilder::new(Tag::new("t").unwrap());
        let time = Timestamp { sec, nsec: 0 };
        builder.push(Event { time, metadata: Event::NO_METADATA, body: &[0x80] }).unwrap();
        builder.build()
    }

    fn name(sec: u32) -> ChunkName {
        ChunkName { created: Timestamp { sec, nsec: 5 }, process: 7 }
    }

    /// Stores a chunk of two batches.
    fn store(storage: &Storage, at: u32) -> PathBuf {
        let mut name = name(at);
        let mut file = storage.create(&mut name, ("in/1", &Tag::new("t").unwrap())).unwrap();
        file.append(&batch(at)).unwrap();
        file.append(&batch(at + 1)).unwrap();
        file.close().path
    }

    fn found(storage: &Storage) -> Vec<Vec<u32>> {
        let chunks = storage.chunks().unwrap().into_iter();
        let found = chunks.filter_map(|(name, path)| storage.read(name, path));
        found.map(|found| found.chunk.records().map(|event| event.time.sec).collect()).collect()
    }

    #[test]
    fn chunks_are_found_again_oldest_first() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(folder.path());
        for at in [100, 20, 3] {
            store(&storage, at);
        }
        assert_eq!(found(&storage), [[3, 4], [20, 21], [100, 101]]);
        let of_input = folder.path().join("in_1");
        assert_eq!(fs::read_dir(of_input).unwrap().count(), 3);
    }

    #[test]
    #[cfg(unix)]
    fn only_the_agents_user_reads_what_is_stored() {
        use std::os::unix::fs::PermissionsExt as _;
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("storage");
        let storage = storage(&folder);
        let _lock = storage.lock().unwrap();
        let chunk = store(&storage, 5);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([folder.as_path(), chunk.parent().unwrap()].map(mode), [0o700; 2]);
        assert_eq!([folder.join("lock"), chunk.clone()].map(|path| mode(&path)), [0o600; 2]);
        fs::set_permissions(&chunk, fs::Permissions::from_mode(0o644)).unwrap();
        StoredFile { path: chunk.clone() }.settle("out.0");
        assert_eq!(mode(&chunk), 0o600);
    }

    #[test]
    fn two_chunks_of_one_moment_have_two_files() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(folder.path());
        let (first, second) = (store(&storage, 5), store(&storage, 5));
        assert!(first.ends_with("7-5.000000005.flb") && second.ends_with("7-5.000000006.flb"));
    }

    #[test]
    fn a_torn_end_is_cut_off_and_the_rest_delivered() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(folder.path());
        let path = store(&storage, 5);
        let length = fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
        assert_eq!(found(&storage), [[5]]);
        assert!(!folder.path().join(QUARANTINE).exists());
        StoredFile { path: path.clone() }.settle("out.0");
        assert_eq!(format::read(&fs::read(&path).unwrap()).unwrap().settled, ["out.0"]);
    }

    #[test]
    fn damage_is_quarantined_and_what_stands_before_it_delivered() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(folder.path());
        let path = store(&storage, 5);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert_eq!(found(&storage), [[5]]);
        let aside = folder.path().join(QUARANTINE).join(path.file_name().unwrap());
        assert_eq!(fs::read(&aside).unwrap(), bytes);
        fs::write(&path, b"no chunk at all").unwrap();
        assert_eq!(found(&storage), [[0; 0]; 0]);
        assert_eq!(fs::read(aside.with_extension("flb.1")).unwrap(), b"no chunk at all");
        assert!(!path.exists());
    }

    #[test]
    fn chunks_of_a_synced_folder_are_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let settings = StorageSettings { is_synced: true, ..StorageSettings::plain() };
        let storage = Storage::new(folder.path(), &settings);
        store(&storage, 3);
        assert_eq!(found(&storage), [[3, 4]]);
    }

    #[test]
    fn damaged_files_are_deleted_if_that_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let settings = StorageSettings { deletes_damaged: true, ..StorageSettings::plain() };
        let storage = Storage::new(folder.path(), &settings);
        let path = store(&storage, 5);
        fs::write(&path, "no chunk at all").unwrap();
        assert_eq!(found(&storage), [[0; 0]; 0]);
        assert!(!path.exists() && !folder.path().join(QUARANTINE).exists());
    }

    #[test]
    fn files_that_are_not_ours_stay() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(folder.path());
        let of_input = folder.path().join("tail.0");
        fs::create_dir_all(&of_input).unwrap();
        for (name, bytes) in [("1-2.3.flb", &[0xc1, 0, 1]), ("notes.txt", &[1, 2, 3])] {
            fs::write(of_input.join(name), bytes).unwrap();
        }
        assert_eq!(found(&storage), [[0; 0]; 0]);
        assert_eq!(fs::read_dir(of_input).unwrap().count(), 2);
    }

    #[test]
    fn a_folder_is_one_agents_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let storage = storage(folder.path());
        let lock = storage.lock().unwrap();
        assert!(matches!(storage.lock(), Err(StorageError::InUse(_))));
        drop(lock);
        storage.lock().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let wrong = Storage::new(&file, &StorageSettings::plain());
        assert!(matches!(wrong.lock(), Err(StorageError::Io { .. })));
    }

    #[test]
    fn a_folder_is_named_after_its_input() {
        assert_eq!(folder_name("tail.0"), "tail.0");
        assert_eq!(folder_name("../ä"), "..__");
        for taken in ["quarantine", "lock", "..", ""] {
            assert_eq!(folder_name(taken), format!("{taken}_"));
        }
    }
}
