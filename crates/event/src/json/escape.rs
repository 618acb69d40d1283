//! Strings, bytes and extensions between JSON's quotes.

use super::block::{self, BLOCK};
use super::options::JsonOptions;

/// A string or bytes; they print alike. Returns whether it is UTF-8, so that a parser finds the same in the text.
pub(super) fn string(text: &[u8], out: &mut Vec<u8>, options: JsonOptions) -> bool {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut is_valid = true;
    if options.escape_unicode {
        is_valid = escape_all(text, out);
    } else if std::str::from_utf8(text).is_ok() {
        escape_ascii(text, out);
    } else {
        is_valid = false;
        for chunk in text.utf8_chunks() {
            escape_ascii(chunk.valid().as_bytes(), out);
            for _ in chunk.invalid() {
                out.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }
    out.push(b'"');
    is_valid
}

/// Most bytes that [`plain`] takes.
const FAR: usize = 2 * BLOCK;

/// A string of `len` bytes, with quotes and with `behind`; `near` begins with it. False, and nothing done, unless it is short
/// and needs no escapes, as most do.
#[inline(always)]
pub(super) fn plain(len: usize, near: &[u8], out: &mut Vec<u8>, behind: &[u8]) -> bool {
    if len <= BLOCK {
        let near = near.first_chunk().filter(|near| block::special_or_not_ascii(near) >= len);
        return near.is_some_and(|near| quoted::<BLOCK>(len, near, out, behind));
    }
    if len > FAR {
        return false;
    }
    let far = near.first_chunk::<FAR>().filter(|far| {
        let (blocks, _) = far.as_chunks();
        let [first, second] = [0, 1].map(|index| block::special_or_not_ascii(&blocks[index]));
        first == BLOCK && BLOCK + second >= len
    });
    far.is_some_and(|far| quoted(len, far, out, behind))
}

#[inline(always)]
fn quoted<const N: usize>(len: usize, near: &[u8; N], out: &mut Vec<u8>, behind: &[u8]) -> bool {
    out.push(b'"');
    let quote = out.len() + len;
    // All of it, because a copy of known length needs no loop.
    out.extend_from_slice(near);
    out.truncate(quote);
    out.push(b'"');
    out.extend_from_slice(behind);
    true
}

/// An extension's bytes as the characters `\xNN`, of which JSON wants the backslash escaped.
pub(super) fn extension(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in bytes {
        out.extend_from_slice(&[b'\\', b'\\', b'x', hex(byte >> 4), hex(byte & 0x0f)]);
    }
    out.push(b'"');
}

/// Escapes all that is not printable ASCII. Returns whether the text is UTF-8.
fn escape_all(mut text: &[u8], out: &mut Vec<u8>) -> bool {
    let mut is_valid = true;
    loop {
        let plain = plain_len::<true>(text);
        out.extend_from_slice(&text[..plain]);
        text = &text[plain..];
        match text.first() {
            None => return is_valid,
            Some(byte) if byte.is_ascii() => {
                escape(*byte, out);
                text = &text[1..];
            }
            Some(_) => {
                let length = escape_unicode(text, out);
                // One character above ASCII has more bytes than one.
                is_valid &= length > 1;
                text = &text[length..];
            }
        }
    }
}

/// Escapes what JSON and Fluent Bit do not want in a string; `text` is UTF-8.
fn escape_ascii(mut text: &[u8], out: &mut Vec<u8>) {
    loop {
        let plain = plain_len::<false>(text);
        out.extend_from_slice(&text[..plain]);
        let Some(byte) = text.get(plain) else {
            return;
        };
        escape(*byte, out);
        text = &text[plain + 1..];
    }
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => return escape_unit(byte.into(), out),
    };
    out.extend_from_slice(&[b'\\', short]);
}

fn escape_unit(unit: u16, out: &mut Vec<u8>) {
    let [high, low] = unit.to_be_bytes();
    let digits = [hex(high >> 4), hex(high & 0x0f), hex(low >> 4), hex(low & 0x0f)];
    out.extend_from_slice(b"\\u");
    out.extend_from_slice(&digits);
}

/// Prints the character, or the stray byte, that `text` begins with, and returns how many bytes that was.
fn escape_unicode(text: &[u8], out: &mut Vec<u8>) -> usize {
    let lead = text[0];
    let announced = match lead {
        0x80..=0xbf => 1,
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        0xf8..=0xfb => 5,
        _ => 6,
    };
    let Some(sequence) = text.get(..announced) else {
        return 1;
    };
    match std::str::from_utf8(sequence).ok().and_then(|valid| valid.chars().next()) {
        Some(character) => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escape_unit(*unit, out);
            }
            announced
        }
        None => {
            // U+E000 + lead, in UTF-8.
            out.extend_from_slice(&[0xee, 0x80 | lead >> 6, 0x80 | lead & 0x3f]);
            1
        }
    }
}

fn hex(digit: u8) -> u8 {
    b"0123456789abcdef"[usize::from(digit)]
}

/// How many bytes at the start of `text` print as they are. `ASCII`: only ASCII does.
fn plain_len<const ASCII: bool>(text: &[u8]) -> usize {
    let (blocks, tail) = text.as_chunks::<BLOCK>();
    let special = if ASCII { block::special_or_not_ascii } else { block::special };
    for (index, one) in blocks.iter().enumerate() {
        let plain = special(one);
        if plain < BLOCK {
            return index * BLOCK + plain;
        }
    }
    // One look at the last bytes, most of them for the second time, saves a look at each.
    if text.last_chunk().is_some_and(|last| special(last) == BLOCK) {
        return text.len();
    }
    let plain = tail.iter().position(|byte| is_special::<ASCII>(*byte)).unwrap_or(tail.len());
    text.len() - tail.len() + plain
}

fn is_special<const ASCII: bool>(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\' | 0x7f) || ASCII && byte >= 0x80
}
