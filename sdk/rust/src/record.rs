//! The record in hand: what it says, and what is to become of it.

use core::fmt;
use core::marker::PhantomData;
use core::ptr::{copy, null};

use crate::abi::{self, Rec, verdict};
use crate::time::Time;
use crate::value::{Value, first_byte, head, skip};
use crate::write::{Encode, Json, Writer};

/// What becomes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It goes on, with what was edited; or in parts, if it was split.
    Keep,
    /// It ends here.
    Drop,
    /// It is a failure, for the reason that [`Record::fail`] was given.
    Fail,
}

/// An edit, as the ABI has it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Edit {
    /// The kind, and above its 8 bits the key's length.
    pub(crate) kind: u32,
    /// The key, or a number in its place.
    pub(crate) key: *const u8,
    pub(crate) value: *const u8,
    pub(crate) len: u32,
}

/// What an edit does.
pub(crate) mod kind {
    pub(crate) const SET: u32 = 0;
    pub(crate) const APPEND: u32 = 1;
    pub(crate) const DELETE: u32 = 2;
    pub(crate) const RENAME: u32 = 3;
    pub(crate) const PUT: u32 = 4;
    pub(crate) const ALL: u32 = 5;
    pub(crate) const TIME: u32 = 6;
    pub(crate) const TAG: u32 = 7;
    /// The edit is one of the metadata.
    pub(crate) const METADATA: u32 = 0x80;
}

/// A record that came of one, as the ABI has it.
#[repr(C)]
pub(crate) struct RawPart {
    pub(crate) sec: u32,
    pub(crate) nsec: u32,
    pub(crate) meta: *const u8,
    pub(crate) meta_len: u32,
    pub(crate) body: *const u8,
    pub(crate) body_len: u32,
    pub(crate) tag: *const u8,
    pub(crate) tag_len: u32,
}

/// Room for the answers to a batch: what is written from its front, lists of edits and parts in its last quarter.
pub(crate) struct Answer<'b> {
    writer: Writer<'b>,
    /// Where the next edit goes, and where the last quarter ends.
    list: *mut u8,
    end: *mut u8,
}

impl Answer<'_> {
    /// # Safety
    ///
    /// As many bytes are there, and nobody else uses them.
    pub(crate) unsafe fn within(room: *mut u8, len: usize) -> Self {
        let front = (len / 4 * 3) & !15;
        let list = room.wrapping_add(front);
        // SAFETY: the front is a part of the room.
        Self { writer: unsafe { Writer::new(room, front) }, list, end: room.wrapping_add(len) }
    }
}

/// A record: its members to be read, and what is to become of them to be said.
///
/// Everything that is read is as the record **came**: edits change what leaves, not what is read. Of keys that come twice the last
/// one is read; edits take all of a name.
///
/// ```
/// use flb_filter::{Context, Record, Verdict, testing};
///
/// fn shop(record: &mut Record, ctx: &Context) -> Verdict {
///     if record.get("level") == "debug" {
///         return Verdict::Drop;
///     }
///     record.set("tag", ctx.tag());
///     record.rename("svc", "service");
///     record.delete("id");
///     record.put(record.get("http").get("path"), "/");
///     Verdict::Keep
/// }
///
/// assert_eq!(testing::run(shop, r#"{"level":"debug"}"#), []);
/// assert_eq!(
///     testing::run(shop, r#"{"svc":"shop","id":5,"http":{"path":"/cart?user=5","status":200}}"#),
///     [r#"{"service":"shop","http":{"path":"/","status":200},"tag":"test"}"#],
/// );
/// ```
pub struct Record<'b> {
    rec: *mut Rec,
    answer: Answer<'b>,
    /// Where this record's edits or parts begin, and how many parts there are if it was split.
    first: *mut u8,
    text: *mut u8,
    parts: Option<u32>,
    reason: (*const u8, u32),
}

impl<'b> Record<'b> {
    pub(crate) fn new(rec: *mut Rec, answer: Answer<'b>) -> Self {
        let (first, text) = (answer.list, answer.writer.address());
        Self { rec, answer, first, text, parts: None, reason: (null(), 0) }
    }

