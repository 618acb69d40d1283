//! A key with its type, which says what it gives.

use std::marker::PhantomData;

use super::kinds::Kind;
use super::row::{Row, Status};
use crate::secrecy::Secrecy;

/// A key. `S` says what [`Options::get`](super::Options::get) gives: for a [`Kind`] its value, as there is a default; for an
/// `Option`, [`Many`], [`Required`] or [`Each`] what these say.
pub struct Key<S> {
    row: Row,
    slot: PhantomData<fn() -> S>,
}

impl<S> Clone for Key<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Key<S> {}

impl<S> std::fmt::Debug for Key<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Key").field(&self.row.name).finish()
    }
}

/// A key that may be given more than once: its values, in the order given.
#[derive(Debug)]
pub struct Many<K>(PhantomData<K>);

/// A key that must be given: its value, or what to say.
#[derive(Debug)]
pub struct Required<K>(PhantomData<K>);

/// A key whose name ends in `*`: the keys that it stands for, without what they have in common, and their values.
#[derive(Debug)]
pub struct Each<K>(PhantomData<K>);

/// A key that must be given is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Missing {
    /// What is missing.
    pub message: &'static str,
    /// What to do.
    pub help: &'static str,
}

impl<K: Kind> Key<Option<K>> {
    /// A key that may be left out. `about` is one sentence for the help text.
    pub const fn new(name: &'static str, about: &'static str) -> Self {
        Self::of(Row::of::<K>(name, about))
    }

    /// The key that is as if it were given so when it is not.
    pub const fn default(self, text: &'static str) -> Key<K> {
        Key::of(Row { default: Some(text), ..self.row })
    }

    /// The key that must be given. Without, `message` is said, and with `help` what to do.
    pub const fn required(self, message: &'static str, help: &'static str) -> Key<Required<K>> {
        Key::of(Row { required: Some((message, help)), ..self.row })
    }

    /// The key that may be given more than once.
    pub const fn repeated(self) -> Key<Many<K>> {
        Key::of(Row { is_repeated: true, ..self.row })
    }

    /// The key that stands for all that begin as it does, up to the `*` at its end.
    pub const fn each(self) -> Key<Each<K>> {
        Key::of(self.row)
    }
}

impl<K: Kind> Key<K> {
    /// What it is when nobody says.
    pub fn default_value(self) -> K::Value<'static> {
        K::got(&self.row, std::iter::empty())
    }
}

impl<S> Key<S> {
    const fn of(row: Row) -> Self {
        Self { row, slot: PhantomData }
    }

    const fn status(self, status: Status) -> Self {
        Self::of(Row { status, ..self.row })
    }

    /// The key whose text is a secret. It is not empty by mistake: a variable in it must be set.
    pub const fn secret(self) -> Self {
        self.hiding(Secrecy::Secret)
    }

    /// The key with this of its text hidden.
    pub const fn hiding(self, secrecy: Secrecy) -> Self {
        Self::of(Row { secrecy, ..self.row })
    }

    /// The key without effect, which nobody misses: why.
    pub const fn idle(self, why: &'static str) -> Self {
        self.status(Status::Idle(why))
    }

    /// The key without effect, which is worth a warning: why.
    pub const fn inert(self, why: &'static str) -> Self {
        self.status(Status::Inert(why))
    }

    /// The key whose effect is still to be built.
    pub const fn not_yet(self) -> Self {
        self.status(Status::NotYet)
    }

    /// The key that is refused: why, if that is not clear, and what to do.
    pub const fn refused(self, why: &'static str, help: &'static str) -> Self {
        self.status(Status::Refused { why, help })
    }

    /// The key that says what may run: a slip in it, or in its name, is an error where others are passed over.
    pub const fn strict(self) -> Self {
        Self::of(Row { is_strict: true, ..self.row })
    }

    /// The key under another name.
    pub const fn named(self, name: &'static str) -> Self {
        Self::of(Row { name, ..self.row })
    }

    /// The key's name.
    pub const fn name(self) -> &'static str {
        self.row.name
    }

    /// The key without its type, for a table.
    pub const fn row(self) -> Row {
        self.row
    }
}

/// What a key of this type gives.
pub trait Slot {
    /// What it gives.
    type Got<'a>;

    /// Finds it among what was given for the row: what a key has in place of a `*`, and the text, which was checked.
    fn got<'a>(row: &Row, given: impl Iterator<Item = (&'a str, &'a str)>) -> Self::Got<'a>;
}

impl<K: Kind> Slot for K {
    type Got<'a> = K::Value<'a>;

    /// # Panics
    ///
    /// Where a default is not what its key must be, which [`Table::mistakes`](super::Table::mistakes) finds first.
    fn got<'a>(row: &Row, mut given: impl Iterator<Item = (&'a str, &'a str)>) -> K::Value<'a> {
        let text = given.next().map(|(_, text)| text).or(row.default).unwrap_or_default();
        K::parse(text).unwrap_or_else(|error| panic!("the default of '{}': {error}", row.name))
    }
}

impl<K: Kind> Slot for Option<K> {
    type Got<'a> = Option<K::Value<'a>>;

    fn got<'a>(_: &Row, given: impl Iterator<Item = (&'a str, &'a str)>) -> Self::Got<'a> {
        values::<K>(given).map(|(_, value)| value).next()
    }
}

impl<K: Kind> Slot for Many<K> {
    type Got<'a> = Vec<K::Value<'a>>;

    fn got<'a>(_: &Row, given: impl Iterator<Item = (&'a str, &'a str)>) -> Self::Got<'a> {
        values::<K>(given).map(|(_, value)| value).collect()
    }
}

impl<K: Kind> Slot for Each<K> {
    type Got<'a> = Vec<(&'a str, K::Value<'a>)>;

    fn got<'a>(_: &Row, given: impl Iterator<Item = (&'a str, &'a str)>) -> Self::Got<'a> {
        values::<K>(given).collect()
    }
}

impl<K: Kind> Slot for Required<K> {
    type Got<'a> = Result<K::Value<'a>, Missing>;

    fn got<'a>(row: &Row, given: impl Iterator<Item = (&'a str, &'a str)>) -> Self::Got<'a> {
        let (message, help) = row.required.unwrap_or_default();
        values::<K>(given).map(|(_, value)| value).next().ok_or(Missing { message, help })
    }
}

fn values<'a, K: Kind>(
    given: impl Iterator<Item = (&'a str, &'a str)>,
) -> impl Iterator<Item = (&'a str, K::Value<'a>)> {
    given.filter_map(|(rest, text)| Some((rest, K::parse(text).ok()?)))
}
