//! The Rust SDK against the host: it reads a record as the view does, and makes natively of edits what [`edit::apply`] makes of them.

use std::collections::BTreeMap;

use flb_event::edit::{self, Edit};
use flb_event::msgpack::{self, Reader, Value};
use flb_filter::testing::Host;
use flb_filter::{Encode, Kind, Record, Time, Value as Ours, Verdict, Walk, Writer, array, map};

/// Keys of edits: those of the corpus and the properties, and one that is nowhere.
const KEYS: [&str; 6] = ["a", "b", "c", "aa", "", "elsewhere"];
/// New values: as the host is given them, and the SDK writes them.
const NEW: [&[u8]; 4] = [b"\x07", b"\xa3new", b"\xc0", b"\x81\xa1x\x91\xc3"];

/// Edits, four bytes each, behind a byte with their number; then a record's body. Bytes that are no map do not come to a filter.
pub(crate) fn check_sdk(data: &[u8]) {
    let Some((&count, rest)) = data.split_first() else { return };
    let Some((edits, body)) = rest.split_at_checked(4 * usize::from(count)) else { return };
    if msgpack::map_len(body) != Ok(body.len()) {
        return;
    }
    check_read(body);
    check_edited(edits.as_chunks().0, body);
}

fn check_read(body: &[u8]) {
    let read = |record: &mut Record<'_>, _: &flb_filter::Context<'_>| {
        assert_alike(record.body(), &mut Reader::new(body));
        assert_eq!(record.body().raw(), body);
        for key in KEYS {
            let named = || record.body().entries().filter(|(name, _)| name == key);
            let [first, last] = [named().next(), named().last()]
                .map(|entry| entry.map_or(Ours::MISSING, |(_, value)| value).raw());
            assert_eq!([record.body().first(key).raw(), record.get(key).raw()], [first, last]);
        }
        Verdict::Keep
    };
    let answer = Host::new().msgpack(read, body);
    assert!(answer.records().iter().map(|made| &made.msgpack).eq([body]), "{answer:?}");
}

/// The value is the next one of the reader's.
fn assert_alike(ours: Ours<'_>, reader: &mut Reader<'_>) {
    let theirs = reader.next().unwrap();
    let is_alike = match theirs {
        Value::Nil => ours.kind() == Kind::Nil,
        Value::Bool(value) => ours.as_bool() == Some(value),
        Value::Uint(value) => {
            ours.as_u64() == Some(value) && ours.as_i64() == i64::try_from(value).ok()
        }
        Value::Int(value) => ours.as_i64() == Some(value) && ours.as_u64().is_none(),
        Value::Float(value) => ours.as_f64().is_some_and(|ours| {
            ours.to_bits() == value.to_bits() || ours.is_nan() && value.is_nan()
        }),
        Value::Str(text) => ours.as_text().is_some_and(|ours| ours.as_bytes() == text),
        Value::Bin(bytes) => ours.as_binary() == Some(bytes),
        Value::Ext(kind, bytes) => ours.as_extension() == Some((kind, bytes)),
        Value::Array(len) => ours.kind() == Kind::Array && ours.len() == len as usize,
        Value::Map(len) => ours.kind() == Kind::Map && ours.len() == len as usize,
    };
    assert!(is_alike, "{ours:?} is {theirs:?}");
    ours.items().for_each(|item| assert_alike(item, reader));
    for (key, value) in ours.entries() {
        assert_alike(key, reader);
        assert_alike(value, reader);
    }
}

/// What four bytes ask for: what to do, to which key, with which value, at which place.
#[derive(Clone, Copy)]
struct Asked<'b> {
    what: u8,
    key: &'static str,
    /// Of [`KEYS`], for a rename.
    to: &'static str,
    value: New<'b>,
    /// The value that a put replaces.
    old: Ours<'b>,
}

/// One of [`NEW`], or a value of the record.
#[derive(Clone, Copy)]
enum New<'b> {
    Made(usize),
    Copied(Ours<'b>),
}

impl<'b> New<'b> {
    fn raw(self) -> &'b [u8] {
        match self {
            New::Made(index) => NEW[index],
            New::Copied(value) => value.raw(),
        }
    }
}

