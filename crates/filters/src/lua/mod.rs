//! `lua`: a function in Lua decides about every record.

mod failure;
mod leash;
mod pack;
mod push;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use flb_event::{Chunk, Event, Tag, Timestamp};
use flb_guest::host;
use flb_plugin::keys::{Bool, Choice, Double, Key, Required, Size, Text, Words};
use flb_plugin::log::Label;
use flb_plugin::{Build, BuildError, Filter, Options, Outlet, Spec, Table, keys};
use mlua::Value;

use super::each::Rebuilt;
use failure::{Class, Failure, OnError, Policy};
use pack::{Packer, Types};
use state::{Said, Script, State};

keys! {
    const KEYS;
    SCRIPT: Option<Text> = Key::new("script", "The file with the script");
    CODE: Option<Text> = Key::new("code", "The script itself, instead of a file");
    CALL: Required<Text> = Key::new("call", "The function that is called for each record")
        .required("function name defined by 'call' is not set", "add Call cb_filter");
    TYPE_INT_KEY: Option<Words> =
        Key::new("type_int_key", "Keys whose numbers become integers, cut off behind the point");
    TYPE_ARRAY_KEY: Option<Words> =
        Key::new("type_array_key", "Keys whose tables become arrays, also empty ones");
    TIME_AS_TABLE: Bool =
        Key::new("time_as_table", "Give the time as a table with sec and nsec").default("off");
    ENABLE_FLB_NULL: Bool =
        Key::new("enable_flb_null", "Give null as flb_null, so that its key stays").default("off");
    PROTECTED_MODE: Option<Bool> =
        Key::new("protected_mode", "").idle("an error of the script never ends the agent");
    DEADLINE: Double = Key::new("deadline", "Longest time for one call, in seconds").default("1");
    MEMORY_LIMIT: Size = Key::new("memory_limit", "Most bytes that the script may have (256 MiB)")
        .default("268435456");
    ON_ERROR: Choice<OnError> =
        Key::new("on_error", "What becomes of a record that the script fails on").default("keep");
}

pub(super) const SPEC: Spec<dyn Filter> = Spec {
    name: "lua",
    about: "Call a function in Lua for every record",
    options: Table(&[KEYS]),
    build,
};

/// Most bytes that all answers to one batch may take together.
const ROOM: usize = 256 << 20;

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Filter>, BuildError> {
    let (source, name) = source(options, build)?;
    let script = Arc::new(Script {
        source,
        name,
        call: options.get(CALL)?.to_owned(),
        deadline: host::deadline(DEADLINE.name(), options.get(DEADLINE))?,
        memory_limit: usize::try_from(options.get(MEMORY_LIMIT)).unwrap_or(usize::MAX),
        time_as_table: options.get(TIME_AS_TABLE),
        flb_null: options.get(ENABLE_FLB_NULL),
        environment: build
            .service
            .variables
            .given()
            .map(|(name, text)| (name.to_owned(), text))
            .collect(),
    });
    let types = Types {
        ints: options.get(TYPE_INT_KEY).unwrap_or_default(),
        arrays: options.get(TYPE_ARRAY_KEY).unwrap_or_default(),
    };
    let policy = Policy::new(options.get(ON_ERROR), Label::filter("lua", build), build);
    let state = match build.service.dry_run {
        true => script.check().map(|()| None),
        false => State::start(&script).map(Some),
    };
    let state = state.map_err(|failure| refused(&failure))?;
    let shared = Arc::new(Shared { script, types, policy });
    Ok(Box::new(LuaFilter { shared, state, body: Vec::new(), metadata: Vec::new() }))
}

/// The script's text, and what its errors call it.
fn source(options: &Options, build: &Build<'_>) -> Result<(Vec<u8>, String), BuildError> {
    if let Some(code) = options.get(CODE) {
        return Ok((code.as_bytes().to_vec(), "=code".to_owned()));
    }
    let script = options.get(SCRIPT).ok_or_else(|| {
        BuildError::new("no script path defined").help("add Script filter.lua, or Code")
    })?;
    let (bytes, path) = host::read(script, build.service);
    let bytes = bytes.map_err(|error| {
        BuildError::new(format!("cannot access script '{}': {error}", path.display()))
            .help("give the path of a file in Lua that the agent may read")
    })?;
    Ok((bytes, format!("@{}", path.display())))
}

fn refused(failure: &Failure) -> BuildError {
    let error = BuildError::new(failure.to_string());
    match failure.class {
        Class::Error if failure.reason.starts_with("function ") => {
            error.help("Call names a global function of the script")
        }
        _ => error,
    }
}

/// What all lanes have in common.
struct Shared {
    script: Arc<Script>,
    types: Types,
    policy: Policy,
}

struct LuaFilter {
    shared: Arc<Shared>,
    /// None before a state is started again in the place of one that was ended.
    state: Option<State>,
    /// Where answers are written, again and again.
    body: Vec<u8>,
    metadata: Vec<u8>,
}

/// What becomes of a record.
enum Answer {
    Keep,
    /// These records take its place: where in the buffers the metadata, if it is another, and the body of each are.
    Become(Timestamp, Vec<(Option<Span>, Span)>),
}

