//! Protocol buffers as they are on the wire: fields of a message, read without a schema, and the few that are written so.

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The data ends inside a field.
    #[error("a field is cut off")]
    Truncated,
    /// A number has more than 64 bits, or a field has none.
    #[error("a number is malformed")]
    Number,
    /// A kind of field that is not used.
    #[error("a field is of unknown kind {0}")]
    Kind(u8),
}

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wire<'a> {
    /// An integer, or a truth.
    Number(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// A text, bytes or a message.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32(u32),
}

/// The fields of a message, each with its number. After an error there are none.
#[derive(Debug, Clone)]
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Those of `message`.
    pub fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    fn field(&mut self) -> Result<(u64, Wire<'a>), WireError> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Wire::Number(self.number()?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.number()?).map_err(|_| WireError::Truncated)?;
                Wire::Bytes(self.take(length)?)
            }
            5 => Wire::Fixed32(u32::from_le_bytes(self.array()?)),
            kind => return Err(WireError::Kind(kind as u8)),
        };
        match key >> 3 {
            0 => Err(WireError::Number),
            number => Ok((number, value)),
        }
    }

    /// Seven bits a byte, the lowest first; the highest bit says that there are more.
    fn number(&mut self) -> Result<u64, WireError> {
        let mut number = 0;
        for (at, byte) in self.0.iter().enumerate().take(10) {
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.0 = &self.0[at + 1..];
                return if at == 9 && *byte > 1 { Err(WireError::Number) } else { Ok(number) };
            }
        }
        Err(if self.0.len() < 10 { WireError::Truncated } else { WireError::Number })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (array, rest) = self.0.split_first_chunk().ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(*array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Wire<'a>), WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// Appends a field that is an integer.
pub fn write_number(out: &mut Vec<u8>, field: u64, number: u64) {
    write_varint(out, field << 3);
    write_varint(out, number);
}

/// Appends a field that is a text, bytes or a message.
pub fn write_bytes(out: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    write_varint(out, field << 3 | 2);
    write_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn write_varint(out: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &[u8], expected: &[Result<(u64, Wire<'_>), WireError>]) {
        assert_eq!(Fields::of(message).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn fields_have_numbers_and_kinds() {
        let all = [8, 0x96, 1, 0x11, 1, 0, 0, 0, 0, 0, 0, 0, 0x1a, 2, b'h', b'i', 0x25, 2, 0, 0, 0];
        let [one, two] = [Ok((1, Wire::Number(150))), Ok((2, Wire::Fixed64(1)))];
        check(&all, &[one, two, Ok((3, Wire::Bytes(b"hi"))), Ok((4, Wire::Fixed32(2)))]);
        check(&[], &[]);
        let most = [0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        check(&most, &[Ok((1, Wire::Number(u64::MAX)))]);
    }

    #[test]
    fn what_is_malformed_is_told_once() {
        check(&[0x0a, 5, 1], &[Err(WireError::Truncated)]);
        check(&[0x09, 1], &[Err(WireError::Truncated)]);
        check(&[0x80], &[Err(WireError::Truncated)]);
        check(&[0x00, 0x00], &[Err(WireError::Number)]);
        check(&[255; 11], &[Err(WireError::Number)]);
        check(&[0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2], &[Err(WireError::Number)]);
        check(&[0x0b], &[Err(WireError::Kind(3))]);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut out = Vec::new();
        write_number(&mut out, 1, 300);
        write_bytes(&mut out, 200, b"x");
        check(&out, &[Ok((1, Wire::Number(300))), Ok((200, Wire::Bytes(b"x")))]);
    }
}
