//! Reading: one value or header at a time, from bytes nobody has checked.

use super::span::{end, span};
use super::{MAX_DEPTH, MsgpackError, Value};

/// Walks over values, one after the other.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Begins at the first byte of `data`.
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// Offset of the next value. A failed read does not move it.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Whether all bytes have been read.
    pub fn is_at_end(&self) -> bool {
        self.at == self.data.len()
    }

    /// Reads one value; of an array or map only the header, so that its elements come next.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end silently where a value is missing"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Value<'a>, MsgpackError> {
        let mut cursor = Cursor { data: self.data, at: self.at };
        match cursor.value() {
            Some(value) => {
                self.at = cursor.at;
                Ok(value)
            }
            None => Err(self.fault()),
        }
    }

    /// All bytes, those that were read too.
    pub(crate) fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Reads a string of at most 31 bytes in its shortest form; `None`, and nothing read, where the next value is something
    /// else.
    #[inline(always)]
    pub(crate) fn next_short_str(&mut self) -> Option<&'a [u8]> {
        let rest = self.data.get(self.at..)?;
        let (marker @ 0xa0..=0xbf, rest) = rest.split_first()? else { return None };
        let text = rest.get(..usize::from(marker & 0x1f))?;
        self.at += 1 + text.len();
        Some(text)
    }

    /// Reads an integer from 0 to 2^16 - 1 in its shortest form; `None`, and nothing read, where the next value is something
    /// else.
    #[inline(always)]
    pub(crate) fn next_short_uint(&mut self) -> Option<u64> {
        let (length, value) = match *self.data.get(self.at..)? {
            [value @ ..0x80, ..] => (1, u16::from(value)),
            [0xcc, value @ 0x80..=0xff, ..] => (2, u16::from(value)),
            [0xcd, high @ 1..=0xff, low, ..] => (3, u16::from_be_bytes([high, low])),
            _ => return None,
        };
        self.at += length;
        Some(value.into())
    }

    /// The data from `text` on, which was read last.
    #[inline(always)]
    pub(crate) fn from(&self, text: &[u8]) -> &'a [u8] {
        &self.data[self.at - text.len()..]
    }

    /// Passes over one whole value, elements and all, and returns its bytes. Checks what [`value_len`] checks.
    #[inline]
    pub fn skip(&mut self) -> Result<&'a [u8], MsgpackError> {
        let rest = self.data.get(self.at..).unwrap_or_default();
        match span(rest) {
            Some(length) => {
                self.at += length;
                Ok(&rest[..length])
            }
            None => self.skip_by_steps(),
        }
    }

    /// Passes over a key and its value, where that is quickly done: else nothing was read.
    #[inline(always)]
    pub(crate) fn skip_entry(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let value = end(self.data, self.at)?;
        let next = end(self.data, value)?;
        let entry = (self.data.get(self.at..value)?, self.data.get(value..next)?);
        self.at = next;
        Some(entry)
    }

    /// As [`skip`](Self::skip), value by value: says what is wrong and where, and counts how deep containers lie inside each other.
    #[cold]
    fn skip_by_steps(&mut self) -> Result<&'a [u8], MsgpackError> {
        let mut ahead = self.clone();
        if ahead.next()?.is_container() {
            ahead.at = self.at;
            ahead.skip_nested()?;
        }
        let raw = &self.data[self.at..ahead.at];
        self.at = ahead.at;
        Ok(raw)
    }

    fn skip_nested(&mut self) -> Result<(), MsgpackError> {
        // How many values each open container still waits for; never 0 while it is open.
        let mut waiting = [0_u64; MAX_DEPTH];
        let mut depth = 0;
        loop {
            let at = self.at;
            let value = self.next()?;
            if depth == MAX_DEPTH && value.is_container() {
                return Err(MsgpackError::TooDeep { at });
            }
            if value.elements() > 0 {
                waiting[depth] = value.elements();
                depth += 1;
                continue;
            }
            while depth > 0 {
                waiting[depth - 1] -= 1;
                if waiting[depth - 1] > 0 {
                    break;
                }
                depth -= 1;
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }

    #[cold]
    fn fault(&self) -> MsgpackError {
        match self.data.get(self.at) {
            Some(0xc1) => MsgpackError::BadMarker { at: self.at },
            _ => MsgpackError::Truncated { at: self.at },
        }
    }
}

impl Value<'_> {
    fn is_container(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Map(_))
    }

    /// How many values follow a header before its container is complete.
    pub fn elements(&self) -> u64 {
        match self {
            Self::Array(len) => u64::from(*len),
            Self::Map(len) => u64::from(*len) * 2,
            _ => 0,
        }
    }
}

