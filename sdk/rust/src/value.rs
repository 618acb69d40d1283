//! A value of a record, read where it lies. Nothing is copied, nothing is parsed before it is asked for.

use core::fmt;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::{null, read_unaligned};
use core::slice;

/// A value of a record, or none: what is not there equals nothing and has no members, so a path needs no questions on the way.
///
/// ```
/// use flb_filter::{Context, Record, Verdict, testing};
///
/// fn only_errors(record: &mut Record, _: &Context) -> Verdict {
///     let status = record.get("http").get("status").as_i64();
///     if status.is_some_and(|status| status >= 500) { Verdict::Keep } else { Verdict::Drop }
/// }
///
/// assert_eq!(testing::run(only_errors, r#"{"http":{"status":404}}"#), []);
/// assert_eq!(testing::run(only_errors, r#"{"http":"closed"}"#), []);
/// assert_eq!(testing::run(only_errors, r#"{"http":{"status":503}}"#), [r#"{"http":{"status":503}}"#]);
/// ```
#[derive(Clone, Copy)]
pub struct Value<'b> {
    at: *const u8,
    lives: PhantomData<&'b [u8]>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is not there.
    Missing,
    /// Nil, JSON's null.
    Nil,
    /// True or false.
    Bool,
    /// An integer, from the least i64 to the greatest u64.
    Int,
    /// A float of 32 or 64 bits.
    Float,
    /// Text.
    Text,
    /// Bytes that are no text.
    Binary,
    /// An extension: a number for its type, and bytes.
    Extension,
    /// A list of values.
    Array,
    /// Keys with values.
    Map,
}

/// A text of a record: bytes that ought to be UTF-8, but nobody has looked.
///
/// It equals a `str` of the same bytes. [`Text::to_str`] checks it, and dereferenced it is its bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text<'b>(pub(crate) &'b [u8]);

impl<'b> Text<'b> {
    /// The text, unless it is not UTF-8.
    pub fn to_str(self) -> Option<&'b str> {
        core::str::from_utf8(self.0).ok()
    }

    /// Its bytes.
    pub fn as_bytes(self) -> &'b [u8] {
        self.0
    }

    /// Where the byte stands first: eight at a time are looked at.
    ///
    /// ```
    /// use flb_filter::{Context, Record, Verdict, testing};
    ///
    /// fn only_addresses(record: &mut Record, _: &Context) -> Verdict {
    ///     let sign = record.get("mail").as_text().and_then(|mail| mail.find(b'@'));
    ///     if sign.is_some() { Verdict::Keep } else { Verdict::Drop }
    /// }
    ///
    /// assert_eq!(testing::run(only_addresses, r#"{"mail":"jane"}"#), []);
    /// ```
    #[inline(always)]
    pub fn find(self, wanted: u8) -> Option<usize> {
        const ONES: u64 = 0x0101_0101_0101_0101;
        let (words, rest) = self.0.as_chunks::<8>();
        for (index, word) in words.iter().enumerate() {
            let word = u64::from_le_bytes(*word) ^ (ONES * u64::from(wanted));
            let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
            if zeros != 0 {
                return Some(8 * index + zeros.trailing_zeros() as usize / 8);
            }
        }
        let at = rest.iter().position(|byte| *byte == wanted)?;
        Some(8 * words.len() + at)
    }
}

impl Deref for Text<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.0
    }
}

impl PartialEq<str> for Text<'_> {
    #[inline(always)]
    fn eq(&self, other: &str) -> bool {
        self.0.len() == other.len() && same(self.0.as_ptr(), other.as_ptr(), other.len())
    }
}

impl PartialEq<&str> for Text<'_> {
    #[inline(always)]
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Debug for Text<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_str() {
            Some(text) => fmt::Debug::fmt(text, to),
            None => write!(to, "text {:02x?}", self.0),
        }
    }
}

/// The first byte of a value that is there.
#[inline(always)]
pub(crate) fn first_byte(at: *const u8) -> u8 {
    byte(at)
}

/// What stands at the head of a value: its first byte, how long its header and its bytes are, and how many values follow.
pub(crate) struct Head {
    pub(crate) mark: u8,
    pub(crate) header: usize,
    pub(crate) bytes: usize,
    pub(crate) values: usize,
}

/// Bytes of the values whose first byte is from 0xc0 to 0xdf, where that byte says it all.
static LENGTHS: [u8; 32] = [
    1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 3, 4, 6, 10, 18, 0, 0, 0, 0, 0, 0,
    0,
];

#[inline(always)]
fn byte(at: *const u8) -> u8 {
    // SAFETY: private to this module, where every address is within a value that the host has checked.
    unsafe { *at }
}

#[inline(always)]
fn be16(at: *const u8) -> u16 {
    // SAFETY: as in `byte`.
    u16::from_be(unsafe { read_unaligned(at.cast()) })
}

