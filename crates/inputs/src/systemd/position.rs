//! Where reading stands: the cursor of the last entry whose record the pipeline has. It is kept for the input that comes after a
//! reload, and in a database for the next agent.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use flb_plugin::{Build, BuildError};
use redb::{
    ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition,
};

use crate::shared::database::{self, Database, DatabaseError, Keeper, if_there};

/// Cursors by the names of inputs.
const CURSORS: TableDefinition<'_, &str, &str> = TableDefinition::new("journal");

const KEEPER: Keeper<'_> =
    Keeper { plugin: "systemd", loss: "the journal is read anew", original: &refuse };

/// A cursor in a file of Fluent Bit's is not taken over.
fn refuse(path: &Path) -> Result<(), BuildError> {
    database::refuse_original(
        path,
        "give another file name; this one is left as it is, and is not read",
    )
}

/// Cursors that inputs left when they stopped.
#[derive(Debug, Default)]
struct Left(Mutex<BTreeMap<String, String>>);

/// One input's position.
pub(super) struct Position {
    instance: String,
    left: Arc<Left>,
    database: Option<Arc<Database>>,
}

impl Position {
    /// `path` is the database's, if there is to be one.
    pub(super) fn new(path: Option<&Path>, build: &Build<'_>) -> Result<Self, BuildError> {
        let made: Result<_, Infallible> = build.service.shared.get_or_make(|| Ok(Left::default()));
        let Ok(left) = made;
        let database = match path {
            Some(path) if build.service.dry_run => database::look(path, refuse).map(|()| None)?,
            Some(path) => Some(database::open(path, &KEEPER, build)?),
            None => None,
        };
        Ok(Self { instance: build.instance.to_owned(), left, database })
    }

    /// The cursor to read on behind.
    pub(super) fn cursor(&self) -> Result<Option<String>, DatabaseError> {
        let left = self.left.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (left.get(&self.instance), &self.database) {
            (Some(cursor), _) => Ok(Some(cursor.clone())),
            (None, Some(database)) => find(database, &self.instance),
            (None, None) => Ok(None),
        }
    }

    /// The pipeline has the records up to this cursor's.
    pub(super) fn save(&self, cursor: &str) -> Result<(), DatabaseError> {
        let mut left = self.left.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.insert(self.instance.clone(), cursor.to_owned());
        drop(left);
        let Some(database) = &self.database else { return Ok(()) };
        database.with(|database| {
            let write = database.begin_write()?;
            write.open_table(CURSORS)?.insert(self.instance.as_str(), cursor)?;
            Ok(write.commit()?)
        })
    }
}

/// The cursor of this input; or the only one, as the input may have had another number.
fn find(database: &Database, instance: &str) -> Result<Option<String>, DatabaseError> {
    database.with(|database| {
        let read = database.begin_read()?;
        let Some(table) = if_there(read.open_table(CURSORS))? else { return Ok(None) };
        if let Some(cursor) = table.get(instance)? {
            return Ok(Some(cursor.value().to_owned()));
        }
        if table.len()? > 1 {
            return Ok(None);
        }
        Ok(table.first()?.map(|(_, cursor)| cursor.value().to_owned()))
    })
}