struct Cursor<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// `None` if the data ends too early, and for `0xc1`.
    #[inline]
    fn value(&mut self) -> Option<Value<'a>> {
        let [marker] = self.take()?;
        Some(match marker {
            0x00..=0x7f => Value::Uint(marker.into()),
            0x80..=0x8f => Value::Map((marker & 0x0f).into()),
            0x90..=0x9f => Value::Array((marker & 0x0f).into()),
            0xa0..=0xbf => Value::Str(self.bytes((marker & 0x1f).into())?),
            0xc0 => Value::Nil,
            0xc1 => return None,
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xc4 => Value::Bin(self.bytes8()?),
            0xc5 => Value::Bin(self.bytes16()?),
            0xc6 => Value::Bin(self.bytes32()?),
            0xc7 => {
                let [len] = self.take()?;
                self.ext(len.into())?
            }
            0xc8 => {
                let len = u16::from_be_bytes(self.take()?);
                self.ext(len.into())?
            }
            0xc9 => {
                let len = u32::from_be_bytes(self.take()?);
                self.ext(len)?
            }
            0xca => Value::Float(f32::from_be_bytes(self.take()?).into()),
            0xcb => Value::Float(f64::from_be_bytes(self.take()?)),
            0xcc => Value::Uint(u8::from_be_bytes(self.take()?).into()),
            0xcd => Value::Uint(u16::from_be_bytes(self.take()?).into()),
            0xce => Value::Uint(u32::from_be_bytes(self.take()?).into()),
            0xcf => Value::Uint(u64::from_be_bytes(self.take()?)),
            0xd0 => int(i8::from_be_bytes(self.take()?).into()),
            0xd1 => int(i16::from_be_bytes(self.take()?).into()),
            0xd2 => int(i32::from_be_bytes(self.take()?).into()),
            0xd3 => int(i64::from_be_bytes(self.take()?)),
            0xd4..=0xd8 => self.ext(1 << (marker - 0xd4))?,
            0xd9 => Value::Str(self.bytes8()?),
            0xda => Value::Str(self.bytes16()?),
            0xdb => Value::Str(self.bytes32()?),
            0xdc => Value::Array(u16::from_be_bytes(self.take()?).into()),
            0xdd => Value::Array(u32::from_be_bytes(self.take()?)),
            0xde => Value::Map(u16::from_be_bytes(self.take()?).into()),
            0xdf => Value::Map(u32::from_be_bytes(self.take()?)),
            0xe0..=0xff => Value::Int(marker.cast_signed().into()),
        })
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = self.data.get(self.at..)?.first_chunk()?;
        self.at += N;
        Some(*taken)
    }

    #[inline]
    fn bytes(&mut self, len: u32) -> Option<&'a [u8]> {
        let taken = self.data.get(self.at..)?.get(..len as usize)?;
        self.at += taken.len();
        Some(taken)
    }

    #[inline]
    fn bytes8(&mut self) -> Option<&'a [u8]> {
        let [len] = self.take()?;
        self.bytes(len.into())
    }

    fn bytes16(&mut self) -> Option<&'a [u8]> {
        let len = u16::from_be_bytes(self.take()?);
        self.bytes(len.into())
    }

    fn bytes32(&mut self) -> Option<&'a [u8]> {
        let len = u32::from_be_bytes(self.take()?);
        self.bytes(len)
    }

    fn ext(&mut self, len: u32) -> Option<Value<'a>> {
        let kind = i8::from_be_bytes(self.take()?);
        Some(Value::Ext(kind, self.bytes(len)?))
    }
}

fn int(value: i64) -> Value<'static> {
    u64::try_from(value).map_or(Value::Int(value), Value::Uint)
}