#[inline(always)]
fn be32(at: *const u8) -> u32 {
    // SAFETY: as in `byte`.
    u32::from_be(unsafe { read_unaligned(at.cast()) })
}

#[inline(always)]
fn be64(at: *const u8) -> u64 {
    // SAFETY: as in `byte`.
    u64::from_be(unsafe { read_unaligned(at.cast()) })
}

#[inline(always)]
pub(crate) fn head(at: *const u8) -> Head {
    let mark = byte(at);
    let (bytes, values) = match mark {
        0x00..=0x7f | 0xe0..=0xff | 0xc0..=0xc3 => (0, 0),
        0xa0..=0xbf => (mark & 31, 0),
        0x80..=0x8f => (0, 2 * (mark & 15)),
        0x90..=0x9f => (0, mark & 15),
        _ => return long_head(at, mark),
    };
    Head { mark, header: 1, bytes: bytes.into(), values: values.into() }
}

#[inline(never)]
fn long_head(at: *const u8, mark: u8) -> Head {
    let rest = at.wrapping_add(1);
    let (header, bytes, values) = match mark {
        0xcc | 0xd0 => (1, 1, 0),
        0xcd | 0xd1 => (1, 2, 0),
        0xca | 0xce | 0xd2 => (1, 4, 0),
        0xcb | 0xcf | 0xd3 => (1, 8, 0),
        0xc4 | 0xd9 => (2, byte(rest).into(), 0),
        0xc5 | 0xda => (3, be16(rest).into(), 0),
        0xc6 | 0xdb => (5, be32(rest), 0),
        0xc7 => (3, byte(rest).into(), 0),
        0xc8 => (4, be16(rest).into(), 0),
        0xc9 => (6, be32(rest), 0),
        0xd4..=0xd8 => (2, 1 << (mark - 0xd4), 0),
        0xdc => (3, 0, be16(rest).into()),
        0xdd => (5, 0, be32(rest)),
        0xde => (3, 0, 2 * u32::from(be16(rest))),
        0xdf => (5, 0, be32(rest).wrapping_mul(2)),
        _ => (1, 0, 0),
    };
    Head { mark, header, bytes: bytes as usize, values: values as usize }
}

/// Where what follows the value begins.
#[inline(always)]
pub(crate) fn skip(at: *const u8) -> *const u8 {
    let mark = byte(at);
    if !(0x80..0xe0).contains(&mark) {
        return at.wrapping_add(1);
    }
    if mark & 0xe0 == 0xa0 {
        return at.wrapping_add(1 + usize::from(mark & 31));
    }
    let length = LENGTHS[usize::from(mark & 31)];
    if mark >= 0xc0 && length > 0 {
        return at.wrapping_add(length.into());
    }
    long_skip(at)
}

#[inline(never)]
fn long_skip(mut at: *const u8) -> *const u8 {
    let mut left = 1_usize;
    while left > 0 {
        let Head { header, bytes, values, .. } = head(at);
        at = at.wrapping_add(header + bytes);
        left = left - 1 + values;
    }
    at
}

/// Whether both have the same bytes: eight at a time, the last ones twice.
#[inline(always)]
fn same(a: *const u8, b: *const u8, len: usize) -> bool {
    // SAFETY: both have `len` bytes, and none behind them is read.
    let eight = |at: usize| unsafe {
        read_unaligned::<u64>(a.add(at).cast()) == read_unaligned::<u64>(b.add(at).cast())
    };
    // SAFETY: as above.
    let four = |at: usize| unsafe {
        read_unaligned::<u32>(a.add(at).cast()) == read_unaligned::<u32>(b.add(at).cast())
    };
    if len >= 8 {
        (0..len - 8).step_by(8).all(eight) && eight(len - 8)
    } else if len >= 4 {
        four(0) && four(len - 4)
    } else {
        (0..len).all(|at| byte(a.wrapping_add(at)) == byte(b.wrapping_add(at)))
    }
}

impl<'b> Value<'b> {
    /// The value that is not there.
    pub const MISSING: Self = Self { at: null(), lives: PhantomData };

    /// The value at this address.
    ///
    /// # Safety
    ///
    /// A whole msgpack value lies there as long as `'b`, or the address is 0.
    #[inline(always)]
    pub(crate) unsafe fn at(at: *const u8) -> Self {
        Self { at, lives: PhantomData }
    }

    pub(crate) fn address(self) -> *const u8 {
        self.at
    }