    /// Takes the next record in hand.
    #[inline(always)]
    pub(crate) fn begin(&mut self, rec: *mut Rec) {
        self.rec = rec;
        self.first = self.answer.list;
        self.text = self.answer.writer.address();
        self.parts = None;
    }

    /// Puts the verdict down; false if its answer does not fit.
    #[inline(always)]
    pub(crate) fn end(&mut self, verdict: Verdict) -> bool {
        let (number, at, len) = match verdict {
            Verdict::Drop => {
                self.answer.list = self.first;
                self.answer.writer.back_to(self.text);
                (verdict::DROP, null(), 0)
            }
            _ if self.answer.writer.is_full() => return false,
            Verdict::Fail => (verdict::FAIL, self.reason.0, self.reason.1),
            Verdict::Keep => match self.parts {
                Some(parts) => (verdict::SPLIT, self.first.cast_const(), parts),
                None if self.answer.list == self.first => return true,
                None => (verdict::EDIT, self.first.cast_const(), self.edits()),
            },
        };
        // SAFETY: the record of the batch in hand.
        unsafe { ((*self.rec).at, (*self.rec).len, (*self.rec).verdict) = (at, len, number) };
        true
    }

    /// Edits so far.
    #[inline(always)]
    fn edits(&self) -> u32 {
        ((self.answer.list as usize - self.first as usize) / size_of::<Edit>()) as u32
    }

