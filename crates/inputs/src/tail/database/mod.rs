//! The file of positions: one row a file, by inode and device, with what stands before the position as proof that the file
//! is still the same.

#[cfg(feature = "sqlite")]
mod original;
#[cfg(feature = "sqlite")]
mod switch;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use flb_files::with_suffix;
use flb_plugin::{Build, BuildError};
use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition};

use super::file::{Followed, Standing};
use super::patterns::{Identity, is_missing};
use flb_plugin::log::Label;

/// Inode and device; position, mark and path.
const FILES: TableDefinition<'_, (u64, u64), (u64, u64, &[u8])> = TableDefinition::new("files");

/// Files that were searched for, as configurations say it; and when an agent did so first, in seconds since 1970.
const STARTS: TableDefinition<'_, &str, u64> = TableDefinition::new("starts");

/// How every file of Fluent Bit's begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Memory for the table, which is small.
const CACHE: usize = 1024 * 1024;

/// Why the database can't be read or written now.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct DatabaseError(#[from] redb::Error);

/// A file of positions.
pub(super) struct Database {
    path: PathBuf,
    /// The open file; none after a failure, until it is opened anew.
    open: Mutex<Option<redb::Database>>,
    by_name: bool,
    /// It stands in for one that is broken, whose positions are lost.
    is_anew: bool,
}

/// Where reading stands in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) identity: Identity,
    pub(super) standing: Standing,
    path: PathBuf,
}

impl Row {
    pub(super) fn of(file: &Followed) -> Self {
        Self { identity: file.identity(), standing: file.standing(), path: file.path.clone() }
    }
}

/// The databases that are open. A second one of the same file would be locked out; and after a reload the new input opens it
/// before the old one is gone.
#[derive(Default)]
struct Open(Mutex<BTreeMap<PathBuf, Weak<Database>>>);

/// Opens the file, or makes it. `by_name`: a file under another name is another file.
pub(super) fn open(
    path: &Path,
    by_name: bool,
    build: &Build<'_>,
) -> Result<Arc<Database>, BuildError> {
    let made: Result<_, std::convert::Infallible> =
        build.service.shared.get_or_make(|| Ok(Open::default()));
    let Ok(open) = made;
    let mut open = open.0.lock().unwrap_or_else(PoisonError::into_inner);
    let key = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if let Some(database) = open.get(&key).and_then(Weak::upgrade) {
        return Ok(database);
    }
    let (database, is_anew) = open_file(path, by_name, build)?;
    let open_file = Mutex::new(Some(database));
    let database = Arc::new(Database { path: path.to_owned(), open: open_file, by_name, is_anew });
    open.insert(key, Arc::downgrade(&database));
    Ok(database)
}

/// Whether the file could be opened or made, without doing so: another agent may have it.
pub(super) fn look(path: &Path) -> Result<(), BuildError> {
    require_file(path)?;
    if is_sqlite(path) {
        return switch::look(path);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder.unwrap_or(Path::new(".")).is_dir() {
        true => Ok(()),
        false => Err(BuildError::new(format!("db {}: it cannot be made there", path.display()))
            .help("give a file in a folder that is there")),
    }
}

/// Refuses what is there and is no file. A pipe must not be opened: that waits until somebody writes.
fn require_file(path: &Path) -> Result<(), BuildError> {
    if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        let message = format!("db {}: it is not a file", path.display());
        return Err(BuildError::new(message)
            .help("give the name of a file, which is made if it is missing"));
    }
    Ok(())
}

/// An agent that cannot read the files of Fluent Bit.
#[cfg(not(feature = "sqlite"))]
mod switch {
    use super::{Build, BuildError, Path};

    pub(super) fn take_over(path: &Path, _: bool, _: &Build<'_>) -> Result<(), BuildError> {
        look(path)
    }

    pub(super) fn look(path: &Path) -> Result<(), BuildError> {
        let shown = path.display();
        let message = format!("db {shown}: it is an SQLite database, as Fluent Bit writes");
        Err(BuildError::new(message).help(
            "give another file name, or let an agent take it over that is built with its feature sqlite; this one is left as it is",
        ))
    }
}

