//! The database in which Fluent Bit keeps its positions, an SQLite file: opened so that nobody else has it, and read whole.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row};

/// Its table of files.
const TABLE: &str = "in_tail_files";

/// An open database. As long as it is there nobody else can open the file.
pub(super) struct Original(Connection);

/// What Fluent Bit says of a file.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) path: PathBuf,
    pub(super) inode: u64,
    pub(super) position: u64,
    /// When it found the file, in seconds since 1970; 0 where it does not say.
    pub(super) found: u64,
    /// What stands before the position, as a hash, and of how many bytes: none in the databases of older releases.
    pub(super) marker: u64,
    pub(super) marked: u64,
}

/// Why positions cannot be taken over.
#[derive(Debug, thiserror::Error)]
pub(super) enum OriginalError {
    #[error("Fluent Bit, or another program, uses it")]
    InUse,
    #[error("it is a damaged SQLite database: {0}")]
    Damaged(String),
    #[error("it is an SQLite database, but none in which Fluent Bit's input tail keeps positions")]
    Foreign,
    #[error("it is an SQLite database that cannot be read: {0}")]
    Unreadable(rusqlite::Error),
}

impl OriginalError {
    /// What to do about it.
    pub(super) fn help(&self) -> &'static str {
        match self {
            Self::InUse => "stop it first: two agents would deliver the same lines",
            Self::Damaged(_) => {
                "put a sound copy there, or move it away, and files are read as without a database; it was left as it is"
            }
            Self::Foreign => "give another file name; this one was left as it is",
            Self::Unreadable(_) => {
                "check that the agent may write to the file and its folder; it was left as it is"
            }
        }
    }
}

impl From<rusqlite::Error> for OriginalError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::InUse,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Unreadable(error),
        }
    }
}

impl Original {
    /// Opens the file for nobody else. What is still in the log beside it, as after a kill, becomes part of it.
    pub(super) fn open(path: &Path) -> Result<Self, OriginalError> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(Duration::ZERO)?;
        let original = Self(connection);
        original.ask("PRAGMA locking_mode = EXCLUSIVE")?;
        original.require_table()?;
        match original.ask("PRAGMA quick_check(1)")?.as_str() {
            "ok" => {}
            why => return Err(OriginalError::Damaged(why.to_owned())),
        }
        match original.ask("PRAGMA journal_mode = DELETE")?.as_str() {
            "delete" => Ok(original),
            _ => Err(OriginalError::InUse),
        }
    }

    /// Whether the file looks like one of Fluent Bit's, without touching it.
    pub(super) fn look(path: &Path) -> Result<(), OriginalError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let path =
            path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        let connection = Connection::open_with_flags(format!("file:{path}?immutable=1"), flags)?;
        Self(connection).require_table()
    }

    fn ask(&self, question: &str) -> Result<String, OriginalError> {
        Ok(self.0.query_row(question, [], |row| row.get(0))?)
    }

    fn require_table(&self) -> Result<(), OriginalError> {
        match self.0.table_exists(None, TABLE)? {
            true => Ok(()),
            false => Err(OriginalError::Foreign),
        }
    }

    /// All files that it knows. Of several with one inode the last one counts.
    pub(super) fn files(&self) -> Result<Vec<Known>, OriginalError> {
        let mut statement = self.0.prepare(&format!("SELECT * FROM {TABLE} ORDER BY id"))?;
        let rows = statement.query_map([], |row| {
            Ok(Known {
                path: path(row),
                inode: number(row, "inode"),
                position: number(row, "offset"),
                found: number(row, "created"),
                marker: number(row, "offset_marker"),
                marked: number(row, "offset_marker_size"),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// A number of a row, with all of its 64 bits; 0 where the table has no such column.
fn number(row: &Row<'_>, column: &str) -> u64 {
    match row.get_ref(column) {
        Ok(ValueRef::Integer(number)) => number.cast_unsigned(),
        _ => 0,
    }
}

fn path(row: &Row<'_>) -> PathBuf {
    match row.get_ref("name") {
        Ok(ValueRef::Text(name)) => PathBuf::from(std::ffi::OsStr::from_bytes(name)),
        _ => PathBuf::new(),
    }
}