    /// The whole body, a map.
    #[inline(always)]
    pub fn body(&self) -> Value<'b> {
        // SAFETY: the host has checked that a map lies there, and it stays as long as the batch.
        unsafe { Value::at((*self.rec).body) }
    }

    /// The metadata, a map, often an empty one.
    pub fn metadata(&self) -> Value<'b> {
        // SAFETY: as for the body.
        unsafe { Value::at((*self.rec).meta) }
    }

    /// When it happened.
    pub fn time(&self) -> Time {
        // SAFETY: the record of the batch in hand.
        unsafe { Time { sec: (*self.rec).sec, nsec: (*self.rec).nsec } }
    }

    /// The body's member of this name; of several the last. See [`Value::get`].
    #[inline(always)]
    pub fn get(&self, key: &str) -> Value<'b> {
        self.body().get(key)
    }

    /// The body's members of these names, found in one walk.
    #[inline(always)]
    pub fn get_all<const N: usize>(&self, keys: [&str; N]) -> [Value<'b>; N] {
        self.body().get_all(keys)
    }

    /// The body's JSON text, as a value to be written; the host prints it. Its form is that of `Event_Format json`.
    ///
    /// ```
    /// use flb_filter::{Context, Record, Verdict, testing};
    ///
    /// fn keep_original(record: &mut Record, _: &Context) -> Verdict {
    ///     record.append("original", record.json());
    ///     Verdict::Keep
    /// }
    ///
    /// assert_eq!(testing::run(keep_original, r#"{"a":1}"#), [r#"{"a":1,"original":"{\"a\":1}"}"#]);
    /// ```
    #[inline(always)]
    pub fn json(&self) -> Json<'b> {
        // SAFETY: the body lies there, as for `body`.
        Json(unsafe {
            let (body, end) = ((*self.rec).body, (*self.rec).end);
            abi::bytes(body, (end as usize - body as usize) as u32)
        })
    }

    /// The body's JSON text itself, in the scratch memory: to be hashed, or searched. Empty where there is too little room, which is
    /// noticed when the record ends.
    ///
    /// ```
    /// use flb_filter::{Context, Record, Verdict, testing};
    ///
    /// fn only_short(record: &mut Record, _: &Context) -> Verdict {
    ///     if record.json_text().len() < 10 { Verdict::Keep } else { Verdict::Drop }
    /// }
    ///
    /// assert_eq!(testing::run(only_short, r#"{"a":1}"#), [r#"{"a":1}"#]);
    /// assert_eq!(testing::run(only_short, r#"{"a":1,"b":2}"#), []);
    /// ```
    pub fn json_text(&mut self) -> &'b [u8] {
        let at = self.answer.writer.address();
        self.json().print(&mut self.answer.writer);
        // SAFETY: it was written just now, and stays as long as the batch.
        unsafe { abi::bytes(at, self.answer.writer.written(at) as u32) }
    }

    #[inline(always)]
    fn edit(&mut self, kind: u32, key: *const u8, key_len: usize, (value, len): (*const u8, u32)) {
        let edit = Edit { kind: kind | (key_len as u32) << 8, key, value, len };
        if let Some(to) = self.list::<Edit>() {
            // SAFETY: room for one more was asked for.
            unsafe { *to = edit };
        }
    }

    /// Room for one more of the list.
    #[inline(always)]
    fn list<T>(&mut self) -> Option<*mut T> {
        let Answer { writer, list, end } = &mut self.answer;
        let at = *list;
        if *end as usize - at as usize >= size_of::<T>() {
            *list = at.wrapping_add(size_of::<T>());
            return Some(at.cast());
        }
        writer.overflow();
        None
    }

    #[inline(always)]
    fn named(&mut self, kind: u32, key: &'b str, value: impl Encode) {
        let value = value.place(&mut self.answer.writer);
        self.edit(kind, key.as_ptr(), key.len(), value);
    }

    /// Sets a member: every one of this name gets the value in its place; if there is none, a new one is added behind the others.
    #[inline(always)]
    pub fn set(&mut self, key: &'b str, value: impl Encode) {
        self.named(kind::SET, key, value);
    }

    /// Adds a member behind the others, without looking whether there is one of this name: the cheapest way to add.
    #[inline(always)]
    pub fn append(&mut self, key: &'b str, value: impl Encode) {
        self.named(kind::APPEND, key, value);
    }

    /// Takes every member of this name away.
    #[inline(always)]
    pub fn delete(&mut self, key: &'b str) {
        self.edit(kind::DELETE, key.as_ptr(), key.len(), (null(), 0));
    }

    /// Gives every member of this name another one.
    #[inline(always)]
    pub fn rename(&mut self, key: &'b str, new: &'b str) {
        let new = (new.as_ptr(), new.len() as u32);
        self.edit(kind::RENAME, key.as_ptr(), key.len(), new);
    }

    /// Puts another value in the place of one of the record's, at any depth, in its body or its metadata. Where there is none
    /// nothing happens.
    ///
    /// A value may be replaced alone or with the one that it is in, but not both.
    #[inline(always)]
    pub fn put(&mut self, old: Value<'b>, value: impl Encode) {
        if !old.exists() {
            return;
        }
        // SAFETY: the record of the batch in hand.
        let (meta, body) = unsafe { ((*self.rec).meta, (*self.rec).body) };
        let (kind, map) = match old.address() < body {
            true => (kind::PUT | kind::METADATA, meta),
            false => (kind::PUT, body),
        };
        let place = old.address() as usize - map as usize;
        let value = value.place(&mut self.answer.writer);
        self.edit(kind, place as *const u8, 0, value);
        if self.edits() > 1 {
            self.sort_put();
        }
    }

    /// The ABI wants puts in the order in which the values stand, and one for each; so the last one is moved to where it belongs.
    #[inline(never)]
    fn sort_put(&mut self) {
        let len = self.edits() as usize;
        let first: *mut Edit = self.first.cast();
        if self.answer.writer.is_full() {
            return;
        }
        // SAFETY: the list of this record's edits has so many.
        unsafe {
            let last = *first.add(len - 1);
            let mut to = len - 1;
            for index in (0..len - 1).rev().filter(|index| (*first.add(*index)).kind == last.kind) {
                let other = &mut *first.add(index);
                if other.key < last.key {
                    break;
                }
                if other.key == last.key {
                    *other = last;
                    self.answer.list = self.answer.list.wrapping_sub(size_of::<Edit>());
                    return;
                }
                to = index;
            }
            copy(first.add(to), first.add(to + 1), len - 1 - to);
            *first.add(to) = last;
        }
    }

    /// Puts a map in the place of the whole body: mostly one that [`map`](crate::map) makes. Other edits of the body cannot stand beside it.
    pub fn replace(&mut self, body: impl Encode) {
        let body = body.place(&mut self.answer.writer);
        self.edit(kind::ALL, null(), 0, body);
    }

    /// Gives it another time.
    pub fn set_time(&mut self, time: Time) {
        self.edit(
            kind::TIME,
            time.sec as usize as *const u8,
            0,
            (time.nsec as usize as *const u8, 0),
        );
    }

    /// Lets it go on under another tag: it passes the filters that match that, and then the outputs.
    pub fn set_tag(&mut self, tag: impl AsRef<[u8]>) {
        let at = self.answer.writer.address();
        self.answer.writer.put(tag.as_ref());
        let len = self.answer.writer.written(at) as u32;
        self.edit(kind::TAG, null(), 0, (at, len));
    }

    /// The metadata, to be edited.
    pub fn metadata_mut(&mut self) -> Metadata<'_, 'b> {
        Metadata { record: self }
    }

    /// Makes it a failure, for this reason: `return record.fail(format_args!("no user"))`. The filter's `On_Error` says what
    /// becomes of it.
    ///
    /// ```
    /// use flb_filter::{Context, Record, Verdict, testing};
    ///
    /// fn strict(record: &mut Record, ctx: &Context) -> Verdict {
    ///     if !record.get("user").exists() {
    ///         return record.fail(format_args!("no user in {}", ctx.tag()));
    ///     }
    ///     Verdict::Keep
    /// }
    ///
    /// assert_eq!(testing::run(strict, r#"{"a":1}"#).failure(), Some("no user in test"));
    /// ```
    pub fn fail(&mut self, why: fmt::Arguments<'_>) -> Verdict {
        let at = self.answer.writer.address();
        match why.as_str() {
            Some(text) => self.answer.writer.put(text.as_bytes()),
            // What does not fit any more is noticed when the record ends.
            None => drop(fmt::write(&mut self.answer.writer, why)),
        }
        self.reason = (at, self.answer.writer.written(at) as u32);
        Verdict::Fail
    }

    /// Makes several records of this one, or none. They stand where it stood, in their order. Edits of the record are forgotten.
    ///
    /// ```
    /// use flb_filter::{Context, Record, Verdict, testing};
    ///
    /// fn each(record: &mut Record, _: &Context) -> Verdict {
    ///     let items = record.get("items").items();
    ///     record.split(|parts| {
    ///         for item in items {
    ///             parts.add().body(item).tag("item");
    ///         }
    ///     });
    ///     Verdict::Keep
    /// }
    ///
    /// assert_eq!(testing::run(each, r#"{"items":[{"a":1},{"b":2}]}"#), [r#"{"a":1}"#, r#"{"b":2}"#]);
    /// ```
    pub fn split(&mut self, write: impl FnOnce(&mut Parts<'_, 'b>)) {
        self.answer.list = self.first;
        self.parts = Some(0);
        write(&mut Parts { record: self });
    }

    /// Shows `visit` every value of the body, at any depth and in the order in which they stand, with the key that it stands
    /// under; what is in an array has none. `visit` says whether to go into the value.
    ///
    /// ```
    /// use flb_filter::{Context, Record, Verdict, Walk, testing};
    ///
    /// fn hide_tokens(record: &mut Record, _: &Context) -> Verdict {
    ///     record.walk(|record, key, value| {
    ///         if key != "token" {
    ///             return Walk::Into;
    ///         }
    ///         record.put(value, "***");
    ///         Walk::Past
    ///     });
    ///     Verdict::Keep
    /// }
    ///
    /// let answer = testing::run(hide_tokens, r#"{"calls":[{"token":"a"},{"token":{"b":1}}]}"#);
    /// assert_eq!(answer, [r#"{"calls":[{"token":"***"},{"token":"***"}]}"#]);
    /// ```
    #[inline(always)]
    pub fn walk(&mut self, mut visit: impl FnMut(&mut Self, Value<'b>, Value<'b>) -> Walk) {
        inside(self, self.body(), &mut visit);
    }
}