/// Opens the file, and tells whether it is a new one in the place of a broken one.
fn open_file(
    path: &Path,
    by_name: bool,
    build: &Build<'_>,
) -> Result<(redb::Database, bool), BuildError> {
    let shown = path.display();
    require_file(path)?;
    if is_sqlite(path) {
        switch::take_over(path, by_name, build)?;
    }
    let error = match create(path) {
        Ok(database) => return Ok((database, false)),
        Err(error) => error,
    };
    if !is_broken(&error) {
        return Err(BuildError::new(format!("db {shown}: {error}"))
            .help("check that the folder is there and may be written to, and that no other agent uses the file"));
    }
    let aside = free_name(path, ".corrupt");
    let moved = std::fs::rename(path, &aside).map_err(redb::DatabaseError::from);
    moved
        .and_then(|()| create(path))
        .map_err(|again| {
            BuildError::new(format!("db {shown}: {error}; it cannot be replaced: {again}"))
        })
        .inspect(|_| {
            let label = Label::input("tail", build);
            tracing::error!(
                "{label} db {shown}: {error}. It was moved to {}, and all files are read from their heads",
                aside.display()
            );
        })
        .map(|database| (database, true))
}

/// Opens the file, or makes it. Some damage makes the library panic; that is damage like other.
fn create(path: &Path) -> Result<redb::Database, redb::DatabaseError> {
    std::panic::catch_unwind(|| create_or_panic(path)).unwrap_or_else(|_| {
        let damage = "it is damaged beyond reading".to_owned();
        Err(redb::DatabaseError::Storage(redb::StorageError::Corrupted(damage)))
    })
}

fn create_or_panic(path: &Path) -> Result<redb::Database, redb::DatabaseError> {
    let mut builder = redb::Database::builder();
    builder.set_cache_size(CACHE);
    if !path.exists() {
        make(path, &builder)?;
    }
    let mut database = builder.create(path)?;
    // The file is small, and what is broken shall be found now and not in the middle of the work.
    database.check_integrity()?;
    Ok(database)
}

/// Makes the file, whole or not at all: an agent that is killed meanwhile leaves none that looks broken.
fn make(path: &Path, builder: &redb::Builder) -> Result<(), redb::DatabaseError> {
    let unfinished = with_suffix(path, ".new");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    drop(builder.create(&unfinished)?);
    match std::fs::hard_link(&unfinished, path) {
        Ok(()) => Ok(std::fs::remove_file(&unfinished)?),
        // Another agent was quicker, and has it open.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(std::fs::remove_file(&unfinished)?)
        }
        // Not every file system knows links.
        Err(_) => Ok(std::fs::rename(&unfinished, path)?),
    }
}

fn is_sqlite(path: &Path) -> bool {
    let mut head = [0; SQLITE.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && head == SQLITE
}

fn is_broken(error: &redb::DatabaseError) -> bool {
    match error {
        redb::DatabaseError::RepairAborted | redb::DatabaseError::UpgradeRequired(_) => true,
        redb::DatabaseError::Storage(redb::StorageError::Corrupted(_)) => true,
        redb::DatabaseError::Storage(redb::StorageError::Io(error)) => {
            matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }
        _ => false,
    }
}

/// What a database says of the time before this start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Past {
    /// Nothing: no agent had it.
    #[default]
    None,
    /// These files were searched for, so one that it does not know has come since.
    Searched,
    /// Other files were searched for, last at this time, in seconds since 1970.
    SearchedOthers(u64),
}

/// A name beside the file that nothing has.
fn free_name(path: &Path, suffix: &str) -> PathBuf {
    let name = |number: usize| match number {
        1 => with_suffix(path, suffix),
        _ => with_suffix(path, &format!("{suffix}.{number}")),
    };
    let taken = (1..).take_while(|number| name(*number).exists()).count();
    name(taken + 1)
}

impl Database {
    /// Where to read on in a file.
    pub(super) fn find(&self, file: &Followed) -> Result<Option<u64>, DatabaseError> {
        let (inode, device) = file.identity().numbers();
        let found = self.rows(inode..=inode)?.into_iter().find(|row| {
            // A device may have another number after the machine was started anew; then the name must be the same.
            let is_same = row.identity.numbers().1 == device || row.path == file.path;
            is_same && (!self.by_name || row.path == file.path)
        });
        Ok(found.map(|row| file.resumes_at(row.standing)))
    }

