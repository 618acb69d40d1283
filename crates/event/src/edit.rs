//! Changes of a map's entries, all at once: what no change names is copied as it is.

use crate::msgpack;

/// One change of a msgpack map. Keys are texts: they name the entries whose key is a string of these bytes, in whatever form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit<'a> {
    /// Gives every entry of this key this value, or else makes one behind the others.
    Set {
        /// The key's text.
        key: &'a [u8],
        /// One msgpack value.
        value: &'a [u8],
    },
    /// Makes an entry behind the others.
    Append {
        /// The key's text.
        key: &'a [u8],
        /// One msgpack value.
        value: &'a [u8],
    },
    /// Removes every entry of this key.
    Delete {
        /// The key's text.
        key: &'a [u8],
    },
    /// Gives every entry of this key another.
    Rename {
        /// The key's text.
        key: &'a [u8],
        /// The new key's.
        to: &'a [u8],
    },
    /// Puts a value in the place of another at any depth, a key or a value.
    Put {
        /// Where the old one begins, counted from the map's first byte.
        at: usize,
        /// One msgpack value.
        value: &'a [u8],
    },
    /// Puts a map in the place of the whole one. No other edit may stand beside it.
    All {
        /// One msgpack map.
        map: &'a [u8],
    },
}

/// Most edits of one map that name a key: each is compared with each key.
pub const MOST_NAMED: usize = 256;
/// Most bytes that a map may have after its edits.
pub const MOST_BYTES: usize = 64 << 20;

/// Why edits cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// What is to be edited is no msgpack map.
    #[error("what is to be edited is no msgpack map")]
    NotAMap,
    /// A value of an edit is not one msgpack value.
    #[error("the value of an edit is not one msgpack value")]
    BadValue,
    /// A map that is to stand for the whole one is none.
    #[error("what is to replace the map is not one msgpack map")]
    BadMap,
    /// A put where no value begins, or out of order, or where another edit takes the value away.
    #[error(
        "a put at byte {at}, where no value begins or another edit takes it away, or not in order"
    )]
    BadPlace {
        /// Where.
        at: usize,
    },
    /// There are other edits beside one of the whole map.
    #[error("there is another edit beside one of the whole map")]
    NotAlone,
    /// More than [`MOST_NAMED`] edits name a key.
    #[error("more than {MOST_NAMED} edits name a key")]
    TooMany,
    /// The map would have more than [`MOST_BYTES`], or more entries than a map can have.
    #[error("the edited map has more than {} MiB", MOST_BYTES >> 20)]
    TooLong,
    /// Containers would be nested too deep.
    #[error("the edited map nests more than {} deep", msgpack::MAX_DEPTH)]
    TooDeep,
}

/// Appends the map that becomes of `map`, one msgpack map, when all edits are made at once. After an error there may be anything
/// behind what `out` held.
///
/// Edits name what came, not what other edits bring. Of several sets, deletes and renames of one key the last counts, for all
/// entries of that key. New entries follow in the order of the edits. Puts are in ascending order.
pub fn apply(map: &[u8], edits: &[Edit<'_>], out: &mut Vec<u8>) -> Result<(), EditError> {
    if let [Edit::All { map }] = edits {
        if map.len() > MOST_BYTES {
            return Err(EditError::TooLong);
        }
        let is_map = msgpack::map_len(map) == Ok(map.len());
        out.extend_from_slice(if is_map { map } else { return Err(EditError::BadMap) });
        return Ok(());
    }
    let (entries, header) = msgpack::map_header(map).map_err(|_| EditError::NotAMap)?;
    if edits.is_empty() {
        out.extend_from_slice(map);
        return Ok(());
    }
    let plan = Plan::read(edits)?;
    let start = out.len();
    // As far as one can tell before the walk.
    out.reserve(map.len() + plan.size + 5);
    if plan.walks {
        // Each key is compared with each edit that names one: there are few of them, if perhaps many others.
        let named: Vec<Edit<'_>> = match edits.len() {
            0..=MOST_NAMED => Vec::new(),
            _ => edits.iter().filter(|edit| names(edit)).copied().collect(),
        };
        let named = if named.is_empty() { edits } else { &named };
        let (lengths, done) = (plan.lengths, Done::default());
        let mut walk = Walk { map, edits, named, lengths, from: 0, done, out, start };
        let left = walk.entries(header, entries)?;
        let left = walk.append(left)?;
        if left != entries {
            set_header(out, start, header, left);
        }
    } else {
        let count = u32::try_from(edits.len()).ok().and_then(|more| entries.checked_add(more));
        msgpack::write_map_header(out, count.ok_or(EditError::TooLong)?);
        out.extend_from_slice(&map[header..]);
        for edit in edits {
            if let Edit::Append { key, value } = edit {
                write_entry(out, key, value);
            }
        }
    }
    let made = &out[start..];
    if made.len() > MOST_BYTES {
        return Err(EditError::TooLong);
    }
    if plan.is_deep && msgpack::value_len(made) != Ok(made.len()) {
        return Err(EditError::TooDeep);
    }
    Ok(())
}

