//! One followed file: where reading stands, and whether the file is still what its path names.

use std::cmp::Ordering;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use flb_event::{Tag, Timestamp, msgpack};
use sha2::{Digest as _, Sha256};

use super::patterns::{Identity, is_missing};
use super::room::Place;
use super::source::Source;
use crate::shared::lines::Lines;
use flb_parsers::multiline::Join;
use flb_plugin::log::Mishaps;

/// How many bytes before a position prove that a file is still the same.
const MARK: usize = 256;

/// What a file's path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sight {
    /// The file itself.
    Same,
    /// Another file: this one was renamed or deleted.
    Another(Identity),
    /// No file.
    Nothing,
    /// That can't be told now.
    Unknown,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Head,
    End,
    At(u64),
}

/// Where reading stands in a file, with what stands before it made small: as long as that is the same, so is the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) position: u64,
    pub(super) mark: u64,
}

/// A file that is followed. It is held open, so nothing else gets its identity.
pub(super) struct Followed {
    /// Its name now, or its last one.
    pub(super) path: PathBuf,
    /// The tag of its records, by the name it was found under.
    pub(super) tag: Tag,
    pub(super) lines: Lines,
    /// Joins lines, if that is wanted.
    pub(super) join: Option<Box<dyn Join>>,
    /// Entries of each record, as msgpack: the path it was found under, if that is wanted.
    pub(super) entries: Vec<u8>,
    /// Since when no pattern finds it any more.
    pub(super) gone_since: Option<Timestamp>,
    /// It is one of the first files, and its end has not been seen yet.
    pub(super) is_awaited: bool,
    /// It had a line that is too long; it is not read any more.
    pub(super) is_refused: bool,
    pub(super) failures: Mishaps,
    /// Kept as long as the file is open.
    pub(super) place: Option<Place>,
    source: Source,
    identity: Identity,
    /// Where the next read begins.
    position: u64,
    /// All before it is the pipeline's.
    settled: u64,
}

impl Followed {
    /// Opens the file at `path`.
    pub(super) fn open(path: &Path, tag: Tag, limit: usize) -> io::Result<Self> {
        let source = Source::open(path)?;
        let metadata = source.file().metadata()?;
        Ok(Self {
            path: path.to_owned(),
            tag,
            lines: Lines::new(0, limit),
            join: None,
            entries: Vec::new(),
            gone_since: None,
            is_awaited: false,
            is_refused: false,
            place: None,
            failures: Mishaps::default(),
            source,
            identity: Identity::of(&metadata),
            position: 0,
            settled: 0,
        })
    }

    /// Begins to read there.
    pub(super) fn start(&mut self, start: Start, limit: usize) -> io::Result<()> {
        let length = self.source.file().metadata()?.len();
        self.position = match start {
            Start::Head => 0,
            Start::End if self.source.is_packed() => {
                self.source.end();
                0
            }
            Start::End => length,
            Start::At(position) => position,
        };
        self.lines = Lines::new(self.position, limit);
        self.settled = self.position;
        Ok(())
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

    /// Whether it was packed when it was written, and so is read once.
    pub(super) fn is_packed(&self) -> bool {
        self.source.is_packed()
    }

    /// Where the next read begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// All before it is the pipeline's: who reads on from here loses nothing.
    pub(super) fn settled(&self) -> u64 {
        self.settled
    }

    /// What was read and is whole is the pipeline's now.
    pub(super) fn settle(&mut self) {
        let waits_from = self.join.as_ref().and_then(|join| join.waits_from());
        let whole = self.lines.offset();
        self.settled = waits_from.map_or(whole, |waits_from| waits_from.min(whole));
    }

    /// Whether lines wait for more.
    pub(super) fn waits(&self) -> bool {
        self.join.as_ref().is_some_and(|join| join.waits_from().is_some())
    }

    /// Where reading stands: who reads on from there loses nothing.
    pub(super) fn standing(&self) -> Standing {
        Standing { position: self.settled, mark: self.mark(self.settled) }
    }

    /// Where to read on, where reading stood there. At the head if what stands before it is not what was read: the file is new
    /// under an old number, or was written anew.
    pub(super) fn resumes_at(&self, standing: Standing) -> u64 {
        if self.mark(standing.position) == standing.mark { standing.position } else { 0 }
    }

    /// What stands before a position, made small. Of a packed file, its first bytes.
    fn mark(&self, position: u64) -> u64 {
        let mut bytes = [0; MARK];
        let from = if self.source.is_packed() { 0 } else { position.saturating_sub(MARK as u64) };
        let wanted = usize::try_from(position - from).map_or(MARK, |length| length.min(MARK));
        let mut length = 0;
        while length < wanted {
            let at = from + length as u64;
            match self.source.file().read_at(&mut bytes[length..wanted], at) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let digest = Sha256::digest(&bytes[..length]);
        digest
            .iter()
            .take(8)
            .fold(length as u64, |mark, byte| mark.rotate_left(8) ^ u64::from(*byte))
    }

    /// Seconds since 1970 when it was written to last.
    pub(super) fn modified(&self) -> Option<i64> {
        use std::os::unix::fs::MetadataExt as _;
        self.source.file().metadata().ok().map(|metadata| metadata.mtime())
    }

    /// Whether it has no name any more, so that nobody can find it again.
    pub(super) fn is_deleted(&self) -> bool {
        use std::os::unix::fs::MetadataExt as _;
        !self.source.file().metadata().is_ok_and(|metadata| metadata.nlink() > 0)
    }

    /// Looks at what the path names.
    pub(super) fn look(&self) -> Sight {
        match fs::metadata(&self.path) {
            Ok(metadata) if Identity::of(&metadata) == self.identity => Sight::Same,
            Ok(metadata) if metadata.is_file() => Sight::Another(Identity::of(&metadata)),
            Ok(_) => Sight::Nothing,
            Err(error) if is_missing(&error) => Sight::Nothing,
            Err(_) => Sight::Unknown,
        }
    }

    /// How the file's length compares with what was read of it: less after a truncation, greater if there is more to read.
    /// `None` if the file can't tell; reading it then says why.
    pub(super) fn length(&self) -> Option<Ordering> {
        self.source.length_to(self.position)
    }

    /// Whether there is more to read.
    pub(super) fn is_behind(&self) -> bool {
        !self.is_refused && self.length() == Some(Ordering::Greater)
    }

    /// Reads on; no bytes at the end.
    pub(super) fn read<'b>(&mut self, buffer: &'b mut [u8]) -> io::Result<&'b [u8]> {
        let length = self.source.read_at(buffer, self.position)?;
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