impl Encode for New<'_> {
    fn encode(self, to: &mut Writer<'_>) {
        match self {
            New::Made(0) => 7.encode(to),
            New::Made(1) => "new".encode(to),
            New::Made(2) => ().encode(to),
            New::Made(_) => map(|to| to.entry("x", array(|to| to.item(true)))).encode(to),
            New::Copied(value) => value.encode(to),
        }
    }
}

impl<'b> Asked<'b> {
    /// `places` are the record's keys and values.
    fn read([what, key, value, place]: [u8; 4], places: &[Ours<'b>]) -> Self {
        let named = |index: u8| KEYS[usize::from(index) % KEYS.len()];
        let old = places[usize::from(place) % places.len()];
        let value = usize::from(value) % (NEW.len() + 1);
        let new = if value < NEW.len() { New::Made(value) } else { New::Copied(old) };
        let target = places[usize::from(key) % places.len()];
        Self { what: what % 16, key: named(key), to: named(place), value: new, old: target }
    }

    fn ask(self, record: &mut Record<'b>) {
        match self.what {
            0..=2 => record.set(self.key, self.value),
            3..=5 => record.append(self.key, self.value),
            6..=8 => record.delete(self.key),
            9..=10 => record.rename(self.key, self.to),
            11..=13 => record.put(self.old, self.value),
            14 => record.set_time(Time { sec: 1, nsec: 2 }),
            _ => record.replace(self.value),
        }
    }

    /// The host's edit, but for one of the time. The body begins at this address.
    fn edit(self, body: usize) -> Option<Edit<'b>> {
        let (key, value) = (self.key.as_bytes(), self.value.raw());
        Some(match self.what {
            0..=2 => Edit::Set { key, value },
            3..=5 => Edit::Append { key, value },
            6..=8 => Edit::Delete { key },
            9..=10 => Edit::Rename { key, to: self.to.as_bytes() },
            11..=13 => Edit::Put { at: self.old.raw().as_ptr().addr() - body, value },
            14 => return None,
            _ => Edit::All { map: value },
        })
    }
}

fn check_edited(edits: &[[u8; 4]], body: &[u8]) {
    let expected = std::cell::RefCell::new(None);
    let filter = |record: &mut Record<'_>, _: &flb_filter::Context<'_>| {
        let places = places(record);
        let asked: Vec<_> = edits.iter().map(|edit| Asked::read(*edit, &places)).collect();
        asked.iter().for_each(|asked| asked.ask(record));
        *expected.borrow_mut() = Some(made(&asked, record.body().raw()));
        Verdict::Keep
    };
    let answer = Host::new().msgpack(filter, body);
    let ours = match answer.failure() {
        None => Some(answer.records()[0].msgpack.clone()),
        Some(why) => {
            assert!(why.starts_with("bad output"), "{why}");
            None
        }
    };
    let theirs = expected.into_inner().unwrap();
    assert_eq!(ours, theirs, "{edits:?} {body:02x?}: {:?}", answer.failure());
}

/// The body and all keys and values in it.
fn places<'b>(record: &mut Record<'b>) -> Vec<Ours<'b>> {
    let mut places = vec![record.body()];
    record.walk(|_, key, value| {
        places.extend([key, value].into_iter().filter(|place| place.exists()));
        Walk::Into
    });
    places
}

/// What the host makes of them; the SDK puts puts in order, of several at one place the last.
fn made(asked: &[Asked<'_>], body: &[u8]) -> Option<Vec<u8>> {
    let (mut edits, mut puts) = (Vec::new(), BTreeMap::new());
    for edit in asked.iter().filter_map(|asked| asked.edit(body.as_ptr().addr())) {
        match edit {
            Edit::Put { at, .. } => _ = puts.insert(at, edit),
            _ => edits.push(edit),
        }
    }
    edits.extend(puts.into_values());
    if edits.is_empty() {
        return Some(body.to_vec());
    }
    let mut out = Vec::new();
    edit::apply(body, &edits, &mut out).ok().map(|()| out)
}
