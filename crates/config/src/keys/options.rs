//! Options: texts that were checked against a table, and are had by the table's keys.

use super::key::{Key, Many, Slot};
use super::kinds::Kind;
use super::row::{Row, Table};
use crate::document::Span;
use crate::value::ValueError;

/// What was given for the keys of a table. Each text is what its key says.
#[derive(Clone, Default)]
pub struct Options {
    table: Table,
    given: Vec<Given>,
}

#[derive(Debug, Clone)]
struct Given {
    name: &'static str,
    /// What the key has in place of a `*`.
    rest: String,
    text: String,
    span: Option<Span>,
}

/// What was given, wherever it stands.
impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let given = self.given.iter();
        f.debug_map().entries(given.map(|given| ((given.name, &given.rest), &given.text))).finish()
    }
}

/// What is wrong with a key or its text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No row is of this key.
    #[error("unknown key '{key}'{}", did_you_mean(*near))]
    Unknown {
        /// The key.
        key: String,
        /// The one that was probably meant.
        near: Option<&'static str>,
    },
    /// It was given before, and may be given once.
    #[error("'{key}' is given twice")]
    Again {
        /// The key.
        key: String,
    },
    /// Its text is not what it must be.
    #[error("invalid value for '{key}': {error}")]
    Invalid {
        /// The key.
        key: String,
        /// What is wrong with the text.
        error: ValueError,
    },
}

fn did_you_mean(near: Option<&str>) -> String {
    near.map(|near| format!(", did you mean '{near}'?")).unwrap_or_default()
}

impl Options {
    /// What is when nothing is given. `Options::default()` is of any table.
    pub fn new(table: Table) -> Self {
        Self { table, given: Vec::new() }
    }

    /// Checks keys, in lower case, and their texts, in the order given. An empty text is as none.
    pub fn from_pairs<'a>(
        table: Table,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, KeyError> {
        let mut options = Self::new(table);
        for (key, text) in pairs {
            let Some(row) = table.find(key) else {
                let near = crate::did_you_mean(key, table.names());
                return Err(KeyError::Unknown { key: key.to_owned(), near });
            };
            if !row.is_repeated && options.has(row, key) {
                return Err(KeyError::Again { key: key.to_owned() });
            }
            options
                .add(row, key, text, None)
                .map_err(|error| KeyError::Invalid { key: key.to_owned(), error })?;
        }
        Ok(options)
    }

    /// The value of a key.
    pub fn get<S: Slot>(&self, key: Key<S>) -> S::Got<'_> {
        let row = key.row();
        debug_assert!(self.knows(row.name), "'{}' is not in the table of these options", row.name);
        S::got(&row, self.given_for(row.name).map(|given| (&*given.rest, &*given.text)))
    }

    /// Where the configuration gives the key.
    pub fn span<S>(&self, key: Key<S>) -> Option<Span> {
        self.given_for(key.name()).next().and_then(|given| given.span)
    }

    /// The value of a key if it was given, also where there is a default.
    pub fn given<K: Kind>(&self, key: Key<K>) -> Option<K::Value<'_>> {
        self.given_for(key.name()).next().and_then(|given| K::parse(&given.text).ok())
    }

    /// The values of a key that may be given more than once, and where they are.
    pub fn spanned<K: Kind>(&self, key: Key<Many<K>>) -> Vec<(K::Value<'_>, Option<Span>)> {
        let given = self.given_for(key.name());
        given.filter_map(|given| Some((K::parse(&given.text).ok()?, given.span))).collect()
    }

    /// The values of several keys, in the order in which the configuration gives them, each with its key's name and with what is
    /// said for it here.
    pub fn in_order<'a, K: Kind, T: Copy>(
        &'a self,
        keys: &[(Key<Many<K>>, T)],
    ) -> Vec<(&'static str, T, K::Value<'a>)> {
        let given = self.given.iter().filter_map(|given| {
            let (_, said) = keys.iter().find(|(key, _)| key.name() == given.name)?;
            Some((given.name, *said, K::parse(&given.text).ok()?))
        });
        given.collect()
    }

    /// Gives a key a text that it has if it was not given.
    pub fn fill<K: Kind>(&mut self, key: Key<Option<K>>, text: &str) {
        let row = key.row();
        if self.get(key).is_none() && row.check(text).is_ok() {
            let (rest, text) = (String::new(), text.to_owned());
            self.given.push(Given { name: row.name, rest, text, span: None });
        }
    }

    /// Gives a key what these options say for one of another name.
    pub fn give<S>(&mut self, key: Key<S>, options: &Self, other: Key<S>) {
        let given = options.given_for(other.name());
        self.given.extend(given.map(|given| Given { name: key.name(), ..given.clone() }));
    }

    /// These options, and where they say nothing, what the others say; keys are of the others' table.
    #[must_use]
    pub fn over(mut self, others: &Self) -> Self {
        let own: Vec<&str> = self.given.iter().map(|given| given.name).collect();
        let rest = others.given.iter().filter(|given| !own.contains(&given.name));
        let rest: Vec<Given> = rest.cloned().collect();
        self.given.extend(rest);
        Self { table: others.table, given: self.given }
    }

    /// Checks a text, and gives it to a key of the table's row. An empty one is as none. Of a key given twice both count.
    pub fn add(
        &mut self,
        row: &Row,
        key: &str,
        text: &str,
        span: Option<Span>,
    ) -> Result<(), ValueError> {
        if !text.is_empty() {
            row.check(text)?;
            let rest = row.rest(key).unwrap_or_default().to_owned();
            self.given.push(Given { name: row.name, rest, text: text.to_owned(), span });
        }
        Ok(())
    }

    /// The same, but of a key given twice, that may be given once, the later one counts.
    pub fn replace(
        &mut self,
        row: &Row,
        key: &str,
        text: &str,
        span: Option<Span>,
    ) -> Result<(), ValueError> {
        let before = self.given.len();
        self.add(row, key, text, span)?;
        if !row.is_repeated && self.given.len() > before {
            let rest = row.rest(key).unwrap_or_default();
            let mut at = 0;
            self.given.retain(|given| {
                at += 1;
                at > before || given.name != row.name || given.rest != rest
            });
        }
        Ok(())
    }

    /// Whether a key of this row was given.
    pub fn has(&self, row: &Row, key: &str) -> bool {
        self.given_for(row.name).any(|given| row.rest(key) == Some(&given.rest))
    }

    fn knows(&self, name: &str) -> bool {
        let mut names = self.table.names().peekable();
        names.peek().is_none() || names.any(|known| known == name)
    }

    fn given_for(&self, name: &str) -> impl Iterator<Item = &Given> {
        self.given.iter().filter(move |given| given.name == name)
    }
}
