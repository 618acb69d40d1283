//! A Lua state with the script loaded: bounded in time and memory, and asked about one record at a time.

use std::sync::Arc;
use std::time::Duration;

use flb_event::{Event, Tag};
use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, LuaOptions, StdLib, Table, Value};

use super::failure::{Class, Failure};
use super::leash::Leash;
use super::push::{Marks, Pusher};

const PRELUDE: &str = include_str!("prelude.lua");
/// From so many parameters on, a function is given metadata.
const WITH_METADATA: i64 = 5;

/// What a state is made of.
#[derive(Debug)]
pub(super) struct Script {
    pub(super) source: Vec<u8>,
    /// What its errors call it.
    pub(super) name: String,
    /// The function.
    pub(super) call: String,
    pub(super) deadline: Duration,
    /// Bytes.
    pub(super) memory_limit: usize,
    pub(super) time_as_table: bool,
    /// Whether a value that is null is `flb_null`, and not nil.
    pub(super) flb_null: bool,
    /// What `FLB_ENV` holds.
    pub(super) environment: Vec<(String, String)>,
}

impl Script {
    /// Whether the source can be read, without running any of it.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let lua = Lua::new_with(StdLib::NONE, LuaOptions::default()).map_err(failure)?;
        self.load(&lua).map_err(failure)?;
        Ok(())
    }

    fn load(&self, lua: &Lua) -> mlua::Result<Function> {
        // What was compiled is not checked, and may do anything.
        let script = lua.load(self.source.as_slice()).set_mode(ChunkMode::Text);
        script.set_name(self.name.as_str()).into_function()
    }
}

/// One state, and the function in it.
pub(super) struct State {
    lua: Lua,
    leash: Arc<Leash>,
    function: Function,
    takes_metadata: bool,
    time_as_table: bool,
    memory_limit: usize,
    marks: Marks,
    null: Value,
    flush: Function,
}

/// What the function has said of a record.
pub(super) struct Said {
    pub(super) code: i32,
    pub(super) time: Value,
    /// What it was given, if it is none that is given any.
    pub(super) metadata: Option<Table>,
    pub(super) record: Value,
}

impl State {
    /// Starts a state: runs the script, and finds its function.
    pub(super) fn start(script: &Script) -> Result<Self, Failure> {
        let lua = Lua::new_with(StdLib::ALL_SAFE, LuaOptions::default()).map_err(failure)?;
        let leash = Leash::put(&lua, script.deadline).map_err(failure)?;
        let (parameters, flush) = prepare(&lua, &leash, script).map_err(failure)?;
        let limits = Limits { lua: &lua, leash: &leash, memory: script.memory_limit };
        limits.run(|| script.load(&lua)?.call::<()>(()))?;
        let Ok(Value::Function(function)) = lua.globals().raw_get(script.call.as_str()) else {
            let reason = format!("function {} is not found", script.call);
            return Err(Failure { class: Class::Error, reason });
        };
        let parameters: i64 = parameters.call(&function).map_err(failure)?;
        Ok(Self {
            function,
            takes_metadata: parameters >= WITH_METADATA,
            time_as_table: script.time_as_table,
            memory_limit: script.memory_limit,
            marks: Marks::new(&lua).map_err(failure)?,
            null: if script.flb_null { Value::NULL } else { Value::Nil },
            flush,
            leash,
            lua,
        })
    }

    /// How tables are marked.
    pub(super) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// A number, or a text that says one, as Lua understands it; 0 of anything else.
    pub(super) fn number(&self, value: Value) -> f64 {
        self.lua.coerce_number(value).ok().flatten().unwrap_or(0.0)
    }

