//! Values that a filter writes, as msgpack in its shortest form, straight into the scratch memory.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::{copy, copy_nonoverlapping};

use crate::value::{Text, Value};

/// Room that fills up. When there is no more, nothing more is written, and [`Writer::is_full`] says so.
pub struct Writer<'w> {
    at: *mut u8,
    end: *mut u8,
    full: bool,
    lives: PhantomData<&'w mut [u8]>,
}

/// What becomes a value of a record: texts, numbers, values of a record, and what [`text()`], [`map`], [`array`] and
/// [`binary`] make.
pub trait Encode: Sized {
    /// Appends it as one msgpack value.
    fn encode(self, to: &mut Writer<'_>);

    /// Where it lies as msgpack, and its bytes: in the room, unless it is in memory already.
    #[doc(hidden)]
    #[inline(always)]
    fn place(self, to: &mut Writer<'_>) -> (*const u8, u32) {
        let at = to.at;
        self.encode(to);
        (at, to.written(at) as u32)
    }
}

/// A value whose header tells how much there is.
#[derive(Clone, Copy)]
pub(crate) enum Shape {
    Text,
    Map,
    Array,
}

impl Shape {
    /// Bytes of the shortest header for that many bytes, entries or items.
    fn width(self, count: usize) -> usize {
        match (self, count) {
            (Shape::Text, ..32) | (_, ..16) => 1,
            (Shape::Text, ..0x100) => 2,
            (_, ..0x1_0000) => 3,
            _ => 5,
        }
    }
}

impl<'w> Writer<'w> {
    /// # Safety
    ///
    /// As many bytes are there, and nobody else uses them as long as `'w`.
    #[inline(always)]
    pub(crate) unsafe fn new(at: *mut u8, len: usize) -> Self {
        Self { at, end: at.wrapping_add(len), full: false, lives: PhantomData }
    }

    /// Bytes written since it was at this address.
    #[inline(always)]
    pub(crate) fn written(&self, since: *const u8) -> usize {
        self.at as usize - since as usize
    }

    pub(crate) fn address(&self) -> *mut u8 {
        self.at
    }

    /// Takes back what was written since it was at this address.
    pub(crate) fn back_to(&mut self, at: *mut u8) {
        self.at = at;
        self.full = false;
    }

    /// Says that something did not fit, here or elsewhere.
    #[inline(always)]
    pub(crate) fn overflow(&mut self) {
        self.full = true;
    }

    /// Whether something did not fit.
    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.full
    }

    #[inline(always)]
    fn has_room(&mut self, len: usize) -> bool {
        let has = len <= self.end as usize - self.at as usize;
        self.full |= !has;
        has
    }

    #[inline(always)]
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        if self.has_room(bytes.len()) {
            // SAFETY: the room is there, and is nobody else's.
            unsafe { copy_nonoverlapping(bytes.as_ptr(), self.at, bytes.len()) };
            self.at = self.at.wrapping_add(bytes.len());
        }
    }

    /// A header in its shortest form.
    #[inline(always)]
    fn header(&mut self, of: Shape, count: usize) {
        let (fixed, long) = match of {
            Shape::Text => (0xa0, 0xda),
            Shape::Map => (0x80, 0xde),
            Shape::Array => (0x90, 0xdc),
        };
        let [.., second, first] = (count as u32).to_be_bytes();
        match of.width(count) {
            1 => self.put(&[fixed | first]),
            2 => self.put(&[0xd9, first]),
            3 => self.put(&[long, second, first]),
            _ => {
                self.put(&[long + 1]);
                self.put(&(count as u32).to_be_bytes());
            }
        }
    }

    #[inline(always)]
    fn text(&mut self, text: &[u8]) {
        self.header(Shape::Text, text.len());
        self.put(text);
    }

    /// Bytes whose number nobody knows before.
    #[inline(never)]
    pub(crate) fn put_some(&mut self, bytes: &[u8]) {
        self.put(bytes);
    }

    /// What `write` appends, with a header before it. It says how many there are, unless it is a text; `guess` is how many
    /// there may be.
    #[inline(always)]
    pub(crate) fn sized(
        &mut self,
        of: Shape,
        guess: usize,
        write: impl FnOnce(&mut Self) -> usize,
    ) {
        let (at, guessed) = (self.at, of.width(guess));
        if self.has_room(guessed) {
            self.at = at.wrapping_add(guessed);
            let count = write(self);
            self.close(of, at, guessed, count);
        }
    }

    /// Puts the header of what begins at `at`, for which so much room was left.
    #[inline(never)]
    fn close(&mut self, of: Shape, at: *mut u8, guessed: usize, count: usize) {
        let inside = at.wrapping_add(guessed);
        let len = self.written(inside);
        let count = if matches!(of, Shape::Text) { len } else { count };
        let width = of.width(count);
        if self.full || width > guessed && !self.has_room(width - guessed) {
            return;
        }
        if width != guessed {
            // SAFETY: both places are within the room that was asked for.
            unsafe { copy(inside, at.add(width), len) };
        }
        self.at = at;
        self.header(of, count);
        self.at = at.wrapping_add(width + len);
    }

    fn unsigned(&mut self, value: u64) {
        let [.., d, c, b, a] = value.to_be_bytes();
        match value {
            0..=0x7f => self.put(&[a]),
            0x80..=0xff => self.put(&[0xcc, a]),
            0x100..=0xffff => self.put(&[0xcd, b, a]),
            0x1_0000..=0xffff_ffff => self.put(&[0xce, d, c, b, a]),
            _ => self.long(0xcf, value),
        }
    }

    fn signed(&mut self, value: i64) {
        let [.., d, c, b, a] = value.to_be_bytes();
        match value {
            0.. => self.unsigned(value as u64),
            -0x20.. => self.put(&[a]),
            -0x80.. => self.put(&[0xd0, a]),
            -0x8000.. => self.put(&[0xd1, b, a]),
            -0x8000_0000.. => self.put(&[0xd2, d, c, b, a]),
            _ => self.long(0xd3, value as u64),
        }
    }

    fn long(&mut self, mark: u8, value: u64) {
        self.put(&[mark]);
        self.put(&value.to_be_bytes());
    }
}

