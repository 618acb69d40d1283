//! A key without its type: what help, checks and the configuration as it takes effect read.

use super::kinds::{Kind, Shape};
use crate::secrecy::Secrecy;
use crate::value::ValueError;

/// What becomes of a key that is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// What its help says.
    Works,
    /// Nothing, and nobody misses it: why.
    Idle(&'static str),
    /// Nothing, which is worth a warning: why.
    Inert(&'static str),
    /// Nothing yet.
    NotYet,
    /// It is refused, as going on without it would give other results than asked for.
    Refused {
        /// Why, or nothing.
        why: &'static str,
        /// What to do.
        help: &'static str,
    },
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The key, in lower case. One that ends in `*` stands for all keys that begin like it.
    pub name: &'static str,
    /// One sentence for the help text. Empty for what nobody needs to know.
    pub about: &'static str,
    /// What its text must be.
    pub shape: Shape,
    /// The value when the configuration has none, in the same text form.
    pub default: Option<&'static str>,
    /// Whether the key may be given more than once.
    pub is_repeated: bool,
    /// What of its text must not be shown.
    pub secrecy: Secrecy,
    /// What becomes of it.
    pub status: Status,
    /// Whether it says what may run, so that no slip in it is passed over.
    pub is_strict: bool,
    /// What is said when it is not given, and what to do, if it must be.
    pub(super) required: Option<(&'static str, &'static str)>,
    pub(super) check: fn(&str) -> Result<(), ValueError>,
}

impl Row {
    pub(super) const fn of<K: Kind>(name: &'static str, about: &'static str) -> Self {
        Self {
            name,
            about,
            shape: K::SHAPE,
            default: None,
            is_repeated: false,
            secrecy: Secrecy::Open,
            status: Status::Works,
            is_strict: false,
            required: None,
            check: |text| K::parse(text).map(drop),
        }
    }

    /// Whether a text is what the key's must be.
    pub fn check(&self, text: &str) -> Result<(), ValueError> {
        (self.check)(text)
    }

    /// What a key has in place of the `*`, or nothing if it is the row's name as it stands. `None` if it is another's.
    pub fn rest<'a>(&self, key: &'a str) -> Option<&'a str> {
        match self.name.strip_suffix('*') {
            Some(beginning) => key.strip_prefix(beginning).filter(|rest| !rest.is_empty()),
            None => (self.name == key).then_some(""),
        }
    }

    /// Whether a key is the row's: its name, or one that begins as a name with `*` says.
    pub fn stands_for(&self, key: &str) -> bool {
        self.rest(key).is_some()
    }

    /// The sentence for the help text, with what becomes of the key if that is nothing.
    pub fn help(&self) -> String {
        let about = self.about;
        let without = |why: &str| match about {
            "" => format!("Without effect: {why}"),
            about => format!("{about}. Without effect: {why}"),
        };
        match self.status {
            Status::Works => about.to_owned(),
            Status::Idle(why) | Status::Inert(why) => without(why),
            Status::NotYet => without("not supported yet"),
            Status::Refused { .. } => format!("{about}. Not supported"),
        }
    }
}

/// All keys that may be given somewhere, put together from groups.
#[derive(Debug, Clone, Copy, Default)]
pub struct Table(pub &'static [&'static [Row]]);

impl Table {
    /// Every row, in its order.
    pub fn rows(self) -> impl Iterator<Item = &'static Row> + Clone {
        self.0.iter().copied().flatten()
    }

    /// Every key's name.
    pub fn names<'a>(self) -> impl Iterator<Item = &'a str> + Clone {
        self.rows().map(|row| row.name)
    }

    /// The row that a key is of. One that says its name goes before one that stands for many.
    pub fn find(self, key: &str) -> Option<&'static Row> {
        let named = self.rows().find(|row| row.name == key);
        named.or_else(|| self.rows().find(|row| row.stands_for(key)))
    }

    /// What is wrong with the table: names that stand twice, and defaults that are not what they must be. Tests ask.
    pub fn mistakes(self) -> Vec<String> {
        let mut mistakes = Vec::new();
        for (at, row) in self.rows().enumerate() {
            if self.names().take(at).any(|name| name == row.name) {
                mistakes.push(format!("'{}' stands twice", row.name));
            }
            if let Some(Err(error)) = row.default.map(|default| row.check(default)) {
                mistakes.push(format!("the default of '{}': {error}", row.name));
            }
        }
        mistakes
    }
}
