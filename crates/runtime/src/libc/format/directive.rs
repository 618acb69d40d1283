//! One directive of a format: `%`, flags, width, precision, size, conversion.

use super::MOST;
use super::arguments::Arguments;
use crate::fault::Trap;

/// One directive of a format.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Directive {
    /// Flag `-`.
    pub(super) is_left: bool,
    /// Flag `+`.
    pub(super) shows_plus: bool,
    /// Flag space.
    pub(super) shows_space: bool,
    /// Flag `#`.
    pub(super) is_alternative: bool,
    /// Flag `0`.
    pub(super) has_zeros: bool,
    pub(super) width: usize,
    /// Any number: of a text it counts bytes.
    pub(super) precision: Option<u32>,
    pub(super) size: Size,
    pub(super) conversion: u8,
    /// How many bytes it takes in the format.
    pub(super) length: usize,
}

/// How large an integer argument is. `long`, `size_t` and `ptrdiff_t` are `int` for these guests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Size {
    Char,
    Short,
    #[default]
    Int,
    Long,
}

impl Directive {
    /// Reads what follows a `%`, which comes first; `None`: the format ends within it.
    pub(super) fn read(
        format: &[u8],
        memory: &[u8],
        arguments: &mut Arguments,
    ) -> Result<Option<Self>, Trap> {
        let mut directive = Self::default();
        let mut rest = &format[1..];
        while let Some((&flag, behind)) = rest.split_first()
            && directive.flag(flag)
        {
            rest = behind;
        }
        directive.read_width(&mut rest, memory, arguments)?;
        if let Some(behind) = rest.strip_prefix(b".") {
            rest = behind;
            let precision = number(&mut rest, memory, arguments)?.unwrap_or(0);
            // A negative one is none.
            directive.precision =
                (precision >= 0).then(|| precision.try_into().unwrap_or(u32::MAX));
        }
        directive.size = size(&mut rest);
        let Some((&conversion, behind)) = rest.split_first() else { return Ok(None) };
        directive.conversion = conversion;
        directive.length = format.len() - behind.len();
        Ok(Some(directive))
    }

    /// Takes a flag; false if it is none.
    fn flag(&mut self, flag: u8) -> bool {
        match flag {
            b'-' => self.is_left = true,
            b'+' => self.shows_plus = true,
            b' ' => self.shows_space = true,
            b'#' => self.is_alternative = true,
            b'0' => self.has_zeros = true,
            _ => return false,
        }
        true
    }

    fn read_width(
        &mut self,
        rest: &mut &[u8],
        memory: &[u8],
        arguments: &mut Arguments,
    ) -> Result<(), Trap> {
        let width = number(rest, memory, arguments)?.unwrap_or(0);
        self.is_left |= width < 0;
        self.width = usize::try_from(width.unsigned_abs()).map_or(MOST, |width| width.min(MOST));
        Ok(())
    }

    /// The precision of a number.
    pub(super) fn digits(&self) -> Option<usize> {
        self.precision.map(|precision| (precision as usize).min(MOST))
    }

    /// The blanks beside something of this length.
    pub(super) fn padding(&self, length: usize) -> Vec<u8> {
        vec![b' '; self.width.saturating_sub(length)]
    }
}

/// A width or precision: written out, or `*` for an argument.
fn number(rest: &mut &[u8], memory: &[u8], arguments: &mut Arguments) -> Result<Option<i64>, Trap> {
    if let Some(behind) = rest.strip_prefix(b"*") {
        *rest = behind;
        return Ok(Some(arguments.word(memory)?.cast_signed().into()));
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, behind) = rest.split_at(digits);
    *rest = behind;
    let value = digits.iter().fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    Ok((!digits.is_empty()).then_some(value))
}

/// The size that modifiers say: `hh`, `h`, `l`, `ll`, `j`, `t`, `z`.
fn size(rest: &mut &[u8]) -> Size {
    let (mut halves, mut longs) = (0, 0);
    while let Some((modifier, behind)) = rest.split_first() {
        match modifier {
            b'h' => halves += 1,
            b'l' => longs += 1,
            b'j' => longs = 2,
            b't' | b'z' => longs = 1,
            _ => break,
        }
        *rest = behind;
    }
    match (longs, halves) {
        (2.., _) => Size::Long,
        (_, 0) => Size::Int,
        (_, 1) => Size::Short,
        _ => Size::Char,
    }
}