    /// Calls the function for a record.
    pub(super) fn call(&self, tag: &Tag, event: &Event<'_>) -> Result<Said, Failure> {
        let pusher = Pusher { lua: &self.lua, marks: &self.marks, null: &self.null };
        let time = self.time(event).map_err(failure)?;
        let record = pusher.map(event.body).map_err(failure)?;
        let limits = Limits { lua: &self.lua, leash: &self.leash, memory: self.memory_limit };
        if !self.takes_metadata {
            let given = (tag.as_str(), time, record);
            let (code, time, record) = limits.run(|| self.function.call(given))?;
            return Ok(Said { code: self.number(code) as i32, time, metadata: None, record });
        }
        let group = pusher.map(Event::NO_METADATA).map_err(failure)?;
        let metadata = pusher.map(event.metadata).map_err(failure)?;
        let given = (tag.as_str(), time, group, metadata, record);
        let (code, time, metadata, record) = limits.run(|| self.function.call(given))?;
        let metadata = if let Value::Table(metadata) = metadata { Some(metadata) } else { None };
        Ok(Said { code: self.number(code) as i32, time, metadata, record })
    }

    fn time(&self, event: &Event<'_>) -> mlua::Result<Value> {
        if !self.time_as_table {
            return Ok(Value::Number(event.time.as_f64()));
        }
        let parts = [("sec", event.time.sec), ("nsec", event.time.nsec)];
        self.lua.create_table_from(parts).map(Value::Table)
    }

    /// Has printed what the script has printed so far.
    pub(super) fn flush(&self) {
        // Where it cannot be printed nobody reads.
        let _ = self.flush.call::<()>(());
    }
}

/// Makes the libraries fit for a filter. Gives what tells how many parameters a function has, and what prints what waits.
fn prepare(lua: &Lua, leash: &Arc<Leash>, script: &Script) -> mlua::Result<(Function, Function)> {
    let leash = Arc::clone(leash);
    let is_late = lua.create_function(move |_, ()| Ok(leash.is_torn()))?;
    let traceback =
        lua.create_function(|lua, (message, level): (Option<String>, Option<usize>)| {
            lua.traceback(message.as_deref(), level.unwrap_or(1))
        })?;
    let functions = lua.load(PRELUDE).set_name("=prelude").call((traceback, is_late))?;
    let globals = lua.globals();
    let environment = script.environment.iter().filter(|(_, text)| !text.is_empty());
    let environment = environment.map(|(name, text)| (name.as_str(), text.as_str()));
    globals.raw_set("FLB_ENV", lua.create_table_from(environment)?)?;
    if script.flb_null {
        globals.raw_set("flb_null", Value::NULL)?;
    }
    Ok(functions)
}

/// What bounds the script while it runs. What the agent does in the state is bounded by the records.
struct Limits<'s> {
    lua: &'s Lua,
    leash: &'s Leash,
    memory: usize,
}

impl Limits<'_> {
    fn run<T>(&self, call: impl FnOnce() -> mlua::Result<T>) -> Result<T, Failure> {
        let limit = |bytes| self.lua.set_memory_limit(bytes).map_err(failure);
        limit(self.memory)?;
        let said = self.leash.run(call);
        limit(0)?;
        said.map_err(|error| self.explained(error))
    }

    fn explained(&self, error: mlua::Error) -> Failure {
        if self.leash.is_torn() {
            let seconds = self.leash.length().as_secs_f64();
            let reason = format!(
                "the script did not return within {seconds} s; it starts afresh; help: raise Deadline"
            );
            return Failure { class: Class::Deadline, reason };
        }
        let failure = failure(error);
        match failure.class {
            Class::Memory => {
                let mib = self.memory as f64 / f64::from(1 << 20);
                let reason = format!(
                    "the script wants more memory than {mib:.1} MiB; it starts afresh; help: raise Memory_Limit"
                );
                Failure { reason, ..failure }
            }
            _ => failure,
        }
    }
}

/// What went wrong, in one line.
fn failure(error: mlua::Error) -> Failure {
    const MEMORY: &str = "not enough memory";
    let (class, text) = match error {
        mlua::Error::MemoryError(text) => (Class::Memory, text),
        mlua::Error::RuntimeError(text) => (Class::Error, text),
        mlua::Error::SyntaxError { message, .. } => (Class::Error, message),
        mlua::Error::CallbackError { cause, .. } => return failure((*cause).clone()),
        other => (Class::Error, other.to_string()),
    };
    let reason = text.lines().next().unwrap_or_default().to_owned();
    let class = if reason.ends_with(MEMORY) { Class::Memory } else { class };
    Failure { class, reason }
}