/// Whether a walk goes into the value that it has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// Into what is in it, if it is a map or an array.
    Into,
    /// Past it.
    Past,
}

/// Whether it is a map or an array.
#[inline(always)]
fn holds_values(value: Value<'_>) -> bool {
    matches!(first_byte(value.address()), 0x80..=0x9f | 0xdc..=0xdf)
}

/// Walks what is in the value, a map or an array, and says where it ends.
fn inside<'b>(
    record: &mut Record<'b>,
    value: Value<'b>,
    visit: &mut impl FnMut(&mut Record<'b>, Value<'b>, Value<'b>) -> Walk,
) -> *const u8 {
    let head = head(value.address());
    let is_map = matches!(head.mark, 0x80..=0x8f | 0xde | 0xdf);
    let mut at = value.address().wrapping_add(head.header + head.bytes);
    let (mut left, mut key) = (head.values, Value::MISSING);
    while left > 0 {
        left -= 1;
        // SAFETY: a whole map or array has as many values as it says.
        let value = unsafe { Value::at(at) };
        if is_map && left % 2 == 1 {
            (key, at) = (value, skip(at));
        } else if visit(record, key, value) == Walk::Into && holds_values(value) {
            at = inside(record, value, visit);
        } else {
            at = skip(at);
        }
    }
    at
}

