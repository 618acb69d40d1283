//! One chunk's file: written by its lane while the chunk is open, then read and in the end deleted by those that deliver
//! it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use flb_event::{Chunk, Tag};
use flb_files::Access;

use super::chunk_name::ChunkName;
use super::format;

/// The file of an open chunk.
#[derive(Debug)]
pub(crate) struct ChunkFile {
    path: PathBuf,
    file: File,
    /// Length of what is whole.
    length: u64,
    /// What is to be written before the first batch.
    origin: Vec<u8>,
    is_synced: bool,
}

impl ChunkFile {
    /// Makes a file for a chunk. The name's time goes on until no other chunk has it. With `is_synced` every batch is on
    /// the disk itself before it counts as stored.
    pub(crate) fn create(
        folder: &Path,
        name: &mut ChunkName,
        (input, tag): (&str, &Tag),
        is_synced: bool,
    ) -> io::Result<Self> {
        flb_files::make_folder(folder)?;
        loop {
            let path = folder.join(name.to_string());
            match flb_files::open(&path, Access::New) {
                Ok(file) => {
                    let origin = format::origin(input, tag);
                    return Ok(Self { path, file, length: 0, origin, is_synced });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => name.next(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Stores a batch: all of it, or nothing.
    pub(crate) fn append(&mut self, batch: &Chunk) -> io::Result<()> {
        let frame = format::records(batch).ok_or(io::ErrorKind::FileTooLarge)?;
        let written = self.write(&frame, batch.bytes());
        match written {
            Ok(()) => {
                self.length += (self.origin.len() + frame.len() + batch.bytes().len()) as u64;
                self.origin.clear();
                Ok(())
            }
            Err(error) => {
                // If this fails, too, the file has a torn end. Nothing is appended to it any more.
                let _ = self.file.set_len(self.length);
                Err(error)
            }
        }
    }

    fn write(&mut self, frame: &[u8], payload: &[u8]) -> io::Result<()> {
        let is_new = self.length == 0;
        self.file.write_all(&[&self.origin, frame].concat())?;
        self.file.write_all(payload)?;
        if self.is_synced {
            self.file.sync_data()?;
            if is_new && let Some(folder) = self.path.parent() {
                File::open(folder)?.sync_all()?;
            }
        }
        Ok(())
    }

    /// No more batches will come.
    pub(crate) fn close(self) -> StoredFile {
        StoredFile { path: self.path }
    }
}

/// The file of a chunk that is closed.
#[derive(Debug)]
pub(crate) struct StoredFile {
    pub(crate) path: PathBuf,
}

impl StoredFile {
    /// The records, of which there must be as many as were written.
    pub(crate) fn read(&self, records: usize) -> io::Result<Chunk> {
        let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let contents = format::read(&fs::read(&self.path)?).map_err(damaged)?;
        if contents.chunk.len() == records {
            return Ok(contents.chunk);
        }
        let why = format!("it has {} of {records} records", contents.chunk.len());
        Err(io::Error::new(io::ErrorKind::InvalidData, why))
    }

    /// Notes that an output needs the chunk no more. If that fails, the output gets the chunk again after a restart.
    pub(crate) fn settle(&self, output: &str) {
        let noted = flb_files::open(&self.path, Access::Existing)
            .and_then(|mut file| file.write_all(&format::settled(output)));
        match noted {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(
                    parent: None,
                    "[storage] cannot write to {}: {error}; after a restart {output} gets the chunk again",
                    self.path.display()
                );
            }
            _ => {}
        }
    }

    /// Nobody needs the chunk any more.
    pub(crate) fn delete(&self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(
                parent: None,
                "[storage] cannot delete {}: {error}; after a restart its records are delivered again",
                self.path.display()
            );
        }
    }
}
