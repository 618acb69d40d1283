//! Why a text is not JSON.

use crate::msgpack::MAX_DEPTH;

/// Why a text is not JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct JsonError {
    /// Bytes before the one that is wrong; the text's length where it ends too early.
    pub offset: usize,
    /// What is wrong there.
    pub reason: Reason,
}

/// What is wrong in a text that is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The text may be the beginning of a good one.
    #[error("the JSON text ends too early,")]
    End,
    /// Something else stands where a value should.
    #[error("expected a JSON value")]
    Value,
    /// A key, which must be a string, is missing.
    #[error("expected '\"' to begin a key")]
    Key,
    /// After a key.
    #[error("expected ':'")]
    Colon,
    /// After an entry of an object.
    #[error("expected ',' or '}}'")]
    CommaOrBrace,
    /// After an element of an array.
    #[error("expected ',' or ']'")]
    CommaOrBracket,
    /// In a number.
    #[error("expected a digit")]
    Digit,
    /// `007` is not a number in JSON.
    #[error("a number with a leading zero")]
    LeadingZero,
    /// The number is beyond the greatest float64, as `1e400` is.
    #[error("a number too large for a float64")]
    Infinite,
    /// A backslash and what may not follow it.
    #[error("expected one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u")]
    Escape,
    /// After `\u`.
    #[error("expected four hexadecimal digits")]
    Hex,
    /// More than [`MAX_DEPTH`] containers lie inside each other.
    #[error("objects and arrays nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// A string or container of 4 Gi bytes or elements, which msgpack cannot hold.
    #[error("a value too large for msgpack")]
    TooLarge,
    /// Good JSON, but [`parse_object`](super::parse_object) was asked for an object.
    #[error("expected a JSON object")]
    NotAnObject,
}
