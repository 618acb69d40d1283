//! Runs the records of a quarantine again and says what becomes of each.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flb_event::{Event, Tag, Timestamp, Verdict, json, msgpack};
use flb_runtime::{EventFormat, FilterError, FilterInstance};
use serde_json::json as object;

use crate::input;
use crate::options::Given;
use crate::output::{Outcome, say};
use crate::run::{format, load, text, time};

/// Bytes of a chunk's record before its metadata: headers and time.
const PREFIX: usize = 12;

/// The command `replay`.
pub(crate) fn replay(given: &Given, operands: &[OsString]) -> anyhow::Result<Outcome> {
    let file = input::only_file(operands)?;
    let named = || file.display().to_string();
    let lines = BufReader::new(File::open(&file).with_context(named)?);
    let mut filters = Filters { given, known: Vec::new() };
    let mut sum = Sum::default();
    for (number, line) in lines.split(b'\n').enumerate() {
        let line = line.with_context(named)?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let (was, now) = match Entry::read(&line) {
            Ok(entry) => (entry.class.clone(), filters.ask(&entry)?),
            Err(error) => (String::new(), Now::Unreadable(format!("{error:#}"))),
        };
        sum.add(&now);
        say(&if given.json {
            as_json(number + 1, &was, &now)?
        } else {
            as_text(number + 1, &was, &now)?
        })?;
    }
    if !given.json {
        say(&sum.line())?;
    }
    Ok(if sum.failed + sum.unreadable == 0 { Outcome::Done } else { Outcome::Problems })
}

/// A line of a quarantine.
struct Entry {
    tag: Tag,
    time: Timestamp,
    body: Vec<u8>,
    class: String,
    path: PathBuf,
    module: String,
    function: String,
    format: EventFormat,
}

impl Entry {
    fn read(line: &[u8]) -> anyhow::Result<Self> {
        let mut map = Vec::new();
        json::parse_object(line, &mut map).context("it is no JSON object")?;
        let find = |wanted: &str| {
            let mut entries = msgpack::entries(&map).ok()?.flatten();
            let (_, value) =
                entries.find(|(key, _)| msgpack::as_str(key) == Some(wanted.as_bytes()))?;
            Some(value)
        };
        let field = |name: &str| {
            find(name)
                .and_then(msgpack::as_str)
                .map(|text| String::from_utf8_lossy(text).into_owned())
                .with_context(|| format!("it has no '{name}'"))
        };
        let body = match field("event") {
            Ok(event) => body_of(&STANDARD.decode(event).context("its 'event' is no base64")?)?,
            Err(_) => find("record").context("it has no 'record'")?.to_vec(),
        };
        msgpack::map_len(&body).context("its record is no object")?;
        let escape_unicode = find("escape_unicode") != Some(&[0xc2]);
        Ok(Self {
            tag: Tag::new(&field("tag")?)?,
            time: time(&field("time")?)?,
            body,
            class: field("class")?,
            path: field("path")?.into(),
            module: field("module")?,
            function: field("function")?,
            format: match field("format")?.as_str() {
                "msgpack" => EventFormat::Msgpack,
                _ => EventFormat::Json { escape_unicode },
            },
        })
    }
}

/// The body of a record as chunks have it.
fn body_of(event: &[u8]) -> anyhow::Result<Vec<u8>> {
    let rest = event.get(PREFIX..).context("its 'event' is cut off")?;
    let metadata = msgpack::value_len(rest).context("its 'event' is damaged")?;
    Ok(rest[metadata..].to_vec())
}

/// What the options of a filter and its file make different.
#[derive(PartialEq)]
struct Key {
    path: PathBuf,
    function: String,
    format: EventFormat,
}

/// One instance of every filter that the quarantine's records were given to.
struct Filters<'g> {
    given: &'g Given,
    known: Vec<(Key, FilterInstance)>,
}

impl Filters<'_> {
    fn ask(&mut self, entry: &Entry) -> anyhow::Result<Now> {
        let event = Event { time: entry.time, metadata: Event::NO_METADATA, body: &entry.body };
        match self.instance(entry)?.call(&entry.tag, event) {
            Ok(Verdict::Drop) => Ok(Now::Dropped),
            Ok(verdict) => {
                let texts = verdict.bodies(&entry.body).map(text).collect::<Result<_, _>>()?;
                Ok(Now::Passes(texts))
            }
            Err(error) => Ok(Now::Fails(error)),
        }
    }

    fn instance(&mut self, entry: &Entry) -> anyhow::Result<&mut FilterInstance> {
        let given = self.given;
        let key = Key {
            path: given.module.clone().unwrap_or_else(|| entry.path.clone()),
            function: given.function.clone().unwrap_or_else(|| entry.function.clone()),
            format: if given.msgpack { format(given) } else { entry.format },
        };
        let at = match self.known.iter().position(|(known, _)| *known == key) {
            Some(at) => at,
            None => {
                let instance = start(&key, &entry.module, given).with_context(|| {
                    "cannot load the filter; help: give its module with --module FILE".to_owned()
                })?;
                self.known.push((key, instance));
                self.known.len() - 1
            }
        };
        Ok(&mut self.known[at].1)
    }
}