/// Formatted text, as it is.
impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put_some(text.as_bytes());
        if self.full { Err(fmt::Error) } else { Ok(()) }
    }
}

impl Encode for &str {
    #[inline(always)]
    fn encode(self, to: &mut Writer<'_>) {
        to.text(self.as_bytes());
    }
}

impl Encode for Text<'_> {
    #[inline(always)]
    fn encode(self, to: &mut Writer<'_>) {
        to.text(self.0);
    }
}

impl Encode for bool {
    fn encode(self, to: &mut Writer<'_>) {
        to.put(&[if self { 0xc3 } else { 0xc2 }]);
    }
}

/// Nil.
impl Encode for () {
    fn encode(self, to: &mut Writer<'_>) {
        to.put(&[0xc0]);
    }
}

macro_rules! integers {
    ($method:ident: $($integer:ty)*) => {
        $(impl Encode for $integer {
            fn encode(self, to: &mut Writer<'_>) {
                to.$method(self.into());
            }
        })*
    };
}
integers!(signed: i8 i16 i32 i64);
integers!(unsigned: u8 u16 u32 u64);

impl Encode for usize {
    fn encode(self, to: &mut Writer<'_>) {
        to.unsigned(self as u64);
    }
}

impl Encode for f64 {
    fn encode(self, to: &mut Writer<'_>) {
        to.long(0xcb, self.to_bits());
    }
}

impl Encode for f32 {
    fn encode(self, to: &mut Writer<'_>) {
        to.put(&[0xca]);
        to.put(&self.to_bits().to_be_bytes());
    }
}

/// As it came, in the same form. One that is missing becomes nil.
impl Encode for Value<'_> {
    fn encode(self, to: &mut Writer<'_>) {
        if self.exists() { to.put(self.raw()) } else { ().encode(to) }
    }

    fn place(self, to: &mut Writer<'_>) -> (*const u8, u32) {
        if !self.exists() {
            return ().place(to);
        }
        let raw = self.raw();
        (raw.as_ptr(), raw.len() as u32)
    }
}

/// What it is, or nil.
impl<T: Encode> Encode for Option<T> {
    fn encode(self, to: &mut Writer<'_>) {
        match self {
            Some(value) => value.encode(to),
            None => ().encode(to),
        }
    }
}

/// What [`text()`] makes.
pub struct TextOf<F>(F);

/// A text that is written piece by piece.
///
/// ```
/// use core::fmt::Write;
/// use flb_filter::{Context, Record, Verdict, testing, text};
///
/// fn where_to(record: &mut Record, _: &Context) -> Verdict {
///     let (host, port) = (record.get("host").as_text(), record.get("port").as_i64());
///     if let (Some(host), Some(port)) = (host, port) {
///         record.set("to", text(|to| {
///             to.push(host);
///             to.push(":");
///             let _ = write!(to, "{port:04}");
///         }));
///     }
///     Verdict::Keep
/// }
///
/// let answer = testing::run(where_to, r#"{"host":"db","port":80}"#);
/// assert_eq!(answer, [r#"{"host":"db","port":80,"to":"db:0080"}"#]);
/// ```
pub fn text<F: FnOnce(&mut TextWriter<'_, '_>)>(write: F) -> TextOf<F> {
    TextOf(write)
}