/// The metadata of a record, to be edited as its body is.
pub struct Metadata<'r, 'b> {
    record: &'r mut Record<'b>,
}

impl<'b> Metadata<'_, 'b> {
    /// As [`Record::set`].
    pub fn set(&mut self, key: &'b str, value: impl Encode) {
        self.record.named(kind::SET | kind::METADATA, key, value);
    }

    /// As [`Record::append`].
    pub fn append(&mut self, key: &'b str, value: impl Encode) {
        self.record.named(kind::APPEND | kind::METADATA, key, value);
    }

    /// As [`Record::delete`].
    pub fn delete(&mut self, key: &'b str) {
        let kind = kind::DELETE | kind::METADATA;
        self.record.edit(kind, key.as_ptr(), key.len(), (null(), 0));
    }

    /// As [`Record::rename`].
    pub fn rename(&mut self, key: &'b str, new: &'b str) {
        let new = (new.as_ptr(), new.len() as u32);
        self.record.edit(kind::RENAME | kind::METADATA, key.as_ptr(), key.len(), new);
    }

    /// As [`Record::replace`].
    pub fn replace(&mut self, metadata: impl Encode) {
        let metadata = metadata.place(&mut self.record.answer.writer);
        self.record.edit(kind::ALL | kind::METADATA, null(), 0, metadata);
    }
}

/// The records that one becomes.
pub struct Parts<'r, 'b> {
    record: &'r mut Record<'b>,
}

impl<'b> Parts<'_, 'b> {
    /// One more, which is as the record came: say what it shall have of its own.
    pub fn add(&mut self) -> Part<'_, 'b> {
        let Time { sec, nsec } = self.record.time();
        let part = RawPart {
            sec,
            nsec,
            meta: null(),
            meta_len: 0,
            body: null(),
            body_len: 0,
            tag: null(),
            tag_len: 0,
        };
        let at = self.record.list::<RawPart>();
        if let Some(at) = at {
            // SAFETY: room for one more was asked for.
            unsafe { *at = part };
            self.record.parts = self.record.parts.map(|parts| parts + 1);
        }
        Part { writer: &mut self.record.answer.writer, part: at, lives: PhantomData }
    }
}

/// A record that comes of another one.
pub struct Part<'r, 'b> {
    writer: &'r mut Writer<'b>,
    /// None if there was no more room.
    part: Option<*mut RawPart>,
    lives: PhantomData<&'b ()>,
}

impl<'b> Part<'_, 'b> {
    fn with(self, change: impl FnOnce(&mut RawPart, &mut Writer<'b>)) -> Self {
        if let Some(part) = self.part {
            // SAFETY: it lies in the list, and only this borrows it.
            change(unsafe { &mut *part }, self.writer);
        }
        self
    }

    /// This body: a map of the record's, or one that [`map`](crate::map) makes.
    pub fn body(self, body: impl Encode) -> Self {
        self.with(|part, to| (part.body, part.body_len) = body.place(to))
    }

    /// This metadata, a map as well.
    pub fn metadata(self, metadata: impl Encode) -> Self {
        self.with(|part, to| (part.meta, part.meta_len) = metadata.place(to))
    }

    /// This time.
    pub fn time(self, time: Time) -> Self {
        self.with(|part, _| (part.sec, part.nsec) = (time.sec, time.nsec))
    }

    /// This tag.
    pub fn tag(self, tag: impl AsRef<[u8]>) -> Self {
        self.with(|part, to| {
            part.tag = to.address();
            to.put(tag.as_ref());
            part.tag_len = to.written(part.tag) as u32;
        })
    }
}
