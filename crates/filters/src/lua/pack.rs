//! From Lua to msgpack: what a script answers.
//!
//! A table has no order. Keys that the record had keep theirs, and new ones follow in the order of their names. A number that
//! the script left alone keeps all its digits, and bytes that it left alone stay bytes.

use std::collections::HashMap;
use std::ops::Range;

use flb_event::msgpack::{self, MAX_DEPTH, Reader, Value as Packed};
use mlua::{Error, Result, Table, Value};

use super::push::Marks;

/// Most bytes that a call may answer.
const MOST: usize = 64 << 20;
/// Entries of a map that are looked for one by one.
const FEW: usize = 16;

/// The keys whose values have a type of their own.
#[derive(Debug, Default)]
pub(super) struct Types {
    pub(super) ints: Vec<String>,
    pub(super) arrays: Vec<String>,
}

/// What a value must be.
#[derive(Debug, Clone, Copy)]
enum Type {
    Any,
    Int,
    Array,
}

impl Types {
    fn of(&self, key: &[u8]) -> Type {
        let is_in = |keys: &[String]| keys.iter().any(|known| known.as_bytes() == key);
        match () {
            () if is_in(&self.ints) => Type::Int,
            () if is_in(&self.arrays) => Type::Array,
            () => Type::Any,
        }
    }
}

/// Writes Lua's values as msgpack.
pub(super) struct Packer<'s> {
    pub(super) marks: &'s Marks,
    pub(super) types: &'s Types,
}

impl Packer<'_> {
    /// Appends the maps that a table stands for, one or as many as it has if it is an array, and says where each is. `was` is
    /// the map that they come of.
    pub(super) fn maps(
        &self,
        table: &Table,
        was: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Vec<Range<usize>>> {
        let Some(len) = self.len(table)? else {
            return Ok(vec![self.one_map(table, was, 0, out)?]);
        };
        let mut maps = Vec::new();
        for index in 1..=len {
            maps.push(match table.raw_get(index)? {
                Value::Table(element) if self.len(&element)?.is_none() => {
                    self.one_map(&element, was, 1, out)?
                }
                other => return Err(not_a_map(&other)),
            });
        }
        Ok(maps)
    }

    /// Whether a table stands for an array.
    pub(super) fn is_array(&self, table: &Table) -> bool {
        self.len(table).is_ok_and(|len| len.is_some())
    }

    fn one_map(
        &self,
        table: &Table,
        was: &[u8],
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<Range<usize>> {
        let start = out.len();
        self.map(table, Some(was), depth, out)?;
        Ok(start..out.len())
    }

    /// How long the array is that a table stands for; nothing if it stands for a map.
    fn len(&self, table: &Table) -> Result<Option<usize>> {
        match self.marks.is_array(table) {
            Some(true) => Ok(Some(table.raw_len())),
            Some(false) => Ok(None),
            None => Ok(Some(greatest_index(table)?).filter(|greatest| *greatest > 0)),
        }
    }

    /// Appends a value. `was` is what stood in its place.
    fn value(
        &self,
        value: &Value,
        was: Option<&[u8]>,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        match value {
            Value::Nil => msgpack::write_nil(out),
            null if null.is_null() => msgpack::write_nil(out),
            Value::Boolean(value) => msgpack::write_bool(out, *value),
            Value::Integer(value) => number(*value as f64, was, out),
            Value::Number(value) => number(*value, was, out),
            Value::String(text) => string(&text.as_bytes(), was, out),
            Value::Table(table) => match self.len(table)? {
                Some(len) => self.array(table, len, was, depth, out)?,
                None => self.map(table, was, depth, out)?,
            },
            other => return Err(misfit(other)),
        }
        match out.len() > MOST {
            true => Err(Error::runtime(format!("it has more than {} MiB", MOST >> 20))),
            false => Ok(()),
        }
    }

    fn array(
        &self,
        table: &Table,
        len: usize,
        was: Option<&[u8]>,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let depth = deeper(depth)?;
        let header = u32::try_from(len).ok().filter(|_| len <= MOST);
        let header = header.ok_or_else(|| Error::runtime(format!("it has an array of {len}")))?;
        msgpack::write_array_header(out, header);
        let mut old =
            was.and_then(|was| msgpack::elements(was).ok()).into_iter().flatten().flatten();
        for index in 1..=len {
            self.value(&table.raw_get(index)?, old.next(), depth, out)?;
        }
        Ok(())
    }

    fn map(
        &self,
        table: &Table,
        was: Option<&[u8]>,
        depth: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let depth = deeper(depth)?;
        let old = Old::read(was.unwrap_or(&[0x80]));
        // Where the entries are before they are put in order.
        let (mut made, mut entries) = (Vec::new(), Vec::new());
        table.for_each(|key: Value, value: Value| {
            let start = made.len();
            let ((rank, was), kind) = match &key {
                Value::String(text) => {
                    let text = text.as_bytes();
                    msgpack::write_str(&mut made, &text);
                    (old.find(&text), self.types.of(&text))
                }
                other => {
                    self.value(other, None, depth, &mut made)?;
                    (Old::NEW, Type::Any)
                }
            };
            let key = start..made.len();
            match (&value, kind) {
                (Value::Number(value), Type::Int) => msgpack::write_int(&mut made, *value as i64),
                (Value::Table(table), Type::Array) => {
                    self.array(table, table.raw_len(), was, depth, &mut made)?;
                }
                _ => self.value(&value, was, depth, &mut made)?,
            }
            entries.push(Entry { rank, key, all: start..made.len() });
            Ok(())
        })?;
        entries.sort_by(|one, other| {
            let place = |entry: &Entry| (entry.rank, entry.key.clone());
            let ((rank, key), (other_rank, other_key)) = (place(one), place(other));
            rank.cmp(&other_rank).then_with(|| name(&made[key]).cmp(name(&made[other_key])))
        });
        msgpack::write_map_header(out, u32::try_from(entries.len()).unwrap_or(u32::MAX));
        entries.into_iter().for_each(|entry| out.extend_from_slice(&made[entry.all]));
        Ok(())
    }
}

/// An entry of a map: whether it was there before, and where its key and all of it are.
struct Entry {
    rank: usize,
    key: Range<usize>,
    all: Range<usize>,
}

/// By what new keys are put in order.
fn name(key: &[u8]) -> &[u8] {
    msgpack::as_str(key).unwrap_or(key)
}

/// The entries of a map as it was: how many came before each, and its value.
struct Old<'a> {
    entries: Vec<(&'a [u8], &'a [u8])>,
    /// Where each key is, if there are many.
    index: HashMap<&'a [u8], usize>,
}