    /// What follows the header.
    fn bytes(self, head: &Head) -> &'b [u8] {
        // SAFETY: the value is whole, so its bytes are there.
        unsafe { slice::from_raw_parts(self.at.add(head.header), head.bytes) }
    }

    fn head(self) -> Option<Head> {
        if self.at.is_null() { None } else { Some(head(self.at)) }
    }

    /// Whether it is there.
    pub fn exists(self) -> bool {
        !self.at.is_null()
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        let Some(head) = self.head() else { return Kind::Missing };
        match head.mark {
            0xc0 | 0xc1 => Kind::Nil,
            0xc2 | 0xc3 => Kind::Bool,
            0x00..=0x7f | 0xcc..=0xd3 | 0xe0..=0xff => Kind::Int,
            0xca | 0xcb => Kind::Float,
            0xa0..=0xbf | 0xd9..=0xdb => Kind::Text,
            0xc4..=0xc6 => Kind::Binary,
            0xc7..=0xc9 | 0xd4..=0xd8 => Kind::Extension,
            0x90..=0x9f | 0xdc | 0xdd => Kind::Array,
            0x80..=0x8f | 0xde | 0xdf => Kind::Map,
        }
    }

    /// True or false.
    pub fn as_bool(self) -> Option<bool> {
        match self.head()?.mark {
            0xc2 => Some(false),
            0xc3 => Some(true),
            _ => None,
        }
    }

    /// An integer that fits.
    #[inline(always)]
    pub fn as_i64(self) -> Option<i64> {
        if self.at.is_null() {
            return None;
        }
        let rest = self.at.wrapping_add(1);
        Some(match byte(self.at) {
            mark @ (0x00..=0x7f | 0xe0..=0xff) => (mark as i8).into(),
            0xcc => byte(rest).into(),
            0xcd => be16(rest).into(),
            0xce => be32(rest).into(),
            0xcf => be64(rest).try_into().ok()?,
            0xd0 => (byte(rest) as i8).into(),
            0xd1 => (be16(rest) as i16).into(),
            0xd2 => (be32(rest) as i32).into(),
            0xd3 => be64(rest) as i64,
            _ => return None,
        })
    }

    /// An integer that is not negative.
    pub fn as_u64(self) -> Option<u64> {
        match self.head()?.mark {
            0xcf => Some(be64(self.at.wrapping_add(1))),
            _ => self.as_i64()?.try_into().ok(),
        }
    }

    /// A float, or an integer as one: above 2^53 the nearest.
    pub fn as_f64(self) -> Option<f64> {
        let rest = self.at.wrapping_add(1);
        match self.head()?.mark {
            0xca => Some(f32::from_bits(be32(rest)).into()),
            0xcb => Some(f64::from_bits(be64(rest))),
            0xcf => Some(be64(rest) as f64),
            _ => Some(self.as_i64()? as f64),
        }
    }

    /// A text.
    #[inline(always)]
    pub fn as_text(self) -> Option<Text<'b>> {
        if self.at.is_null() {
            return None;
        }
        // Most are short.
        let mark = byte(self.at);
        let (header, bytes) = match mark {
            0xa0..=0xbf => (1, usize::from(mark & 31)),
            0xd9..=0xdb => {
                let head = long_head(self.at, mark);
                (head.header, head.bytes)
            }
            _ => return None,
        };
        Some(Text(self.bytes(&Head { mark, header, bytes, values: 0 })))
    }

    /// A text that is UTF-8.
    pub fn as_str(self) -> Option<&'b str> {
        self.as_text()?.to_str()
    }

    /// Bytes that are no text.
    pub fn as_binary(self) -> Option<&'b [u8]> {
        let head = self.head()?;
        matches!(head.mark, 0xc4..=0xc6).then(|| self.bytes(&head))
    }

    /// An extension's type and bytes.
    pub fn as_extension(self) -> Option<(i8, &'b [u8])> {
        let head = self.head()?;
        // The type is the last byte of the header.
        let is = matches!(head.mark, 0xc7..=0xc9 | 0xd4..=0xd8);
        is.then(|| (byte(self.at.wrapping_add(head.header - 1)) as i8, self.bytes(&head)))
    }

    /// The member of this name. Of several the last, which is the one that counts elsewhere, in JSON text for example.
    #[inline(always)]
    pub fn get(self, key: &str) -> Self {
        let mut found = Self::MISSING;
        for (name, value) in self.entries() {
            if name == *key {
                found = value;
            }
        }
        found
    }

    /// The first member of this name: less work where names stand early and come once.
    #[inline(always)]
    pub fn first(self, key: &str) -> Self {
        self.entries().find(|(name, _)| *name == *key).map_or(Self::MISSING, |(_, value)| value)
    }

    /// The members of these names, found in one walk; of several of a name the last.
    #[inline(always)]
    pub fn get_all<const N: usize>(self, keys: [&str; N]) -> [Self; N] {
        let mut found = [Self::MISSING; N];
        for (name, value) in self.entries() {
            let Some(name) = name.as_text() else { continue };
            for (key, found) in keys.iter().zip(&mut found) {
                if name == **key {
                    *found = value;
                }
            }
        }
        found
    }

    /// The member of a member: `at(["http", "path"])` is `get("http").get("path")`.
    #[inline(always)]
    pub fn path<const N: usize>(self, keys: [&str; N]) -> Self {
        keys.into_iter().fold(self, |value, key| value.get(key))
    }

    /// The keys of a map and their values, in their order.
    #[inline(always)]
    pub fn entries(self) -> Entries<'b> {
        let (left, at) = match self.at.is_null() {
            true => (0, self.at),
            false => match byte(self.at) {
                mark @ 0x80..=0x8f => (u32::from(mark & 15), self.at.wrapping_add(1)),
                0xde => (be16(self.at.wrapping_add(1)).into(), self.at.wrapping_add(3)),
                0xdf => (be32(self.at.wrapping_add(1)), self.at.wrapping_add(5)),
                _ => (0, self.at),
            },
        };
        Entries { left, at, lives: PhantomData }
    }

    /// The values of an array.
    pub fn items(self) -> Items<'b> {
        let (left, at) = match self.head() {
            Some(Head { mark: 0x90..=0x9f | 0xdc | 0xdd, header, values, .. }) => {
                (values, self.at.wrapping_add(header))
            }
            _ => (0, self.at),
        };
        Items { left, at, lives: PhantomData }
    }

    /// Entries of a map, or values of an array; else 0.
    pub fn len(self) -> usize {
        match self.kind() {
            Kind::Map => self.entries().left as usize,
            _ => self.items().left,
        }
    }

    /// Whether it is no map or array, or one with nothing in it.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Its msgpack; nothing if it is missing.
    pub fn raw(self) -> &'b [u8] {
        if self.at.is_null() {
            return &[];
        }
        // SAFETY: the value is whole, and this is its end.
        unsafe { slice::from_raw_parts(self.at, skip(self.at) as usize - self.at as usize) }
    }
}

