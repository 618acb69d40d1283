//! From Fluent Bit's database to one of ours: its positions are taken over once, and its file is kept beside.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirEntryExt as _, FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use flb_files::with_suffix;
use flb_plugin::log::Label;
use flb_plugin::{Build, BuildError};
use xxhash_rust::xxh3::xxh3_64;

use super::original::{Known, Original, OriginalError};
use super::{Database, Row};
use crate::shared::database::{self, DatabaseError, free_name};
use crate::tail::file::{Followed, Start};

/// Under this name it is noted when Fluent Bit searched for files last.
const FLUENT_BIT: &str = "Fluent Bit";

/// How far behind a line's beginning is looked for.
const LONGEST_LINE: u64 = 1024 * 1024;

/// Why the place of the original cannot be taken.
#[derive(Debug, thiserror::Error)]
enum SwitchError {
    #[error(transparent)]
    Original(#[from] OriginalError),
    #[error("its positions cannot be taken over: {0}")]
    New(#[from] DatabaseError),
    #[error("its positions cannot be taken over: {0}")]
    Files(#[from] io::Error),
}

impl SwitchError {
    fn in_build(self, path: &Path) -> BuildError {
        let help = match &self {
            Self::Original(original) => original.help(),
            Self::New(_) | Self::Files(_) => {
                "check that the folder may be written to and has room; the file was left as it is"
            }
        };
        BuildError::new(format!("db {}: {self}", path.display())).help(help)
    }
}

/// What became of the files that the original knows.
#[derive(Debug, Default)]
struct Taken {
    rows: Vec<Row>,
    renewed: usize,
    gone: usize,
}

/// Puts a database of ours in the place of the original, whole or not at all.
pub(super) fn take_over(path: &Path, by_name: bool, build: &Build<'_>) -> Result<(), BuildError> {
    let (taken, kept) = switch(path, by_name, build).map_err(|error| error.in_build(path))?;
    let (label, shown) = (Label::input("tail", build), path.display());
    let Taken { rows, renewed, gone } = taken;
    tracing::info!(
        "{label} db {shown}: the positions of {} files were taken over from Fluent Bit, whose database is {} now. \
         Of these files {renewed} are not what it read and are read from their heads; {gone} others are gone",
        rows.len(),
        kept.display()
    );
    Ok(())
}

/// Whether there would be something to take over.
pub(super) fn look(path: &Path) -> Result<(), BuildError> {
    Original::look(path).map_err(|error| SwitchError::from(error).in_build(path))
}

fn switch(path: &Path, by_name: bool, build: &Build<'_>) -> Result<(Taken, PathBuf), SwitchError> {
    let last = last_written(path)?;
    // Kept until the end, so that nobody else begins meanwhile.
    let original = Original::open(path)?;
    let mut taken = Taken::default();
    for known in original.files()? {
        taken.add(&known, by_name, build);
    }
    let new = with_suffix(path, ".new");
    write(&new, &taken.rows, last)?;
    let kept = free_name(path, ".fluent-bit");
    fs::hard_link(path, &kept).or_else(|_| fs::copy(path, &kept).map(drop))?;
    fs::rename(&new, path)?;
    // What a kill has left beside a database in use; it is of no use to whoever opens that again.
    match fs::remove_file(with_suffix(path, "-shm")) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok((taken, kept)),
    }
}

/// When Fluent Bit wrote to its database last, in seconds since 1970.
fn last_written(path: &Path) -> io::Result<u64> {
    let log = fs::metadata(with_suffix(path, "-wal")).and_then(|log| log.modified());
    let file = fs::metadata(path)?.modified()?;
    Ok(seconds(log.map_or(file, |log| log.max(file))))
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn write(new: &Path, rows: &[Row], last: u64) -> Result<(), SwitchError> {
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let file = Arc::new(database::Database::unopened(new));
    let database = Database { file, by_name: false };
    database.save(rows)?;
    Ok(database.save_start(FLUENT_BIT, last)?)
}

impl Taken {
    fn add(&mut self, known: &Known, by_name: bool, build: &Build<'_>) {
        let found = locate(known, by_name).and_then(|path| {
            let position = position(known, &path).ok()?;
            let mut file = Followed::open(&path, build.tag.clone(), 0).ok()?;
            file.start(Start::At(position), 0).ok()?;
            // Fluent Bit counts the bytes of what is packed, and not those of the text.
            (!file.is_packed()).then_some(file)
        });
        match found {
            Some(file) => {
                self.renewed += usize::from(file.position() == 0 && known.position > 0);
                self.rows.push(Row::of(&file));
            }
            None => self.gone += 1,
        }
    }
}

/// The file that is meant: under its name or, if it was renamed meanwhile and that is no matter, under another one beside.
fn locate(known: &Known, by_name: bool) -> Option<PathBuf> {
    let is_it = |path: &Path| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.ino() == known.inode)
    };
    if is_it(&known.path) {
        return Some(known.path.clone());
    }
    if by_name {
        return None;
    }
    let beside = fs::read_dir(known.path.parent()?).ok()?.filter_map(Result::ok);
    beside
        .filter(|entry| entry.ino() == known.inode)
        .map(|entry| entry.path())
        .find(|path| is_it(path))
}

/// Where to read on. At the head if the file is a new one under an old number, or was written anew: as far as can be told.
fn position(known: &Known, path: &Path) -> io::Result<u64> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    let is_other = match known.marked {
        0 => {
            let made = metadata.created().map_or(0, seconds);
            known.found > 0 && made > known.found + 1
        }
        marked => hash(&file, known.position, marked)? != Some(known.marker),
    };
    match is_other || metadata.len() < known.position {
        true => Ok(0),
        false => line_start(&file, known.position),
    }
}

/// Fluent Bit's hash of so many bytes before a position; none where there are not as many.
fn hash(file: &File, position: u64, marked: u64) -> io::Result<Option<u64>> {
    let Some(from) = position.checked_sub(marked) else { return Ok(None) };
    let mut bytes = vec![0; usize::try_from(marked.min(LONGEST_LINE)).unwrap_or_default()];
    match file.read_exact_at(&mut bytes, from) {
        Ok(()) => Ok(Some(xxh3_64(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// The beginning of the line that the position is in: older releases count what they have read of a line that is not finished, and
/// lose it when they are killed.
fn line_start(file: &File, position: u64) -> io::Result<u64> {
    let from = position.saturating_sub(LONGEST_LINE);
    let mut bytes = vec![0; usize::try_from(position - from).unwrap_or_default()];
    file.read_exact_at(&mut bytes, from)?;
    Ok(match memchr::memrchr(b'\n', &bytes) {
        Some(at) => from + at as u64 + 1,
        None if from == 0 => 0,
        None => position,
    })
}
