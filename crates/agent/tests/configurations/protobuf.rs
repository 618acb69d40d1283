//! Protocol buffers for people: every field by its number, what holds fields in braces.

use std::fmt::Write as _;

/// The message, a field a line.
pub(crate) fn readable(message: &[u8]) -> String {
    let mut text = String::new();
    assert!(write(message, 0, &mut text), "no message: {message:?}");
    text
}

/// False if these are no fields.
fn write(mut message: &[u8], depth: usize, out: &mut String) -> bool {
    let indent = "  ".repeat(depth);
    while !message.is_empty() {
        let Some(key) = varint(&mut message) else { return false };
        let (number, wire) = (key >> 3, key & 7);
        let value = match wire {
            0 => varint(&mut message).map(|value| value.to_string()),
            1 => take(&mut message, 8)
                .map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap()).to_string()),
            2 => varint(&mut message)
                .and_then(|length| take(&mut message, usize::try_from(length).ok()?))
                .map(|bytes| nested(bytes, depth)),
            5 => take(&mut message, 4)
                .map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap()).to_string()),
            _ => None,
        };
        let Some(value) = value.filter(|_| number > 0) else { return false };
        writeln!(out, "{indent}{number}: {value}").unwrap();
    }
    true
}

/// A text, or else fields, or else bytes.
fn nested(bytes: &[u8], depth: usize) -> String {
    let is_text = |text: &&str| !text.is_empty() && !text.contains(|letter: char| letter < ' ');
    if let Some(text) = str::from_utf8(bytes).ok().filter(is_text) {
        return format!("{text:?}");
    }
    let mut fields = String::new();
    match write(bytes, depth + 1, &mut fields) {
        true if fields.is_empty() => "{}".to_owned(),
        true => format!("{{\n{fields}{}}}", "  ".repeat(depth)),
        false => format!("{bytes:02x?}"),
    }
}

fn varint(from: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(from: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = from.split_at_checked(count)?;
    *from = rest;
    Some(taken)
}