/// What one look at the edits tells.
#[derive(Default)]
struct Plan {
    /// Whether the entries have to be looked at.
    walks: bool,
    /// Whether a container comes in, so that the map may nest deeper than before.
    is_deep: bool,
    /// Bytes that come in, at least.
    size: usize,
    /// Which lengths of keys are named: bit n for n, the last one for all that are longer.
    lengths: u64,
}

impl Plan {
    fn read(edits: &[Edit<'_>]) -> Result<Self, EditError> {
        let (mut plan, mut named) = (Self::default(), 0);
        for edit in edits {
            let (key, value) = match *edit {
                Edit::Append { key, value } => (key, Some(value)),
                Edit::Set { key, value } => (key, Some(value)),
                Edit::Delete { key } => (key, None),
                Edit::Rename { key, to } => {
                    plan.size += to.len() + 5;
                    (key, None)
                }
                Edit::Put { value, .. } => (&[][..], Some(value)),
                Edit::All { .. } => return Err(EditError::NotAlone),
            };
            if let Some(value) = value {
                plan.add_value(value)?;
            }
            if !matches!(edit, Edit::Append { .. }) {
                plan.walks = true;
            }
            if names(edit) {
                plan.lengths |= length_bit(key);
                named += 1;
            }
            plan.size += key.len() + 5;
            if named > MOST_NAMED {
                return Err(EditError::TooMany);
            }
            if plan.size > MOST_BYTES {
                return Err(EditError::TooLong);
            }
        }
        Ok(plan)
    }

    #[inline]
    fn add_value(&mut self, value: &[u8]) -> Result<(), EditError> {
        // What is too long anyway is not looked at, however often it is given.
        if self.size + value.len() > MOST_BYTES {
            return Err(EditError::TooLong);
        }
        let is_one = msgpack::end(value, 0) == Some(value.len());
        if !is_one && msgpack::value_len(value) != Ok(value.len()) {
            return Err(EditError::BadValue);
        }
        self.is_deep |= matches!(value[0], 0x80..=0x9f | 0xdc..=0xdf);
        self.size += value.len();
        Ok(())
    }
}

/// Whether the edit is about entries of a key.
fn names(edit: &Edit<'_>) -> bool {
    named_key(edit).is_some()
}

#[inline]
fn named_key<'a>(edit: &Edit<'a>) -> Option<&'a [u8]> {
    match *edit {
        Edit::Set { key, .. } | Edit::Delete { key } | Edit::Rename { key, .. } => Some(key),
        Edit::Append { .. } | Edit::Put { .. } | Edit::All { .. } => None,
    }
}

#[inline]
fn length_bit(key: &[u8]) -> u64 {
    1 << key.len().min(63)
}

/// Which of the edits that name a key have found it.
#[derive(Default)]
struct Done([u64; MOST_NAMED / 64]);

impl Done {
    fn set(&mut self, index: usize) {
        self.0[index / 64] |= 1 << (index % 64);
    }

    fn has(&self, index: usize) -> bool {
        self.0[index / 64] >> (index % 64) & 1 == 1
    }
}

