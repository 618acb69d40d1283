//! What the text of a key must be, and what becomes of it.

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use crate::value::{self, ValueError};

/// What a key's text must be. Others than those of this file are where they are needed.
pub trait Kind: 'static {
    /// What the text stands for.
    type Value<'a>;

    /// For whom the text is written.
    const SHAPE: Shape;

    /// Reads a text.
    fn parse(text: &str) -> Result<Self::Value<'_>, ValueError>;
}

/// How people are told what a text must be.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// `on`, `off` and the like.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// A number of bytes.
    Size,
    /// A span of time.
    Time,
    /// Any text, or one that is too rich for a word.
    Text,
    /// Texts separated by commas.
    List,
    /// Texts separated by blanks.
    Words,
    /// One of these words.
    Choice(fn() -> Vec<&'static str>),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bool => "boolean",
            Self::Int => "integer",
            Self::Double => "double",
            Self::Size => "size",
            Self::Time => "time",
            Self::Text => "string",
            Self::List => "comma delimited strings",
            Self::Words => "space delimited strings",
            Self::Choice(words) => return write!(f, "one of {}", words().join(", ")),
        })
    }
}

/// `on`, `off`, `true`, `false`, `yes`, `no`.
#[derive(Debug)]
pub enum Bool {}

/// A whole number.
#[derive(Debug)]
pub enum Int {}

/// A whole number from 0.
#[derive(Debug)]
pub enum Natural {}

/// A number.
#[derive(Debug)]
pub enum Double {}

/// A number of bytes: `32k` is 32,000.
#[derive(Debug)]
pub enum Size {}

/// A span of time: seconds, or with `m`, `h`, `d`.
#[derive(Debug)]
pub enum Time {}

/// Any text.
#[derive(Debug)]
pub enum Text {}

/// Texts separated by commas.
#[derive(Debug)]
pub enum List {}

/// Texts separated by blanks; one in double quotes may hold blanks.
#[derive(Debug)]
pub enum Words {}

/// As [`Words`], but only so many are separated; the rest of the text is one more.
#[derive(Debug)]
pub enum Fields<const SPLITS: usize> {}

/// One of the words of `W`, in any case.
#[derive(Debug)]
pub struct Choice<W>(PhantomData<W>);

/// What a [`Choice`] is made between.
pub trait Word: Copy + 'static {
    /// Every word, in the order of the help text, and what it stands for.
    const ALL: &'static [(&'static str, Self)];
}

impl Kind for Bool {
    type Value<'a> = bool;
    const SHAPE: Shape = Shape::Bool;

    fn parse(text: &str) -> Result<bool, ValueError> {
        value::parse_bool(text)
    }
}

impl Kind for Int {
    type Value<'a> = i64;
    const SHAPE: Shape = Shape::Int;

    fn parse(text: &str) -> Result<i64, ValueError> {
        value::parse_int(text)
    }
}

impl Kind for Natural {
    type Value<'a> = u64;
    const SHAPE: Shape = Shape::Int;

    fn parse(text: &str) -> Result<u64, ValueError> {
        u64::try_from(value::parse_int(text)?)
            .map_err(|_| ValueError::saying("below 0", text, "use a number from 0"))
    }
}

impl Kind for Double {
    type Value<'a> = f64;
    const SHAPE: Shape = Shape::Double;

    fn parse(text: &str) -> Result<f64, ValueError> {
        value::parse_double(text)
    }
}

impl Kind for Size {
    type Value<'a> = u64;
    const SHAPE: Shape = Shape::Size;

    fn parse(text: &str) -> Result<u64, ValueError> {
        value::parse_size(text)
    }
}

impl Kind for Time {
    type Value<'a> = Duration;
    const SHAPE: Shape = Shape::Time;

    fn parse(text: &str) -> Result<Duration, ValueError> {
        value::parse_time(text)
    }
}

impl Kind for Text {
    type Value<'a> = &'a str;
    const SHAPE: Shape = Shape::Text;

    fn parse(text: &str) -> Result<&str, ValueError> {
        Ok(text)
    }
}

impl Kind for List {
    type Value<'a> = Vec<String>;
    const SHAPE: Shape = Shape::List;

    fn parse(text: &str) -> Result<Vec<String>, ValueError> {
        Ok(value::parse_clist(text))
    }
}

impl Kind for Words {
    type Value<'a> = Vec<String>;
    const SHAPE: Shape = Shape::Words;

    fn parse(text: &str) -> Result<Vec<String>, ValueError> {
        value::parse_slist(text, None)
    }
}

impl<const SPLITS: usize> Kind for Fields<SPLITS> {
    type Value<'a> = Vec<String>;
    const SHAPE: Shape = Shape::Words;

    fn parse(text: &str) -> Result<Vec<String>, ValueError> {
        value::parse_slist(text, Some(SPLITS))
    }
}

impl<W: Word> Kind for Choice<W> {
    type Value<'a> = W;
    const SHAPE: Shape = Shape::Choice(|| W::ALL.iter().map(|(word, _)| *word).collect());

    fn parse(text: &str) -> Result<W, ValueError> {
        value::parse_word(text, W::ALL)
    }
}