fn start(key: &Key, recorded: &str, given: &Given) -> anyhow::Result<FilterInstance> {
    let module = load(&key.path, Some(&key.function), key.format, given)?;
    let path = key.path.display();
    module.notes().iter().for_each(|note| eprintln!("note: {note}"));
    if module.source().to_string() != recorded {
        eprintln!("note: {path} is another module than the one that failed");
    }
    module.instantiate().with_context(|| path.to_string())
}

/// What becomes of a record.
enum Now {
    /// It passes as these texts.
    Passes(Vec<String>),
    Dropped,
    Fails(FilterError),
    /// The line is none of a quarantine.
    Unreadable(String),
}

fn as_text(number: usize, was: &str, now: &Now) -> anyhow::Result<String> {
    Ok(match now {
        Now::Passes(texts) => {
            let texts: Vec<&str> = texts.iter().map(|text| text.trim_end()).collect();
            format!("{number}: was {was}, passes: {}\n", texts.join(" "))
        }
        Now::Dropped => format!("{number}: was {was}, dropped\n"),
        Now::Fails(error) => format!("{number}: was {was}, fails: {error}\n"),
        Now::Unreadable(why) => format!("{number}: not a line of a quarantine: {why}\n"),
    })
}

fn as_json(number: usize, was: &str, now: &Now) -> anyhow::Result<String> {
    let object = match now {
        Now::Passes(texts) => {
            // Records are printed as they are; another program's JSON would round their numbers.
            let records: Vec<&str> = texts.iter().map(|text| text.trim_end()).collect();
            let head = object!({ "line": number, "was": was, "now": "passes" }).to_string();
            let head = head.trim_end_matches('}');
            return Ok(format!("{head},\"records\":[{}]}}\n", records.join(",")));
        }
        Now::Dropped => object!({ "line": number, "was": was, "now": "dropped" }),
        Now::Fails(error) => object!({
            "line": number, "was": was, "now": "fails",
            "message": error.to_string(), "backtrace": error.backtrace(),
        }),
        Now::Unreadable(why) => object!({ "line": number, "now": "unreadable", "message": why }),
    };
    Ok(format!("{object}\n"))
}

#[derive(Default)]
struct Sum {
    passed: u64,
    dropped: u64,
    failed: u64,
    unreadable: u64,
}

impl Sum {
    fn add(&mut self, now: &Now) {
        *match now {
            Now::Passes(_) => &mut self.passed,
            Now::Dropped => &mut self.dropped,
            Now::Fails(_) => &mut self.failed,
            Now::Unreadable(_) => &mut self.unreadable,
        } += 1;
    }

    fn line(&self) -> String {
        let Self { passed, dropped, failed, unreadable } = self;
        let all = passed + dropped + failed;
        let mut line = format!("{all} records: {passed} pass, {dropped} dropped, {failed} fail");
        if *unreadable > 0 {
            line.push_str(&format!("; {unreadable} lines are not of a quarantine"));
        }
        line + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_its_record_exactly() {
        let line = |record: &str| {
            format!(
                r#"{{"time":"1.000000005","tag":"t","class":"trap","message":"","backtrace":[],"filter":"wasm.0",
                "path":"f.wasm","module":"","function":"f","format":"json",{record}}}"#
            )
        };
        let entry = Entry::read(line(r#""record":{"a":1}"#).as_bytes()).unwrap();
        assert_eq!(entry.body, b"\x81\xa1a\x01");
        assert_eq!(entry.time, Timestamp { sec: 1, nsec: 5 });
        assert_eq!(entry.format, EventFormat::Json { escape_unicode: true });
        let event =
            STANDARD.encode(b"\x92\x92\xd7\0\0\0\0\x01\0\0\0\x05\x80\x81\xa1a\xca\x3f\x80\0\0");
        let entry = line(&format!(r#""record":{{"a":1.0}},"event":"{event}""#));
        assert_eq!(Entry::read(entry.as_bytes()).unwrap().body, b"\x81\xa1a\xca\x3f\x80\0\0");
        let check = |text: &str, expected: &str| {
            let error = Entry::read(text.as_bytes()).err().unwrap();
            assert!(format!("{error:#}").contains(expected), "{error:#}");
        };
        check("x", "it is no JSON object");
        check(r#"{"a":1}"#, "it has no 'record'");
        check(&line(r#""record":5"#), "its record is no object");
        check(&line(r#""event":"AAAA""#), "its 'event' is cut off");
    }
}
