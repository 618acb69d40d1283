//! Where reading stands in each file, for those that read on: this input after a reload, or the next agent by its database.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use flb_event::Timestamp;
use flb_plugin::{Build, Generation};

use super::database::{Database, Past, Row};
use super::file::{Followed, Standing};
use super::patterns::Identity;
use crate::shared::database::DatabaseError;

/// How many seconds a file's time may be behind the clock.
const BEHIND: u64 = 2;

/// Positions of one instance's files.
pub(super) struct Positions {
    instance: String,
    /// The files that are meant, as the configuration says it.
    paths: [String; 2],
    shared: Arc<Left>,
    generation: Generation,
    database: Option<Database>,
    /// What the database knows already.
    saved: BTreeMap<Identity, u64>,
    /// What it said of the time before this start.
    past: Past,
}

/// The positions that instances left when they stopped.
#[derive(Debug, Default)]
struct Left(Mutex<BTreeMap<String, LeftBy>>);

/// Those of one instance, and what files it meant.
#[derive(Debug)]
struct LeftBy {
    paths: [String; 2],
    generation: Generation,
    positions: BTreeMap<Identity, Standing>,
}

impl Left {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, LeftBy>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Positions {
    pub(super) fn new(build: &Build<'_>, paths: [String; 2], database: Option<Database>) -> Self {
        let made: Result<_, std::convert::Infallible> =
            build.service.shared.get_or_make(|| Ok(Left::default()));
        let Ok(shared) = made;
        let (instance, saved) = (build.instance.to_owned(), BTreeMap::new());
        let generation = build.service.generation.clone();
        let past = Past::None;
        Self { instance, paths, shared, generation, database, saved, past }
    }

    /// What this instance left when it stopped last: it is known by its files, as it may have another number now, or else by
    /// its name. `None` if it has not run before.
    pub(super) fn left(&self) -> Option<BTreeMap<Identity, Standing>> {
        let left = self.shared.lock();
        let same_name = left.get(&self.instance);
        // Another one of this configuration that has ended already may mean the same files, and is none of this one's business.
        let is_older = |other: &&LeftBy| other.generation != self.generation;
        let same_files = || left.values().filter(is_older).find(|other| other.paths == self.paths);
        let own = same_name.filter(|own| own.paths == self.paths);
        own.or_else(same_files).or(same_name).map(|left| left.positions.clone())
    }

    /// Leaves the positions to the instance of the same name that comes next: of these files, and of those that are not followed
    /// now.
    pub(super) fn leave(&self, files: &[Followed], mut positions: BTreeMap<Identity, Standing>) {
        positions.extend(files.iter().map(|file| (file.identity(), file.standing())));
        let (paths, generation) = (self.paths.clone(), self.generation.clone());
        let left = LeftBy { paths, generation, positions };
        self.shared.lock().insert(self.instance.clone(), left);
    }

    pub(super) fn has_database(&self) -> bool {
        self.database.is_some()
    }

    /// Whether the database has lost what it knew.
    pub(super) fn are_lost(&self) -> bool {
        self.database.as_ref().is_some_and(|database| database.is_anew())
    }

    /// Finds out what the database says of the time before this start.
    pub(super) fn recall(&mut self) -> Result<(), DatabaseError> {
        if let Some(database) = &self.database {
            self.past = database.past(&self.paths.join(" but "))?;
        }
        Ok(())
    }

    /// Notes when files were searched for first. Those that came before, and match, are known from then on.
    pub(super) fn note_start(&mut self, now: Timestamp) -> Result<(), DatabaseError> {
        match &self.database {
            Some(database) => {
                let seconds = u64::from(now.sec).saturating_sub(BEHIND);
                database.save_start(&self.paths.join(" but "), seconds)
            }
            None => Ok(()),
        }
    }

    /// Whether a file that is found at the start, that the database does not know, and that was made then, in seconds since
    /// 1970, has come after the agent before this one searched last.
    pub(super) fn is_new(&self, made: u64) -> bool {
        match self.past {
            Past::None => false,
            Past::Searched => true,
            Past::SearchedOthers(last) => made > last,
        }
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
            self.saved.extend(rows.iter().map(|row| (row.identity, row.standing.position)));
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
                let followed: BTreeSet<Identity> = files.iter().map(Followed::identity).collect();
                database.sweep(|identity| followed.contains(&identity))
            }
            None => Ok(()),
        }
    }
}