impl<F: FnOnce(&mut TextWriter<'_, '_>)> Encode for TextOf<F> {
    #[inline(always)]
    fn encode(self, to: &mut Writer<'_>) {
        to.sized(Shape::Text, 0, |to| {
            (self.0)(&mut TextWriter(to));
            0
        });
    }
}

/// A text that is being written; `write!` works on it as well.
pub struct TextWriter<'t, 'w>(&'t mut Writer<'w>);

impl TextWriter<'_, '_> {
    /// Appends a text, or any bytes.
    pub fn push(&mut self, text: impl AsRef<[u8]>) {
        self.0.put_some(text.as_ref());
    }
}

impl AsRef<[u8]> for Text<'_> {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}

impl fmt::Write for TextWriter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(text)
    }
}

/// What [`map`] makes.
pub struct MapOf<F>(F);

/// A map.
///
/// ```
/// use flb_filter::{Context, Record, Verdict, array, map, testing};
///
/// fn wrap(record: &mut Record, ctx: &Context) -> Verdict {
///     let message = record.get("msg");
///     record.replace(map(|to| {
///         to.entry("tags", array(|to| to.item(ctx.tag())));
///         to.entry("message", message);
///     }));
///     Verdict::Keep
/// }
///
/// assert_eq!(testing::run(wrap, r#"{"msg":1.5}"#), [r#"{"tags":["test"],"message":1.5}"#]);
/// ```
pub fn map<F: FnOnce(&mut MapWriter<'_, '_>)>(write: F) -> MapOf<F> {
    MapOf(write)
}

impl<F: FnOnce(&mut MapWriter<'_, '_>)> Encode for MapOf<F> {
    fn encode(self, to: &mut Writer<'_>) {
        to.sized(Shape::Map, 0, |to| {
            let mut map = MapWriter { to, count: 0 };
            (self.0)(&mut map);
            map.count
        });
    }
}

/// A map that is being written.
pub struct MapWriter<'t, 'w> {
    to: &'t mut Writer<'w>,
    count: usize,
}

impl MapWriter<'_, '_> {
    /// Appends an entry; the key is mostly a text.
    pub fn entry(&mut self, key: impl Encode, value: impl Encode) {
        key.encode(self.to);
        value.encode(self.to);
        self.count += 1;
    }
}

/// What [`array`] makes.
pub struct ArrayOf<F>(F);

/// An array.
pub fn array<F: FnOnce(&mut ArrayWriter<'_, '_>)>(write: F) -> ArrayOf<F> {
    ArrayOf(write)
}

impl<F: FnOnce(&mut ArrayWriter<'_, '_>)> Encode for ArrayOf<F> {
    fn encode(self, to: &mut Writer<'_>) {
        to.sized(Shape::Array, 0, |to| {
            let mut array = ArrayWriter { to, count: 0 };
            (self.0)(&mut array);
            array.count
        });
    }
}

/// An array that is being written.
pub struct ArrayWriter<'t, 'w> {
    to: &'t mut Writer<'w>,
    count: usize,
}

impl ArrayWriter<'_, '_> {
    /// Appends a value.
    pub fn item(&mut self, value: impl Encode) {
        value.encode(self.to);
        self.count += 1;
    }
}

/// What [`binary`] makes.
pub struct Binary<'a>(&'a [u8]);

/// Bytes that are no text.
pub fn binary(bytes: &[u8]) -> Binary<'_> {
    Binary(bytes)
}

impl Encode for Binary<'_> {
    fn encode(self, to: &mut Writer<'_>) {
        let len = self.0.len();
        let [.., second, first] = (len as u32).to_be_bytes();
        match len {
            0..=0xff => to.put(&[0xc4, first]),
            0x100..=0xffff => to.put(&[0xc5, second, first]),
            _ => {
                to.put(&[0xc6]);
                to.put(&(len as u32).to_be_bytes());
            }
        }
        to.put(self.0);
    }
}

/// The JSON text of a value: see [`Record::json`](crate::Record::json).
#[derive(Clone, Copy)]
pub struct Json<'b>(pub(crate) &'b [u8]);

impl Encode for Json<'_> {
    #[inline(always)]
    fn encode(self, to: &mut Writer<'_>) {
        to.sized(Shape::Text, self.0.len(), |to| {
            self.print(to);
            0
        });
    }
}

impl Json<'_> {
    /// The text alone.
    #[inline(always)]
    pub(crate) fn print(self, to: &mut Writer<'_>) {
        let room = to.end as usize - to.at as usize;
        let Self(value) = self;
        // SAFETY: the value has as many bytes, and the room is there.
        let len = unsafe { crate::host::json(value.as_ptr(), value.len(), to.at, room) };
        if to.has_room(len) {
            to.at = to.at.wrapping_add(len);
        }
    }
}