    /// Whether positions are lost that were saved once.
    pub(super) fn is_anew(&self) -> bool {
        self.is_anew
    }

    /// Does something with the open file. What has failed once, as on a full disk, the library does not write to again;
    /// so the file is closed then, and opened anew the next time, when there may be room.
    fn with<T>(
        &self,
        work: impl FnOnce(&redb::Database) -> Result<T, redb::Error>,
    ) -> Result<T, DatabaseError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match open.take() {
            Some(database) => database,
            None => create(&self.path).map_err(redb::Error::from)?,
        };
        let done = work(&database)?;
        *open = Some(database);
        Ok(done)
    }

    fn rows(&self, inodes: std::ops::RangeInclusive<u64>) -> Result<Vec<Row>, DatabaseError> {
        self.with(|database| {
            let read = database.begin_read()?;
            let Some(table) = if_there(read.open_table(FILES))? else { return Ok(Vec::new()) };
            let range = (*inodes.start(), 0)..=(*inodes.end(), u64::MAX);
            let mut rows = Vec::new();
            for entry in table.range(range)? {
                let (key, value) = entry?;
                let ((inode, device), (position, mark, path)) = (key.value(), value.value());
                rows.push(Row {
                    identity: Identity::new(device, inode),
                    standing: Standing { position, mark },
                    path: path_of(path),
                });
            }
            Ok(rows)
        })
    }

    /// What it says of the time before this start, for an input that searches for `files`.
    pub(super) fn past(&self, files: &str) -> Result<Past, DatabaseError> {
        self.with(|database| {
            let read = database.begin_read()?;
            let Some(table) = if_there(read.open_table(STARTS))? else { return Ok(Past::None) };
            if table.get(files)?.is_some() {
                return Ok(Past::Searched);
            }
            let mut last = None;
            for entry in table.iter()? {
                last = last.max(Some(entry?.1.value()));
            }
            Ok(last.map_or(Past::None, Past::SearchedOthers))
        })
    }

    /// An input has searched for `files` first at this time.
    pub(super) fn save_start(&self, files: &str, seconds: u64) -> Result<(), DatabaseError> {
        self.with(|database| {
            let write = database.begin_write()?;
            {
                let mut table = write.open_table(STARTS)?;
                table.insert(files, seconds)?;
            }
            Ok(write.commit()?)
        })
    }

    pub(super) fn save(&self, rows: &[Row]) -> Result<(), DatabaseError> {
        self.write(|table| {
            for row in rows {
                let (inode, device) = row.identity.numbers();
                let Standing { position, mark } = row.standing;
                let path = row.path.as_os_str().as_encoded_bytes();
                table.insert((inode, device), (position, mark, path))?;
            }
            Ok(())
        })
    }

    pub(super) fn forget(&self, gone: &[Identity]) -> Result<(), DatabaseError> {
        self.write(|table| {
            for identity in gone {
                table.remove(identity.numbers())?;
            }
            Ok(())
        })
    }

    /// Forgets the files that are not followed and whose names stand for no file, or for another. What can't be looked at may
    /// still be there.
    pub(super) fn sweep(
        &self,
        is_followed: impl Fn(Identity) -> bool,
    ) -> Result<(), DatabaseError> {
        let is_gone = |row: &Row| {
            !is_followed(row.identity)
                && match std::fs::metadata(&row.path) {
                    Ok(metadata) => Identity::of(&metadata) != row.identity,
                    Err(error) => is_missing(&error),
                }
        };
        let rows = self.rows(0..=u64::MAX)?;
        let gone: Vec<Identity> =
            rows.iter().filter(|row| is_gone(row)).map(|row| row.identity).collect();
        if gone.is_empty() { Ok(()) } else { self.forget(&gone) }
    }

    fn write(
        &self,
        change: impl FnOnce(
            &mut redb::Table<'_, (u64, u64), (u64, u64, &[u8])>,
        ) -> Result<(), redb::StorageError>,
    ) -> Result<(), DatabaseError> {
        self.with(|database| {
            let write = database.begin_write()?;
            change(&mut write.open_table(FILES)?)?;
            Ok(write.commit()?)
        })
    }
}

/// A table, or `None` if nothing was ever put into it.
fn if_there<T>(table: Result<T, redb::TableError>) -> Result<Option<T>, redb::Error> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}