type Span = std::ops::Range<usize>;

impl Filter for LuaFilter {
    fn filter(&mut self, batch: Chunk, outlet: &mut Outlet) {
        let mut rebuilt = Rebuilt::of(&batch);
        let mut answered = 0;
        for event in batch.records() {
            let answer = self.answer(batch.tag(), &event).and_then(|answer| {
                answered += self.body.len() + self.metadata.len();
                if answered > ROOM { Err(full()) } else { Ok(answer) }
            });
            match answer {
                Ok(Answer::Keep) => rebuilt.keep(event),
                Ok(Answer::Become(time, parts)) => {
                    let events: Vec<Event<'_>> = parts
                        .into_iter()
                        .map(|(metadata, body)| Event {
                            time,
                            metadata: metadata.map_or(event.metadata, |span| &self.metadata[span]),
                            body: &self.body[body],
                        })
                        .collect();
                    rebuilt.become_all(&events);
                }
                Err(failure) => {
                    rebuilt.fail(event, self.shared.policy.apply(&failure, batch.tag()));
                }
            }
        }
        if let Some(state) = &self.state {
            state.flush();
        }
        rebuilt.finish(outlet);
    }

    fn fork(&self) -> Result<Box<dyn Filter>, BuildError> {
        let state = State::start(&self.shared.script).map_err(|failure| refused(&failure))?;
        Ok(Box::new(Self {
            shared: Arc::clone(&self.shared),
            state: Some(state),
            body: Vec::new(),
            metadata: Vec::new(),
        }))
    }
}

fn full() -> Failure {
    let reason = format!("the answers to one batch take more than {} MiB", ROOM >> 20);
    Failure { class: Class::Memory, reason }
}

impl LuaFilter {
    /// Asks the script about a record. A state that was ended, or has no memory left, is not asked again.
    fn answer(&mut self, tag: &Tag, event: &Event<'_>) -> Result<Answer, Failure> {
        self.body.clear();
        self.metadata.clear();
        let state = match self.state.take() {
            Some(state) => state,
            None => State::start(&self.shared.script)?,
        };
        let answer = state.call(tag, event).and_then(|said| self.read(&state, said, event));
        let is_spent = answer
            .as_ref()
            .is_err_and(|failure| matches!(failure.class, Class::Deadline | Class::Memory));
        self.state = Some(state).filter(|_| !is_spent);
        answer
    }

    fn read(&mut self, state: &State, said: Said, event: &Event<'_>) -> Result<Answer, Failure> {
        match said.code {
            -1 => return Ok(Answer::Become(event.time, Vec::new())),
            0 => return Ok(Answer::Keep),
            1 | 2 => {}
            code => {
                return Err(Failure::bad_output(format!(
                    "unexpected Lua script return code {code}"
                )));
            }
        }
        let time = match said.code {
            1 => self.time(state, said.time, event.time)?,
            _ => event.time,
        };
        let packer = Packer { marks: state.marks(), types: &self.shared.types };
        let call = &self.shared.script.call;
        let invalid = |error: mlua::Error| {
            Failure::bad_output(format!(
                "invalid table returned at {call}(): {}",
                pack::reason(&error)
            ))
        };
        let Value::Table(record) = &said.record else {
            return Err(invalid(pack::not_a_map(&said.record)));
        };
        let bodies = packer.maps(record, event.body, &mut self.body).map_err(invalid)?;
        let metadata = match &said.metadata {
            None => vec![None; bodies.len()],
            Some(table) => {
                let maps =
                    packer.maps(table, event.metadata, &mut self.metadata).map_err(invalid)?;
                match maps.as_slice() {
                    [one] if !packer.is_array(table) => vec![Some(one.clone()); bodies.len()],
                    _ if maps.len() == bodies.len() => maps.into_iter().map(Some).collect(),
                    _ => {
                        return Err(Failure::bad_output(
                            "there are more records than metadata of them, or fewer",
                        ));
                    }
                }
            }
        };
        Ok(Answer::Become(time, metadata.into_iter().zip(bodies).collect()))
    }

    /// The time that was returned. One that the script has left alone keeps its nanoseconds.
    fn time(&self, state: &State, said: Value, was: Timestamp) -> Result<Timestamp, Failure> {
        let (sec, nsec) = match said {
            Value::Table(table) if self.shared.script.time_as_table => {
                let part = |name: &str| table.raw_get(name).map_or(0.0, |part| state.number(part));
                (part("sec"), part("nsec"))
            }
            _ if self.shared.script.time_as_table => return Ok(was),
            other => match state.number(other) {
                time if time == was.as_f64() => return Ok(was),
                time => (time.trunc(), time.fract() * 1e9),
            },
        };
        let fits = (0.0..4_294_967_296.0).contains(&sec) && (0.0..1e9).contains(&nsec);
        match fits {
            true => Ok(Timestamp { sec: sec as u32, nsec: nsec as u32 }),
            false => Err(Failure::bad_output("the time is not between the years 1970 and 2106")),
        }
    }
}