/// Length in bytes of the one value that `data` begins with, after checking all of it: every header, every element,
/// and that containers nest at most [`MAX_DEPTH`] deep. What follows the value is not looked at.
pub fn value_len(data: &[u8]) -> Result<usize, MsgpackError> {
    Reader::new(data).skip().map(<[u8]>::len)
}

/// As [`value_len`], for data that must begin with a map.
pub fn map_len(data: &[u8]) -> Result<usize, MsgpackError> {
    map_header(data)?;
    value_len(data)
}

/// The number of entries of the map that `map` begins with, and the length of its header in bytes.
///
/// With it an entry is added without reading the others: a new header, then the old map from behind its header, then
/// the new entry.
#[inline]
pub fn map_header(map: &[u8]) -> Result<(u32, usize), MsgpackError> {
    if let Some(&first @ 0x80..=0x8f) = map.first() {
        return Ok(((first & 0x0f).into(), 1));
    }
    long_map_header(map)
}

fn long_map_header(map: &[u8]) -> Result<(u32, usize), MsgpackError> {
    let mut reader = Reader::new(map);
    match reader.next()? {
        Value::Map(len) => Ok((len, reader.position())),
        _ => Err(MsgpackError::NotAMap { at: 0 }),
    }
}

/// The entries of the map that `map` begins with.
pub fn entries(map: &[u8]) -> Result<Entries<'_>, MsgpackError> {
    let (left, at) = map_header(map)?;
    Ok(Entries { reader: Reader { data: map, at }, left })
}

/// Iterates over a map: the bytes of a key and the bytes of its value, both msgpack. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Entries<'a> {
    reader: Reader<'a>,
    left: u32,
}

impl Entries<'_> {
    /// How many entries are left.
    pub fn left(&self) -> u32 {
        self.left
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), MsgpackError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if let Some(entry) = self.reader.skip_entry() {
            return Some(Ok(entry));
        }
        let entry = self.reader.skip().and_then(|key| Ok((key, self.reader.skip()?)));
        if entry.is_err() {
            self.left = 0;
        }
        Some(entry)
    }
}

/// The elements of the array that `array` begins with.
pub fn elements(array: &[u8]) -> Result<Elements<'_>, MsgpackError> {
    let mut reader = Reader::new(array);
    match reader.next()? {
        Value::Array(left) => Ok(Elements { reader, left }),
        _ => Err(MsgpackError::NotAnArray { at: 0 }),
    }
}

/// Iterates over an array: the bytes of each element. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    reader: Reader<'a>,
    left: u32,
}

impl Elements<'_> {
    /// How many elements are still to come, as the array says.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Bytes from the start of the array to behind the last element that was taken.
    pub fn position(&self) -> usize {
        self.reader.position()
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<&'a [u8], MsgpackError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let element = self.reader.skip();
        if element.is_err() {
            self.left = 0;
        }
        Some(element)
    }
}

/// The text of `raw` if that is a msgpack string.
#[inline]
pub fn as_str(raw: &[u8]) -> Option<&[u8]> {
    match raw {
        [first @ 0xa0..=0xbf, rest @ ..] => rest.get(..usize::from(first & 0x1f)),
        _ => as_long_str(raw),
    }
}