/// Equal to the text of the same bytes.
impl PartialEq<str> for Value<'_> {
    #[inline(always)]
    fn eq(&self, other: &str) -> bool {
        self.as_text().is_some_and(|text| text == *other)
    }
}

impl PartialEq<&str> for Value<'_> {
    #[inline(always)]
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

/// Equal to the integer, in whatever form.
impl PartialEq<i64> for Value<'_> {
    #[inline(always)]
    fn eq(&self, other: &i64) -> bool {
        self.as_i64() == Some(*other)
    }
}

impl PartialEq<bool> for Value<'_> {
    fn eq(&self, other: &bool) -> bool {
        self.as_bool() == Some(*other)
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Kind::Missing => to.write_str("missing"),
            Kind::Nil => to.write_str("nil"),
            Kind::Bool => fmt::Debug::fmt(&self.as_bool().unwrap_or_default(), to),
            Kind::Int => match self.as_i64() {
                Some(number) => fmt::Debug::fmt(&number, to),
                None => fmt::Debug::fmt(&self.as_u64().unwrap_or_default(), to),
            },
            Kind::Float => fmt::Debug::fmt(&self.as_f64().unwrap_or_default(), to),
            Kind::Text => fmt::Debug::fmt(&self.as_text().unwrap_or(Text(&[])), to),
            Kind::Binary => write!(to, "binary {:02x?}", self.as_binary().unwrap_or_default()),
            Kind::Extension => {
                let (of, bytes) = self.as_extension().unwrap_or_default();
                write!(to, "extension {of} {bytes:02x?}")
            }
            Kind::Array => to.debug_list().entries(self.items()).finish(),
            Kind::Map => to.debug_map().entries(self.entries()).finish(),
        }
    }
}

/// The entries of a map that are still to come.
#[derive(Clone)]
pub struct Entries<'b> {
    left: u32,
    at: *const u8,
    lives: PhantomData<&'b [u8]>,
}

impl<'b> Iterator for Entries<'b> {
    type Item = (Value<'b>, Value<'b>);

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let value = skip(self.at);
        // SAFETY: a whole map has a key and a value for each of its entries.
        let entry = unsafe { (Value::at(self.at), Value::at(value)) };
        self.at = skip(value);
        Some(entry)
    }
}

/// The values of an array that are still to come.
#[derive(Clone)]
pub struct Items<'b> {
    left: usize,
    at: *const u8,
    lives: PhantomData<&'b [u8]>,
}

impl<'b> Iterator for Items<'b> {
    type Item = Value<'b>;

    fn next(&mut self) -> Option<Value<'b>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        // SAFETY: a whole array has as many values as it says.
        let value = unsafe { Value::at(self.at) };
        self.at = skip(self.at);
        Some(value)
    }
}
