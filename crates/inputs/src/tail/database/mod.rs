//! The positions in a database: one row a file, by inode and device, with what stands before the position as proof that the file
//! is still the same.

#[cfg(feature = "sqlite")]
mod original;
#[cfg(feature = "sqlite")]
mod switch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flb_plugin::{Build, BuildError};
use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition};

use super::file::{Followed, Standing};
use super::patterns::{Identity, is_missing};
use crate::shared::database::{self, DatabaseError, Keeper, if_there};

/// Inode and device; position, mark and path.
const FILES: TableDefinition<'_, (u64, u64), (u64, u64, &[u8])> = TableDefinition::new("files");

/// Files that were searched for, as configurations say it; and when an agent did so first, in seconds since 1970.
const STARTS: TableDefinition<'_, &str, u64> = TableDefinition::new("starts");

/// The positions in a file.
pub(super) struct Database {
    file: Arc<database::Database>,
    by_name: bool,
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

/// Opens the file, or makes it. `by_name`: a file under another name is another file.
pub(super) fn open(path: &Path, by_name: bool, build: &Build<'_>) -> Result<Database, BuildError> {
    let keeper = Keeper {
        plugin: "tail",
        loss: "all files are read from their heads",
        original: &|path| switch::take_over(path, by_name, build),
    };
    Ok(Database { file: database::open(path, &keeper, build)?, by_name })
}

/// Whether the file could be opened or made, without doing so.
pub(super) fn look(path: &Path) -> Result<(), BuildError> {
    database::look(path, switch::look)
}

/// An agent that cannot read the files of Fluent Bit.
#[cfg(not(feature = "sqlite"))]
mod switch {
    use super::{Build, BuildError, Path, database};

    pub(super) fn take_over(path: &Path, _: bool, _: &Build<'_>) -> Result<(), BuildError> {
        look(path)
    }

    pub(super) fn look(path: &Path) -> Result<(), BuildError> {
        database::refuse_original(
            path,
            "give another file name, or let an agent take it over that is built with its feature sqlite; this one is left as it is",
        )
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
        self.file.is_anew()
    }

    fn rows(&self, inodes: std::ops::RangeInclusive<u64>) -> Result<Vec<Row>, DatabaseError> {
        self.file.with(|database| {
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
        self.file.with(|database| {
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
        self.file.with(|database| {
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
        self.file.with(|database| {
            let write = database.begin_write()?;
            change(&mut write.open_table(FILES)?)?;
            Ok(write.commit()?)
        })
    }
}

fn path_of(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt as _;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}