fn as_long_str(raw: &[u8]) -> Option<&[u8]> {
    match Reader::new(raw).next() {
        Ok(Value::Str(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads all of `data` and compares each value.
    fn check(data: &[u8], expected: &[Value<'_>]) {
        let mut reader = Reader::new(data);
        let mut values = Vec::new();
        while !reader.is_at_end() {
            values.push(reader.next().unwrap());
        }
        assert_eq!(values, expected, "{data:02x?}");
    }

    fn check_fault(data: &[u8], expected: MsgpackError) {
        assert_eq!(value_len(data), Err(expected), "{data:02x?}");
    }

    #[test]
    fn every_form_is_read() {
        check(&[0xc0, 0xc2, 0xc3], &[Value::Nil, Value::Bool(false), Value::Bool(true)]);
        check(&[0x00, 0x7f], &[Value::Uint(0), Value::Uint(127)]);
        check(&[0xe0, 0xff], &[Value::Int(-32), Value::Int(-1)]);
        check(&[0xcc, 200, 0xcd, 1, 0], &[Value::Uint(200), Value::Uint(256)]);
        check(&[0xce, 1, 0, 0, 0], &[Value::Uint(1 << 24)]);
        check(&[0xcf, 255, 255, 255, 255, 255, 255, 255, 255], &[Value::Uint(u64::MAX)]);
        check(&[0xd0, 0x80, 0xd1, 0x80, 0], &[Value::Int(-128), Value::Int(-32768)]);
        check(&[0xd2, 0x80, 0, 0, 0], &[Value::Int(i32::MIN.into())]);
        check(&[0xd3, 0x80, 0, 0, 0, 0, 0, 0, 0], &[Value::Int(i64::MIN)]);
        check(&[0xca, 0x3f, 0xc0, 0, 0], &[Value::Float(1.5)]);
        check(&[0xcb, 0xbf, 0xf8, 0, 0, 0, 0, 0, 0], &[Value::Float(-1.5)]);
        check(b"\xa0\xa1x\xd9\x01y", &[Value::Str(b""), Value::Str(b"x"), Value::Str(b"y")]);
        check(b"\xda\0\x01z\xdb\0\0\0\x01w", &[Value::Str(b"z"), Value::Str(b"w")]);
        check(b"\xc4\x01a\xc5\0\x01b\xc6\0\0\0\x01c", &[b"a", b"b", b"c"].map(|b| Value::Bin(b)));
        check(b"\xd4\x05x\xd5\xffxy", &[Value::Ext(5, b"x"), Value::Ext(-1, b"xy")]);
        check(b"\xd8\x00sixteen of bytes", &[Value::Ext(0, b"sixteen of bytes")]);
        check(b"\xc7\x01\x02x\xc8\0\0\x02", &[Value::Ext(2, b"x"), Value::Ext(2, b"")]);
        check(b"\xc9\0\0\0\x01\x02x", &[Value::Ext(2, b"x")]);
        check(&[0x92, 0xdc, 1, 0], &[Value::Array(2), Value::Array(256)]);
        check(&[0x81, 0xde, 1, 0], &[Value::Map(1), Value::Map(256)]);
        check(&[0xdd, 1, 0, 0, 0], &[Value::Array(1 << 24)]);
        check(&[0xdf, 0xff, 0xff, 0xff, 0xff], &[Value::Map(u32::MAX)]);
    }

    #[test]
    fn a_positive_number_in_a_signed_form_is_positive() {
        check(&[0xd0, 5, 0xd1, 1, 0], &[Value::Uint(5), Value::Uint(256)]);
        check(&[0xd3, 0, 0, 0, 0, 0, 0, 0, 0], &[Value::Uint(0)]);
    }

    #[test]
    fn faults_name_the_offending_value() {
        check_fault(&[], MsgpackError::Truncated { at: 0 });
        check_fault(&[0xc1], MsgpackError::BadMarker { at: 0 });
        check_fault(&[0x92, 0x01, 0xc1], MsgpackError::BadMarker { at: 2 });
        check_fault(b"\x82\xa1a\x01\xa5x", MsgpackError::Truncated { at: 4 });
        check_fault(&[0x92, 0x01], MsgpackError::Truncated { at: 2 });
        check_fault(&[0xdb, 0xff, 0xff, 0xff, 0xff, 0], MsgpackError::Truncated { at: 0 });
        check_fault(&[0xdd, 0xff, 0xff, 0xff, 0xff, 0], MsgpackError::Truncated { at: 6 });
        check_fault(&[0x91; MAX_DEPTH + 1], MsgpackError::TooDeep { at: MAX_DEPTH });
        assert_eq!(map_len(&[0x91, 0x80]), Err(MsgpackError::NotAMap { at: 0 }));
        assert_eq!(map_len(&[0xc1]), Err(MsgpackError::BadMarker { at: 0 }));
        assert_eq!(map_len(&[0x81, 0x01]), Err(MsgpackError::Truncated { at: 2 }));
    }

    #[test]
    fn containers_nest_to_the_limit_and_no_deeper() {
        let nested = |depth: usize| [vec![0x91; depth - 1], vec![0x80]].concat();
        assert_eq!(value_len(&nested(MAX_DEPTH)), Ok(MAX_DEPTH));
        check_fault(&nested(MAX_DEPTH + 1), MsgpackError::TooDeep { at: MAX_DEPTH });
        let beside = [vec![0xdc, 0x10, 0x00], [0x91, 0x90].repeat(0x1000)].concat();
        assert_eq!(value_len(&beside), Ok(beside.len()));
    }

    /// Whatever the bytes, both ways through a value say the same.
    #[test]
    fn a_table_and_a_walk_agree_about_any_bytes() {
        let mut seed = 0x9e37_79b9_u32;
        let mut random = || {
            seed ^= seed << 13;
            seed ^= seed >> 17;
            seed ^= seed << 5;
            seed
        };
        let firsts = (0..=0xff_u8).map(|first| vec![first; 40]);
        let nested = (120..140).map(|depth| [vec![0x91; depth], vec![0x80]].concat());
        let wide = [vec![0xdc, 0x10, 0x00], [0x91, 0x90].repeat(0x1000)].concat();
        let mut found = 0;
        for data in firsts.chain(nested).chain([wide]) {
            for _ in 0..200 {
                let mut data = data.clone();
                for _ in 0..random() % 6 {
                    let at = random() as usize % data.len();
                    data[at] = random() as u8;
                }
                data.truncate(data.len().saturating_sub(random() as usize % 30));
                let walked = Reader::new(&data).skip_by_steps().map(<[u8]>::len);
                assert_eq!(value_len(&data), walked, "{data:02x?}");
                if let Some(length) = span(&data) {
                    assert_eq!(Ok(length), walked, "{data:02x?}");
                    found += 1;
                }
            }
        }
        assert!(found > 10_000, "{found}");
    }

    #[test]
    fn what_follows_a_value_is_not_looked_at() {
        assert_eq!(value_len(&[0x93, 0x91, 0x90, 0x80, 0xa0, 0xc1]), Ok(5));
        assert_eq!(map_len(&[0x80, 0xc1]), Ok(1));
    }

    #[test]
    fn a_failed_read_does_not_move_the_reader() {
        let mut reader = Reader::new(&[0x01, 0x92, 0x02]);
        reader.skip().unwrap();
        assert_eq!(reader.skip(), Err(MsgpackError::Truncated { at: 3 }));
        assert_eq!(reader.position(), 1);
    }

    #[test]
    fn entries_are_raw_pairs() {
        let map = b"\x82\xa1a\x92\x01\x02\x05\xc0rest";
        let all: Result<Vec<_>, _> = entries(map).unwrap().collect();
        assert_eq!(all.unwrap(), [(&b"\xa1a"[..], &b"\x92\x01\x02"[..]), (b"\x05", b"\xc0")]);
        assert_eq!(map_header(map), Ok((2, 1)));
    }

    #[test]
    fn entries_end_after_an_error() {
        let mut entries = entries(b"\x83\xa1a\x01\xa1b").unwrap();
        assert!(entries.next().unwrap().is_ok());
        assert_eq!(entries.next(), Some(Err(MsgpackError::Truncated { at: 6 })));
        assert_eq!(entries.next(), None);
    }

    #[test]
    fn elements_are_raw_values() {
        let array = b"\x93\x81\xa1a\x01\x80\x05rest";
        let mut all = elements(array).unwrap();
        assert_eq!(all.left(), 3);
        assert_eq!(all.next(), Some(Ok(&b"\x81\xa1a\x01"[..])));
        assert_eq!(all.by_ref().map(Result::unwrap).collect::<Vec<_>>(), [&b"\x80"[..], b"\x05"]);
        assert_eq!(all.position(), 7);
        assert_eq!(elements(&[0x80]).unwrap_err(), MsgpackError::NotAnArray { at: 0 });
        let mut cut_off = elements(b"\x93\x01\xa1").unwrap();
        assert_eq!(cut_off.next(), Some(Ok(&[1][..])));
        assert_eq!(cut_off.next(), Some(Err(MsgpackError::Truncated { at: 2 })));
        assert_eq!(cut_off.next(), None);
    }

    #[test]
    fn only_a_string_has_text() {
        assert_eq!(as_str(b"\xa2hi"), Some(&b"hi"[..]));
        assert_eq!(as_str(b"\xc4\x02hi"), None);
        assert_eq!(as_str(b"\xa2h"), None);
        assert_eq!(as_str(b""), None);
    }
}
