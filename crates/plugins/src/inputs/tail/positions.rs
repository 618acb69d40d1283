//! Where reading stands in each file, for those that read on: this input after a reload, or the next agent by its database.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use flb_plugin::Build;

use super::database::{Database, DatabaseError, Row};
use super::file::Followed;
use super::patterns::Identity;

/// Positions of one instance's files.
pub(super) struct Positions {
    instance: String,
    shared: Arc<Left>,
    database: Option<Arc<Database>>,
    /// What the database knows already.
    saved: BTreeMap<Identity, u64>,
}

/// The positions that instances left when they stopped.
#[derive(Debug, Default)]
struct Left(Mutex<BTreeMap<String, BTreeMap<Identity, u64>>>);

impl Left {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, BTreeMap<Identity, u64>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Positions {
    pub(super) fn new(build: &Build<'_>, database: Option<Arc<Database>>) -> Self {
        let made: Result<_, std::convert::Infallible> =
            build.service.shared.get_or_make(|| Ok(Left::default()));
        let Ok(shared) = made;
        Self { instance: build.instance.to_owned(), shared, database, saved: BTreeMap::new() }
    }

    /// What this instance left when it stopped last. None if it has not run before.
    pub(super) fn left(&self) -> Option<BTreeMap<Identity, u64>> {
        self.shared.lock().get(&self.instance).cloned()
    }

    /// Leaves the positions to the instance of the same name that comes next.
    pub(super) fn leave(&self, files: &[Followed]) {
        let positions = files.iter().map(|file| (file.identity(), file.settled()));
        self.shared.lock().insert(self.instance.clone(), positions.collect());
    }

    pub(super) fn has_database(&self) -> bool {
        self.database.is_some()
    }

    /// Whether the database has lost what it knew.
    pub(super) fn are_lost(&self) -> bool {
        self.database.as_ref().is_some_and(|database| database.is_anew())
    }

    /// Where the database says that reading stands in `file`.
    pub(super) fn find(&mut self, file: &Followed) -> Result<Option<u64>, DatabaseError> {
        let Some(database) = &self.database else { return Ok(None) };
        let found = database.find(file)?;
        if let Some(position) = found {
            self.saved.insert(file.identity(), position);
        }
        Ok(found)
    }

    /// Saves the positions of files that have moved; false if there were none.
    pub(super) fn save(&mut self, files: &[Followed]) -> Result<bool, DatabaseError> {
        let Some(database) = &self.database else { return Ok(false) };
        let moved = |file: &&Followed| self.saved.get(&file.identity()) != Some(&file.settled());
        let rows: Vec<Row> = files.iter().filter(moved).map(Row::of).collect();
        if !rows.is_empty() {
            database.save(&rows)?;
            self.saved.extend(rows.iter().map(|row| (row.identity, row.position)));
        }
        Ok(!rows.is_empty())
    }

    /// Forgets files that are gone.
    pub(super) fn forget(&mut self, gone: &[Identity]) -> Result<(), DatabaseError> {
        for identity in gone {
            self.saved.remove(identity);
        }
        match &self.database {
            Some(database) if !gone.is_empty() => database.forget(gone),
            _ => Ok(()),
        }
    }

    /// Forgets files that are neither followed nor found under their names any more.
    pub(super) fn sweep(&mut self, files: &[Followed]) -> Result<(), DatabaseError> {
        match &self.database {
            Some(database) => {
                database.sweep(|identity| files.iter().any(|file| file.identity() == identity))
            }
            None => Ok(()),
        }
    }
}