/// One way through the map, which copies what stays.
struct Walk<'a> {
    map: &'a [u8],
    edits: &'a [Edit<'a>],
    /// Those of them that name a key, and perhaps others.
    named: &'a [Edit<'a>],
    lengths: u64,
    /// Up to where the map is copied or left out.
    from: usize,
    done: Done,
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Walk<'a> {
    /// Goes through the entries behind the header; how many are left of them.
    fn entries(&mut self, header: usize, entries: u32) -> Result<u32, EditError> {
        let (mut end, mut left) = (header, entries);
        let mut puts = Puts::of(self.edits);
        for _ in 0..entries {
            let key = end;
            let (name, value) = self.key(key)?;
            end = self.end_of(value)?;
            match name.and_then(|name| self.find(name)) {
                None if puts.at >= end => continue,
                None => self.put(&mut puts, key, end)?,
                Some(Edit::Delete { .. }) => {
                    self.copy_to(key)?;
                    self.from = end;
                    left -= 1;
                }
                Some(Edit::Rename { to, .. }) => {
                    self.copy_to(key)?;
                    msgpack::write_str(self.out, to);
                    self.from = value;
                    self.put(&mut puts, value, end)?;
                }
                Some(Edit::Set { value: new, .. }) => {
                    self.put(&mut puts, key, value)?;
                    self.copy_to(value)?;
                    self.out.extend_from_slice(new);
                    self.from = end;
                }
                Some(_) => {}
            }
            // What is given to one key may come as often as the key does.
            if self.out.len() - self.start > MOST_BYTES {
                return Err(EditError::TooLong);
            }
        }
        self.copy_to(end)?;
        if puts.at == usize::MAX { Ok(left) } else { Err(EditError::BadPlace { at: puts.at }) }
    }

    #[inline(always)]
    fn end_of(&self, at: usize) -> Result<usize, EditError> {
        match msgpack::end(self.map, at) {
            Some(end) => Ok(end),
            None => self.end_by_steps(at),
        }
    }

    #[cold]
    fn end_by_steps(&self, at: usize) -> Result<usize, EditError> {
        let rest = self.map.get(at..).ok_or(EditError::NotAMap)?;
        msgpack::value_len(rest).map(|length| at + length).map_err(|_| EditError::NotAMap)
    }

    #[inline]
    fn copy_to(&mut self, at: usize) -> Result<(), EditError> {
        self.out.extend_from_slice(self.map.get(self.from..at).ok_or(EditError::NotAMap)?);
        self.from = at;
        Ok(())
    }

    /// The key there, if it is a string, and where its value begins.
    #[inline(always)]
    fn key(&self, at: usize) -> Result<(Option<&'a [u8]>, usize), EditError> {
        // Nearly all of them are, and short.
        if let Some(&first @ 0xa0..=0xbf) = self.map.get(at) {
            let value = at + 1 + usize::from(first & 0x1f);
            if let Some(text) = self.map.get(at + 1..value) {
                return Ok((Some(text), value));
            }
        }
        let value = self.end_of(at)?;
        Ok((self.map.get(at..value).and_then(text), value))
    }

    /// The last edit of this key.
    #[inline]
    fn find(&mut self, key: &[u8]) -> Option<Edit<'a>> {
        if self.lengths & length_bit(key) == 0 {
            return None;
        }
        let mut found = None;
        let named = self.named.iter().filter_map(|edit| Some((edit, named_key(edit)?)));
        for (index, (edit, name)) in named.enumerate() {
            if name == key {
                self.done.set(index);
                found = Some(*edit);
            }
        }
        found
    }

    /// Makes the puts that lie between these places, where values begin and end.
    fn put(&mut self, puts: &mut Puts<'a>, from: usize, to: usize) -> Result<(), EditError> {
        let mut at = from;
        while puts.at < to {
            while at < puts.at {
                at += msgpack::step(self.map, at).ok_or(EditError::NotAMap)?;
            }
            if at != puts.at {
                return Err(EditError::BadPlace { at: puts.at });
            }
            self.copy_to(at)?;
            self.out.extend_from_slice(puts.value);
            at = self.end_of(at)?;
            self.from = at;
            puts.next();
        }
        Ok(())
    }

    /// Writes the entries that come behind the others; how many there are then.
    fn append(&mut self, mut left: u32) -> Result<u32, EditError> {
        let mut named = 0;
        for (index, edit) in self.edits.iter().enumerate() {
            let is_done = names(edit) && {
                named += 1;
                self.done.has(named - 1)
            };
            match *edit {
                Edit::Append { key, value } => write_entry(self.out, key, value),
                Edit::Set { key, value }
                    if !is_done && !is_named(&self.edits[index + 1..], key) =>
                {
                    write_entry(self.out, key, value);
                }
                _ => continue,
            }
            left = left.checked_add(1).ok_or(EditError::TooLong)?;
        }
        Ok(left)
    }
}

