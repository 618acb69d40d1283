//! `atoi`, `strtol` and `strtoul`.
//!
//! Numbers are read with 64 bits, as on the original's hosts, and of these the guest gets the lower 32.

use super::Answer;
use super::bytes::{put_word, text};
use super::ctype::is_space;
use super::pieces::{Look, run};
use crate::fault::{Fault, Trap};
use crate::machine::Call;

pub(super) fn atoi(call: &mut Call<'_>, s: u32) -> Answer {
    let (memory, state) = call.parts();
    Ok(Parsed::read(text(memory, s)?, 10, &|| state.leash.look())?.signed())
}

pub(super) fn strtol(call: &mut Call<'_>, s: u32, end: u32, base: u32) -> Answer {
    parse(call, s, end, base).map(Parsed::signed)
}

pub(super) fn strtoul(call: &mut Call<'_>, s: u32, end: u32, base: u32) -> Answer {
    parse(call, s, end, base).map(Parsed::unsigned)
}

/// Reads a number, and writes where it ends unless nobody wants to know.
fn parse(call: &mut Call<'_>, s: u32, end: u32, base: u32) -> Result<Parsed, Fault> {
    let (memory, state) = call.parts();
    let parsed = Parsed::read(text(memory, s)?, base, &|| state.leash.look())?;
    if end != 0 {
        put_word(memory, end, s + parsed.length as u32)?;
    }
    Ok(parsed)
}

/// A number at the beginning of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Parsed {
    is_negative: bool,
    /// `None`: it has more than 64 bits.
    magnitude: Option<u64>,
    /// Bytes up to its end; 0 if there is no number.
    length: usize,
}

impl Parsed {
    fn read(text: &[u8], base: u32, look: Look<'_>) -> Result<Self, Trap> {
        let none = Self { magnitude: Some(0), ..Self::default() };
        let blanks = run(text, is_space, look)?;
        let (is_negative, signs) = match text.get(blanks) {
            Some(b'-') => (true, 1),
            Some(b'+') => (false, 1),
            _ => (false, 0),
        };
        let start = blanks + signs;
        let Some((base, prefix)) = base_of(&text[start..], base) else { return Ok(none) };
        let text = &text[start + prefix..];
        let count = run(text, |byte| char::from(*byte).is_digit(base), look)?;
        if count == 0 {
            return Ok(none);
        }
        let zeros = run(&text[..count], |byte| *byte == b'0', look)?;
        let magnitude = magnitude(&text[zeros..count], base);
        Ok(Self { is_negative, magnitude, length: start + prefix + count })
    }

    fn signed(self) -> u32 {
        let most = i64::MAX.cast_unsigned() + u64::from(self.is_negative);
        let magnitude = self.magnitude.map_or(most, |magnitude| magnitude.min(most));
        (if self.is_negative { magnitude.wrapping_neg() } else { magnitude }) as u32
    }

    fn unsigned(self) -> u32 {
        match self.magnitude {
            None => u32::MAX,
            Some(magnitude) if self.is_negative => magnitude.wrapping_neg() as u32,
            Some(magnitude) => magnitude as u32,
        }
    }
}

/// What digits come to, the first of which is not zero; `None` for more than 64 bits, which the first of them show.
fn magnitude(digits: &[u8], base: u32) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = char::from(*byte).to_digit(base)?;
        value.checked_mul(base.into())?.checked_add(digit.into())
    })
}

/// The base of a number, and how long the prefix is that says it; `None` where there is no such base.
fn base_of(text: &[u8], base: u32) -> Option<(u32, usize)> {
    let is_hex = matches!(text, [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit());
    match base {
        0 | 16 if is_hex => Some((16, 2)),
        0 if text.first() == Some(&b'0') => Some((8, 0)),
        0 => Some((10, 0)),
        2..=36 => Some((base, 0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        let check = |text: &str, base, signed: i32, unsigned: u32, length| {
            let parsed = Parsed::read(text.as_bytes(), base, &|| Ok(())).unwrap();
            let read = (parsed.signed().cast_signed(), parsed.unsigned(), parsed.length);
            assert_eq!(read, (signed, unsigned, length), "{text:?} in base {base}");
        };
        check("42", 10, 42, 42, 2);
        check(" \t\n\x0b\x0c\r-42abc", 10, -42, 42_u32.wrapping_neg(), 9);
        check("+7", 10, 7, 7, 2);
        check("", 10, 0, 0, 0);
        check("-", 10, 0, 0, 0);
        check("+-1", 10, 0, 0, 0);
        check("x1", 10, 0, 0, 0);
        check("0x1f", 0, 31, 31, 4);
        check("0X1Fg", 16, 31, 31, 4);
        check("1f", 16, 31, 31, 2);
        check("0xg", 0, 0, 0, 1);
        check("0x", 16, 0, 0, 1);
        check("017", 0, 15, 15, 3);
        check("08", 0, 0, 0, 1);
        check("019", 10, 19, 19, 3);
        check("1012", 2, 5, 5, 3);
        check("zZ", 36, 1295, 1295, 2);
        check("7", 1, 0, 0, 0);
        check("7", 37, 0, 0, 0);
        check("7", u32::MAX, 0, 0, 0);
    }

    #[test]
    fn of_large_numbers_the_lower_32_bits_count() {
        let check = |text: &str, signed: i32, unsigned: u32| {
            let parsed = Parsed::read(text.as_bytes(), 10, &|| Ok(())).unwrap();
            let read = (parsed.signed().cast_signed(), parsed.unsigned(), parsed.length);
            assert_eq!(read, (signed, unsigned, text.len()), "{text}");
        };
        check("2147483647", i32::MAX, 2_147_483_647);
        check("-2147483648", i32::MIN, 1 << 31);
        check("4294967296", 0, 0);
        check("4294967301", 5, 5);
        check("9223372036854775808", -1, 0);
        check("-9223372036854775809", 0, u32::MAX);
        check("18446744073709551616", -1, u32::MAX);
        check("-99999999999999999999", 0, u32::MAX);
        check("00000000000000000000000000000000000000000000000000000000000000000000007", 7, 7);
    }
}
