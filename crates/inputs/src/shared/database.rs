//! The file of a database in which inputs keep how far they have read: opened once an agent, locked against others, put aside
//! if it is broken.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use flb_files::with_suffix;
use flb_plugin::log::Label;
use flb_plugin::{Build, BuildError};

/// How every file of Fluent Bit's begins.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Memory for the table, which is small.
const CACHE: usize = 1024 * 1024;

/// Why the database can't be read or written now.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DatabaseError(#[from] redb::Error);

/// A file that is open.
pub(crate) struct Database {
    path: PathBuf,
    /// The open file; none after a failure, until it is opened anew.
    open: Mutex<Option<redb::Database>>,
    /// It stands in for one that is broken, and what that knew is lost.
    is_anew: bool,
}

/// The databases that are open. A second one of the same file would be locked out; and after a reload the new input opens it
/// before the old one is gone.
#[derive(Default)]
struct Open(Mutex<BTreeMap<PathBuf, Weak<Database>>>);

/// The input that opens a file.
pub(crate) struct Keeper<'a> {
    pub(crate) plugin: &'static str,
    /// What it means that a broken file is lost.
    pub(crate) loss: &'static str,
    /// What it does with a file of Fluent Bit's: puts one of ours in its place, or refuses it.
    pub(crate) original: &'a dyn Fn(&Path) -> Result<(), BuildError>,
}

/// Opens the file, or makes it.
pub(crate) fn open(
    path: &Path,
    keeper: &Keeper<'_>,
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
    let (database, is_anew) = open_file(path, keeper, build)?;
    let open_file = Mutex::new(Some(database));
    let database = Arc::new(Database { path: path.to_owned(), open: open_file, is_anew });
    open.insert(key, Arc::downgrade(&database));
    Ok(database)
}

/// Whether the file could be opened or made, without doing so: another agent may have it. `original` looks at a file of Fluent Bit's.
pub(crate) fn look(
    path: &Path,
    original: impl Fn(&Path) -> Result<(), BuildError>,
) -> Result<(), BuildError> {
    require_file(path)?;
    if is_sqlite(path) {
        return original(path);
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

/// Refuses a file of Fluent Bit's, and says what to do instead.
pub(crate) fn refuse_original(path: &Path, help: &str) -> Result<(), BuildError> {
    let message = format!("db {}: it is an SQLite database, as Fluent Bit writes", path.display());
    Err(BuildError::new(message).help(help))
}

/// Opens the file, and tells whether it is a new one in the place of a broken one.
fn open_file(
    path: &Path,
    keeper: &Keeper<'_>,
    build: &Build<'_>,
) -> Result<(redb::Database, bool), BuildError> {
    let shown = path.display();
    require_file(path)?;
    if is_sqlite(path) {
        (keeper.original)(path)?;
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
            let label = Label::input(keeper.plugin, build);
            tracing::error!(
                "{label} db {shown}: {error}. It was moved to {}, and {}",
                aside.display(),
                keeper.loss
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

/// A name beside the file that nothing has.
pub(crate) fn free_name(path: &Path, suffix: &str) -> PathBuf {
    let name = |number: usize| match number {
        1 => with_suffix(path, suffix),
        _ => with_suffix(path, &format!("{suffix}.{number}")),
    };
    let taken = (1..).take_while(|number| name(*number).exists()).count();
    name(taken + 1)
}

impl Database {
    /// A file that is opened or made when it is used first, and that nobody else here uses.
    #[cfg(feature = "sqlite")]
    pub(crate) fn unopened(path: &Path) -> Self {
        Self { path: path.to_owned(), open: Mutex::new(None), is_anew: false }
    }

    /// Whether what was kept once is lost.
    pub(crate) fn is_anew(&self) -> bool {
        self.is_anew
    }

    /// Does something with the open file. What has failed once, as on a full disk, the library does not write to again;
    /// so the file is closed then, and opened anew the next time, when there may be room.
    pub(crate) fn with<T>(
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
}

/// A table, or `None` if nothing was ever put into it.
pub(crate) fn if_there<T>(table: Result<T, redb::TableError>) -> Result<Option<T>, redb::Error> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