impl<'a> Old<'a> {
    /// Of a key that was not there.
    const NEW: (usize, Option<&'a [u8]>) = (usize::MAX, None);

    fn read(map: &'a [u8]) -> Self {
        let entries =
            msgpack::entries(map).into_iter().flatten().map_while(std::result::Result::ok);
        let entries: Vec<_> =
            entries.map(|(key, value)| (msgpack::as_str(key).unwrap_or_default(), value)).collect();
        let index = match entries.len() {
            0..=FEW => HashMap::new(),
            _ => entries.iter().enumerate().map(|(rank, (key, _))| (*key, rank)).collect(),
        };
        Self { entries, index }
    }

    fn find(&self, key: &[u8]) -> (usize, Option<&'a [u8]>) {
        let rank = match self.index.is_empty() {
            true => self.entries.iter().position(|(known, _)| *known == key),
            false => self.index.get(key).copied(),
        };
        rank.map_or(Self::NEW, |rank| (rank, Some(self.entries[rank].1)))
    }
}

/// The greatest whole number from 1 among the keys; 0 if there is none.
fn greatest_index(table: &Table) -> Result<usize> {
    let mut greatest = 0;
    table.for_each(|key: Value, _: Value| {
        if let Value::Integer(index) = key {
            greatest = greatest.max(usize::try_from(index).unwrap_or(0));
        }
        Ok(())
    })?;
    Ok(greatest)
}

/// A number of Lua's: a double. Whole ones are integers; one that the script has left alone is what it was.
fn number(value: f64, was: Option<&[u8]>, out: &mut Vec<u8>) {
    const END: f64 = 9_223_372_036_854_775_808.0;
    let same = was.filter(|was| match Reader::new(was).next() {
        Ok(Packed::Uint(was)) => was as f64 == value,
        Ok(Packed::Int(was)) => was as f64 == value,
        _ => false,
    });
    match same {
        Some(was) => out.extend_from_slice(was),
        None if value.trunc() == value && (-END..END).contains(&value) => {
            msgpack::write_int(out, value as i64);
        }
        None => msgpack::write_float(out, value),
    }
}

fn string(text: &[u8], was: Option<&[u8]>, out: &mut Vec<u8>) {
    let same = was.filter(|was| match Reader::new(was).next() {
        Ok(Packed::Bin(was) | Packed::Ext(_, was)) => was == text,
        _ => false,
    });
    match same {
        Some(was) => out.extend_from_slice(was),
        None => msgpack::write_str(out, text),
    }
}

fn deeper(depth: usize) -> Result<usize> {
    match depth < MAX_DEPTH {
        true => Ok(depth + 1),
        false => Err(Error::runtime(format!("it nests more than {MAX_DEPTH} deep"))),
    }
}

/// Why a table is no answer.
pub(super) fn reason(error: &Error) -> String {
    match error {
        Error::RuntimeError(text) => text.clone(),
        other => other.to_string(),
    }
}

/// What cannot be a record.
pub(super) fn not_a_map(value: &Value) -> Error {
    Error::runtime(format!("a record is a table of keys, and this is a {}", value.type_name()))
}

fn misfit(value: &Value) -> Error {
    Error::runtime(format!("it has a {}, which no record can hold", value.type_name()))
}
