//! From msgpack to Lua: what a script is given.

use flb_event::msgpack::{MAX_DEPTH, Reader, Value as Packed};
use mlua::{IntoLua, Lua, Table, Value};

/// The metatables that tell arrays from maps, also empty ones. Fluent Bit marks its tables in the same way.
#[derive(Debug)]
pub(super) struct Marks {
    array: Table,
    map: Table,
}

/// The field of a mark that says what the table is, and what an array's says.
const TYPE: &str = "type";
const ARRAY: i64 = 1;
const MAP: i64 = 2;

impl Marks {
    pub(super) fn new(lua: &Lua) -> mlua::Result<Self> {
        let mark = |kind: i64| lua.create_table_from([(TYPE, kind)]);
        Ok(Self { array: mark(ARRAY)?, map: mark(MAP)? })
    }

    /// Whether a table is an array, if a mark says what it is.
    pub(super) fn is_array(&self, table: &Table) -> Option<bool> {
        let mark = table.metatable()?;
        let at = mark.to_pointer();
        if at == self.map.to_pointer() {
            return Some(false);
        }
        if at == self.array.to_pointer() {
            return Some(true);
        }
        match mark.raw_get(TYPE).ok()? {
            Value::Integer(kind) if kind >= 0 => Some(kind == ARRAY),
            _ => None,
        }
    }
}

/// One value on its way. A text goes without a detour.
enum Item<'d> {
    Text(&'d str),
    Other(Value),
}

/// Makes Lua's values of msgpack's.
pub(super) struct Pusher<'l> {
    pub(super) lua: &'l Lua,
    pub(super) marks: &'l Marks,
    /// What stands for nil.
    pub(super) null: &'l Value,
}

impl Pusher<'_> {
    /// A msgpack map, such as a record's body, as a table.
    pub(super) fn map(&self, map: &[u8]) -> mlua::Result<Value> {
        match self.item(&mut Reader::new(map), 0)? {
            Item::Other(value) => Ok(value),
            Item::Text(text) => text.into_lua(self.lua),
        }
    }

    /// The reader's next value, which lies inside `depth` containers.
    fn item<'d>(&self, reader: &mut Reader<'d>, depth: usize) -> mlua::Result<Item<'d>> {
        let value = reader.next().map_err(mlua::Error::external)?;
        Ok(Item::Other(match value {
            Packed::Nil => self.null.clone(),
            Packed::Bool(value) => Value::Boolean(value),
            Packed::Uint(value) => Value::Number(value as f64),
            Packed::Int(value) => Value::Number(value as f64),
            Packed::Float(value) => Value::Number(value),
            Packed::Str(bytes) | Packed::Bin(bytes) | Packed::Ext(_, bytes) => {
                return Ok(match std::str::from_utf8(bytes) {
                    Ok(text) => Item::Text(text),
                    Err(_) => Item::Other(Value::String(self.lua.create_string(bytes)?)),
                });
            }
            Packed::Array(_) | Packed::Map(_) if depth == MAX_DEPTH => {
                return Err(mlua::Error::runtime(format!("it nests more than {MAX_DEPTH} deep")));
            }
            Packed::Array(len) => Value::Table(self.array(reader, len, depth + 1)?),
            Packed::Map(len) => Value::Table(self.entries(reader, len, depth + 1)?),
        }))
    }

    fn array(&self, reader: &mut Reader<'_>, len: u32, depth: usize) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(room(len), 0)?;
        for index in 1..=len {
            match self.item(reader, depth)? {
                Item::Text(text) => table.raw_set(index, text)?,
                Item::Other(value) => table.raw_set(index, value)?,
            }
        }
        table.set_metatable(Some(self.marks.array.clone()))?;
        Ok(table)
    }

    fn entries(&self, reader: &mut Reader<'_>, len: u32, depth: usize) -> mlua::Result<Table> {
        let table = self.lua.create_table_with_capacity(0, room(len))?;
        for _ in 0..len {
            let (key, value) = (self.item(reader, depth)?, self.item(reader, depth)?);
            match (key, value) {
                (Item::Text(key), Item::Text(value)) => table.raw_set(key, value)?,
                (Item::Text(key), Item::Other(value)) => table.raw_set(key, value)?,
                (Item::Other(key), Item::Text(value)) => table.raw_set(key, value)?,
                (Item::Other(key), Item::Other(value)) => table.raw_set(key, value)?,
            }
        }
        table.set_metatable(Some(self.marks.map.clone()))?;
        Ok(table)
    }
}

/// Places that a table has from its start. What a header announces need not come.
fn room(len: u32) -> usize {
    len.min(1 << 16) as usize
}
