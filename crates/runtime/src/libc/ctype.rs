//! The classes of characters, as in the locale `C`. What is no byte is in none.

use super::Answer;

/// Whether a character is in a class.
pub(super) fn is(character: u32, class: impl Fn(&u8) -> bool) -> Answer {
    Ok(u8::try_from(character).is_ok_and(|byte| class(&byte)).into())
}

/// What `isspace` takes for a blank.
pub(super) fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// What `isprint` takes for printable.
pub(super) fn is_print(byte: &u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// A character in the other case, where it has one.
pub(super) fn map(character: u32, to: impl Fn(&u8) -> u8) -> Answer {
    Ok(u8::try_from(character).map_or(character, |byte| to(&byte).into()))
}