/// The puts among edits, one after the other.
struct Puts<'a> {
    rest: std::slice::Iter<'a, Edit<'a>>,
    /// Of the next one; `usize::MAX` where there is none.
    at: usize,
    value: &'a [u8],
}

impl<'a> Puts<'a> {
    fn of(edits: &'a [Edit<'a>]) -> Self {
        let mut puts = Self { rest: edits.iter(), at: 0, value: &[] };
        puts.next();
        puts
    }

    fn next(&mut self) {
        let next = self.rest.find_map(|edit| match *edit {
            Edit::Put { at, value } => Some((at, value)),
            _ => None,
        });
        (self.at, self.value) = next.unwrap_or((usize::MAX, &[]));
    }
}

fn is_named(edits: &[Edit<'_>], key: &[u8]) -> bool {
    edits.iter().any(|edit| named_key(edit) == Some(key))
}

/// The text of a key that is a string.
#[inline]
fn text(key: &[u8]) -> Option<&[u8]> {
    match key.first()? {
        0xa0..=0xbf => key.get(1..),
        0xd9 => key.get(2..),
        0xda => key.get(3..),
        0xdb => key.get(5..),
        _ => None,
    }
}

fn write_entry(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    msgpack::write_str(out, key);
    out.extend_from_slice(value);
}

/// Puts the shortest header of so many entries in the place of the one that is there.
fn set_header(out: &mut Vec<u8>, at: usize, width: usize, entries: u32) {
    if width == 1 && entries < 16 {
        out[at] = 0x80 | entries as u8;
        return;
    }
    let mut header = Vec::with_capacity(5);
    msgpack::write_map_header(&mut header, entries);
    out.splice(at..at + width, header);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{self, JsonOptions, Printer};

    fn packed(json: &str) -> Vec<u8> {
        let mut out = Vec::new();
        json::parse(json.as_bytes(), &mut out).unwrap();
        out
    }

    fn edited(map: &[u8], edits: &[Edit<'_>]) -> Result<Vec<u8>, EditError> {
        let mut out = b"before".to_vec();
        apply(map, edits, &mut out)?;
        Ok(out.strip_prefix(b"before").unwrap().to_vec())
    }

    /// Entries as they stand, repeated keys and all.
    fn shown(map: &[u8]) -> String {
        let mut printer = Printer::new(JsonOptions::default());
        let mut shown = String::new();
        for entry in msgpack::entries(map).unwrap() {
            let (key, value) = entry.unwrap();
            let mut text = Vec::new();
            for part in [key, value] {
                printer.print(part, &mut text).unwrap();
                text.push(b' ');
            }
            shown += &String::from_utf8(text).unwrap();
        }
        shown.trim_end().to_owned()
    }

    #[track_caller]
    fn check(map: &str, edits: &[Edit<'_>], expected: &str) {
        let map = packed(map);
        let made = edited(&map, edits).unwrap();
        assert_eq!(msgpack::value_len(&made), Ok(made.len()));
        assert_eq!(shown(&made), expected, "{edits:?}");
    }

    #[track_caller]
    fn check_error(map: &[u8], edits: &[Edit<'_>], expected: EditError) {
        assert_eq!(edited(map, edits), Err(expected), "{edits:?}");
    }

    const ONE: &[u8] = &[1];
    const TWO: &[u8] = &[2];

    fn set<'a>(key: &'a str, value: &'a [u8]) -> Edit<'a> {
        Edit::Set { key: key.as_bytes(), value }
    }

    fn append<'a>(key: &'a str, value: &'a [u8]) -> Edit<'a> {
        Edit::Append { key: key.as_bytes(), value }
    }

    fn delete(key: &str) -> Edit<'_> {
        Edit::Delete { key: key.as_bytes() }
    }

    fn rename<'a>(key: &'a str, to: &'a str) -> Edit<'a> {
        Edit::Rename { key: key.as_bytes(), to: to.as_bytes() }
    }

    fn put(at: usize, value: &[u8]) -> Edit<'_> {
        Edit::Put { at, value }
    }

    const ABA: &str = r#"{"a":8,"b":{"c":7},"a":9}"#;

    #[test]
    fn each_edit_does_what_it_says_to_every_entry_of_its_key() {
        check(ABA, &[], r#""a" 8 "b" {"c":7} "a" 9"#);
        check(ABA, &[set("a", ONE)], r#""a" 1 "b" {"c":7} "a" 1"#);
        check(ABA, &[set("new", ONE)], r#""a" 8 "b" {"c":7} "a" 9 "new" 1"#);
        check(ABA, &[append("a", ONE)], r#""a" 8 "b" {"c":7} "a" 9 "a" 1"#);
        check(ABA, &[delete("a")], r#""b" {"c":7}"#);
        check(ABA, &[delete("c")], r#""a" 8 "b" {"c":7} "a" 9"#);
        check(ABA, &[rename("a", "b")], r#""b" 8 "b" {"c":7} "b" 9"#);
        check(ABA, &[delete("a"), delete("b")], "");
        check("{}", &[set("a", ONE), append("b", TWO)], r#""a" 1 "b" 2"#);
    }

    #[test]
    fn edits_name_what_came_and_happen_at_once() {
        check(ABA, &[rename("b", "x"), set("x", ONE)], r#""a" 8 "x" {"c":7} "a" 9 "x" 1"#);
        check(ABA, &[append("x", ONE), delete("x")], r#""a" 8 "b" {"c":7} "a" 9 "x" 1"#);
        check(ABA, &[rename("a", "b"), rename("b", "a")], r#""b" 8 "a" {"c":7} "b" 9"#);
    }

    #[test]
    fn the_last_edit_of_a_key_counts() {
        check(ABA, &[set("a", ONE), set("a", TWO)], r#""a" 2 "b" {"c":7} "a" 2"#);
        check(ABA, &[delete("a"), set("a", TWO)], r#""a" 2 "b" {"c":7} "a" 2"#);
        check(ABA, &[set("a", ONE), delete("a")], r#""b" {"c":7}"#);
        check(ABA, &[rename("a", "x"), set("a", TWO)], r#""a" 2 "b" {"c":7} "a" 2"#);
        check("{}", &[set("a", ONE), append("b", ONE), set("a", TWO)], r#""b" 1 "a" 2"#);
        check("{}", &[set("a", ONE), delete("a")], "");
        check("{}", &[set("a", ONE), rename("a", "b")], "");
    }

    #[test]
    fn a_put_reaches_any_value_and_any_key() {
        // 83 a1 61 08 a1 62 81 a1 63 07 a1 61 09
        check(ABA, &[put(3, ONE)], r#""a" 1 "b" {"c":7} "a" 9"#);
        check(ABA, &[put(9, ONE)], r#""a" 8 "b" {"c":1} "a" 9"#);
        check(ABA, &[put(6, ONE)], r#""a" 8 "b" 1 "a" 9"#);
        check(ABA, &[put(7, b"\xa1x"), put(12, TWO)], r#""a" 8 "b" {"x":7} "a" 2"#);
        check(ABA, &[put(1, b"\xa1x"), put(10, b"\xa1y")], r#""x" 8 "b" {"c":7} "y" 9"#);
        check(ABA, &[set("b", TWO), put(3, ONE), put(4, b"\xa1x")], r#""a" 1 "x" 2 "a" 9"#);
        check(ABA, &[rename("b", "x"), put(9, ONE)], r#""a" 8 "x" {"c":1} "a" 9"#);
    }

    #[test]
    fn a_put_elsewhere_is_an_error() {
        let map = packed(ABA);
        for at in [0, 2, 5, 8, 11, 13, 14, usize::MAX - 1] {
            check_error(&map, &[put(at, ONE)], EditError::BadPlace { at });
        }
        check_error(&map, &[put(9, ONE), put(3, ONE)], EditError::BadPlace { at: 3 });
        check_error(&map, &[put(3, ONE), put(3, ONE)], EditError::BadPlace { at: 3 });
        // Taken away by another.
        check_error(&map, &[put(6, ONE), put(9, ONE)], EditError::BadPlace { at: 9 });
        check_error(&map, &[delete("b"), put(9, ONE)], EditError::BadPlace { at: 9 });
        check_error(&map, &[set("b", ONE), put(9, ONE)], EditError::BadPlace { at: 9 });
        check_error(&map, &[set("a", ONE), put(12, ONE)], EditError::BadPlace { at: 12 });
        check_error(&map, &[rename("a", "x"), put(1, ONE)], EditError::BadPlace { at: 1 });
    }

    #[test]
    fn all_replaces_the_map_and_stands_alone() {
        let map = packed(ABA);
        let all = Edit::All { map: &[0x81, 0xc0, 0xc3] };
        assert_eq!(edited(&map, &[all]), Ok(vec![0x81, 0xc0, 0xc3]));
        check_error(&map, &[all, all], EditError::NotAlone);
        check_error(&map, &[all, set("a", ONE)], EditError::NotAlone);
        for bad in [&b""[..], b"\x90", b"\x81\x01", b"\x80\x80", b"\xc1"] {
            check_error(&map, &[Edit::All { map: bad }], EditError::BadMap);
        }
    }

    /// Long forms, floats of 32 bits, binary, extensions, keys of any type.
    #[test]
    fn what_no_edit_names_stays_byte_for_byte() {
        let entries: [&[u8]; 8] = [
            b"\xd9\x01k\xcf\0\0\0\0\0\0\0\x05",
            b"\xda\0\x01k\xca\x3f\xc0\0\0",
            b"\xdb\0\0\0\x01z\xcb\x7f\xf8\0\0\0\0\0\x01",
            b"\x05\xc4\x02\xff\x00",
            b"\xc0\xd8\x01sixteen of bytes",
            b"\x92\x01\x02\xdc\0\x01\xde\0\0",
            b"\x81\x01\x02\xc7\x03\x09xyz",
            b"\xa1k\xd3\xff\xff\xff\xff\xff\xff\xff\xff",
        ];
        let map = [&b"\xde\0\x08"[..], &entries.concat()].concat();
        let made = edited(&map, &[set("z", ONE), append("n", TWO)]).unwrap();
        let changed = [&entries[..2], &[b"\xdb\0\0\0\x01z\x01"], &entries[3..], &[b"\xa1n\x02"]];
        assert_eq!(made, [&b"\x89"[..], &changed.concat().concat()].concat());
        // A key has a name in each of its forms; the header stays where nothing comes or goes.
        let made = edited(&map, &[set("k", ONE)]).unwrap();
        assert_eq!(made.len(), map.len() - 8 - 4 - 8);
        assert!(made.starts_with(b"\xde\0\x08\xd9\x01k\x01\xda\0\x01k\x01\xdb"));
        let made = edited(&map, &[delete("k")]).unwrap();
        assert_eq!(made, [&b"\x85"[..], &entries[2..7].concat()].concat());
    }

    #[test]
    fn headers_are_as_short_as_can_be_on_both_sides_of_their_bounds() {
        for count in [14, 15, 16, 17, 65_534, 65_535, 65_536] {
            let mut map = Vec::new();
            msgpack::write_map_header(&mut map, count);
            (0..count).for_each(|index| {
                msgpack::write_uint(&mut map, index.into());
                map.push(0xc0);
            });
            let last = [&map[..], b"\xa1k\xc2"].concat();
            let mut grown = Vec::new();
            msgpack::write_map_header(&mut grown, count + 1);
            let (_, header) = msgpack::map_header(&map).unwrap();
            grown.extend_from_slice(&last[header..]);
            for edit in [append("k", &[0xc2]), set("k", &[0xc2])] {
                assert_eq!(edited(&map, &[edit]).unwrap(), grown, "{count}");
            }
            assert_eq!(edited(&grown, &[delete("k")]).unwrap(), map, "{count}");
        }
    }

    #[test]
    fn keys_are_told_apart_whatever_their_length() {
        let long = |length: usize| "k".repeat(length);
        for length in [0, 1, 31, 32, 62, 63, 64, 65, 255, 256, 65_535, 65_536] {
            let map = packed(&format!(r#"{{"{}":1,"{}":2}}"#, long(length), long(length + 1)));
            let made = edited(&map, &[delete(&long(length))]).unwrap();
            assert_eq!(made, packed(&format!(r#"{{"{}":2}}"#, long(length + 1))), "{length}");
        }
    }

    #[test]
    fn a_key_is_found_among_any_number_of_edits_that_name_none() {
        let map = packed(r#"{"a":8,"b":9,"c":7}"#);
        let many = [vec![append("n", ONE); 300], vec![set("b", ONE), set("x", ONE)]].concat();
        let edits = [&[delete("a")][..], &many, &[set("b", TWO), set("x", TWO)]].concat();
        let expected = r#""b" 2 "c" 7 "#.to_owned() + &r#""n" 1 "#.repeat(300) + r#""x" 2"#;
        assert_eq!(shown(&edited(&map, &edits).unwrap()), expected);
    }

    #[test]
    fn bad_values_are_refused() {
        let map = packed(ABA);
        for bad in [&b""[..], b"\xc1", b"\xa2x", b"\x01\x01", b"\x91"] {
            check_error(&map, &[set("a", bad)], EditError::BadValue);
            check_error(&map, &[append("a", bad)], EditError::BadValue);
            check_error(&map, &[put(3, bad)], EditError::BadValue);
        }
        check_error(&[0x90], &[set("a", ONE)], EditError::NotAMap);
        check_error(&[0x81, 0xa1], &[set("a", ONE)], EditError::NotAMap);
    }

    #[test]
    fn what_nests_too_deep_together_is_refused() {
        let deep = [vec![0x91; msgpack::MAX_DEPTH - 2], vec![0x80]].concat();
        let deeper = [vec![0x91; msgpack::MAX_DEPTH - 1], vec![0x80]].concat();
        let map = packed(ABA);
        for edit in [set("a", &deep), append("n", &deep), put(3, &deep)] {
            assert!(edited(&map, &[edit]).is_ok(), "{edit:?}");
        }
        for edit in [set("a", &deeper), append("n", &deeper), put(3, &deeper), put(9, &deep)] {
            check_error(&map, &[edit], EditError::TooDeep);
        }
    }

    #[test]
    fn edits_have_their_bounds() {
        let map = packed(ABA);
        let names: Vec<String> = (0..=MOST_NAMED).map(|index| format!("k{index}")).collect();
        let sets: Vec<_> = names.iter().map(|name| set(name, ONE)).collect();
        assert!(edited(&map, &sets[..MOST_NAMED]).is_ok());
        check_error(&map, &sets, EditError::TooMany);
        let appends = vec![append("k", ONE); 65_536];
        assert!(edited(&map, &appends).is_ok());
        // A value that comes once and is given to many.
        let many = [&b"\xdd\x00\x01\x00\x00"[..], &vec![0xc0; 1 << 16]].concat();
        let mut repeated = Vec::new();
        msgpack::write_map_header(&mut repeated, 1 << 16);
        repeated.extend(b"\xa1k\xc0".repeat(1 << 16));
        check_error(&repeated, &[set("k", &many)], EditError::TooLong);
        // A value is not looked at that would be too long whatever it is.
        let longest = vec![0xc1; MOST_BYTES + 1];
        check_error(&map, &[append("k", &longest)], EditError::TooLong);
        check_error(&map, &[Edit::All { map: &longest }], EditError::TooLong);
        let mut long = b"\xc6\x02\x00\x00\x00".to_vec();
        long.resize(5 + (32 << 20), 0);
        assert!(edited(&map, &[append("k", &long)]).is_ok());
        check_error(&map, &[append("k", &long), append("l", &long)], EditError::TooLong);
    }
}
