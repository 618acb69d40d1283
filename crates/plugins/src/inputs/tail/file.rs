//! One followed file: where reading stands, and whether the file is still what its path names.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use flb_event::{Tag, Timestamp, msgpack};

use super::patterns::Identity;
use crate::inputs::lines::Lines;
use crate::log::Mishaps;

/// What a file's path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// The file itself.
    Same,
    /// Another file: this one was renamed or deleted.
    Another(Identity),
    /// No file.
    Nothing,
}

/// A file that is followed. It is held open, so nothing else gets its identity.
pub(super) struct Followed {
    /// Its name now, or its last one.
    pub(super) path: PathBuf,
    /// The tag of its records, by the name it was found under.
    pub(super) tag: Tag,
    pub(super) lines: Lines,
    /// Entries of each record, as msgpack: the path it was found under, if that is wanted.
    pub(super) entries: Vec<u8>,
    /// Since when no pattern finds it any more.
    pub(super) gone_since: Option<Timestamp>,
    /// It is one of the first files, and its end has not been seen yet.
    pub(super) is_awaited: bool,
    /// It had a line that is too long; it is not read any more.
    pub(super) is_refused: bool,
    pub(super) failures: Mishaps,
    file: File,
    identity: Identity,
    /// Where the next read begins.
    position: u64,
}

impl Followed {
    /// Opens the file at `path`, to be read from its start or from its end.
    pub(super) fn open(path: &Path, tag: Tag, from_head: bool, limit: usize) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        let position = if from_head { 0 } else { metadata.len() };
        Ok(Self {
            path: path.to_owned(),
            tag,
            lines: Lines::new(position, limit),
            entries: Vec::new(),
            gone_since: None,
            is_awaited: false,
            is_refused: false,
            failures: Mishaps::default(),
            file,
            identity: Identity::of(&metadata),
            position,
        })
    }

    /// Has every record say the path, as it is now, under `key`.
    pub(super) fn name_path(&mut self, key: &str) {
        self.entries.clear();
        msgpack::write_str(&mut self.entries, key);
        msgpack::write_str(&mut self.entries, self.path.as_os_str().as_bytes());
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Where the next read begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Looks at what the path names.
    pub(super) fn look(&self) -> Sight {
        match fs::metadata(&self.path) {
            Ok(metadata) if Identity::of(&metadata) == self.identity => Sight::Same,
            Ok(metadata) if metadata.is_file() => Sight::Another(Identity::of(&metadata)),
            _ => Sight::Nothing,
        }
    }

    /// How the file's length compares with what was read of it: less after a truncation, greater if there is more to read.
    /// None if the file can't tell; reading it then says why.
    pub(super) fn length(&self) -> Option<Ordering> {
        let metadata = self.file.metadata().ok()?;
        Some(metadata.len().cmp(&self.position))
    }

    /// Whether there is more to read.
    pub(super) fn is_behind(&self) -> bool {
        !self.is_refused && self.length() == Some(Ordering::Greater)
    }

    /// Reads on; no bytes at the end.
    pub(super) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let length = loop {
            match self.file.read_at(buffer, self.position) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.position += length as u64;
        Ok(&buffer[..length])
    }

    /// Begins again at the start, because the file was truncated.
    pub(super) fn rewind(&mut self, limit: usize) {
        self.position = 0;
        self.lines = Lines::new(0, limit);
        self.is_refused = false;
    }
}
