//! Runs the records of a quarantine again and says what becomes of each.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use flb_event::{Event, Tag, Timestamp, json, msgpack};
use flb_runtime::{EventFormat, FilterError, FilterInstance, FilterModule};
use flb_text::tame_line;
use serde_json::json as object;

use crate::call::{Call, Grants, load};
use crate::groups::Groups;
use crate::input;
use crate::output::{Outcome, note, say, say_json};
use crate::record::{text, time};

/// So many lines in a row that are no records make another file than a quarantine.
const STRANGE: usize = 100;
/// Bytes of a chunk's record before its metadata: headers and time.
const PREFIX: usize = 12;

/// Run the records of a quarantine again and say what becomes of each
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc replay [options] FILE.jsonl")]
pub(crate) struct ReplayArgs {
    /// Run them through this .wasm or .aot file (default: the one they failed in)
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    module: Option<PathBuf>,
    #[command(flatten)]
    call: Call,
    /// Group the failures by what was said and where it was, and say of each how many there are
    #[arg(long)]
    group: bool,
    /// Print one JSON object a record, or a group
    #[arg(long)]
    json: bool,
    #[arg(hide = true)]
    files: Vec<PathBuf>,
}

/// The command `replay`.
pub(crate) fn run(args: &ReplayArgs) -> anyhow::Result<Outcome> {
    let file = input::only_file(&args.files)?;
    let sum = replay_all(file, args)?;
    if let (Some((number, why)), true) = (sum.unreadable.first(), sum.is_of_another_file(1)) {
        let name = file.display();
        anyhow::bail!(
            "{name} is not a quarantine: line {number}: {why}; help: give a file that a filter with \
             On_Error quarantine has written"
        );
    }
    summarize(args, &sum)?;
    Ok(if sum.failed == 0 && sum.unreadable.is_empty() { Outcome::Done } else { Outcome::Problems })
}

/// Runs the records of a file, and says what becomes of each.
fn replay_all(file: &Path, args: &ReplayArgs) -> anyhow::Result<Sum> {
    let named = || file.display().to_string();
    let lines = BufReader::new(File::open(file).map_err(|error| input::unread(file, error))?);
    let mut filters = Filters { args, known: Vec::new() };
    let mut sum = Sum::default();
    for (number, line) in lines.split(b'\n').enumerate() {
        let line = line.with_context(named)?;
        match Entry::read(&line) {
            _ if line.trim_ascii().is_empty() => {}
            Ok(entry) => {
                let now = filters.ask(&entry)?;
                if !args.group {
                    tell(args, number + 1, &entry.class, &now)?;
                }
                sum.add(number + 1, &now);
            }
            Err(error) => sum.unreadable.push((number + 1, format!("{error:#}"))),
        }
        if sum.is_of_another_file(STRANGE) {
            break;
        }
    }
    Ok(sum)
}

fn tell(args: &ReplayArgs, number: usize, was: &str, now: &Now) -> anyhow::Result<()> {
    if args.json {
        say_json(as_json(number, was, now)?)
    } else {
        say(&format!("{number}: was {}, {}\n", tame_line(was), tame_line(&as_text(now))))
    }
}

/// For people how many there were of each kind; for programs, which can count, only the lines that were no records.
fn summarize(args: &ReplayArgs, sum: &Sum) -> anyhow::Result<()> {
    if args.group {
        sum.groups.tell(args.json)?;
    }
    if !args.json {
        return say(&sum.line());
    }
    for (number, why) in &sum.unreadable {
        say_json(object!({ "line": number, "now": "unreadable", "message": why }))?;
    }
    Ok(())
}

/// A line of a quarantine.
struct Entry {
    tag: Tag,
    time: Timestamp,
    metadata: Vec<u8>,
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
        let (metadata, body) = match field("event") {
            Ok(event) => maps_of(&STANDARD.decode(event).context("its 'event' is no base64")?)?,
            Err(_) => (
                find("metadata").unwrap_or(Event::NO_METADATA).to_vec(),
                find("record").context("it has no 'record'")?.to_vec(),
            ),
        };
        msgpack::map_len(&body).context("its record is no object")?;
        msgpack::map_len(&metadata).context("its metadata are no object")?;
        let escape_unicode = find("escape_unicode") != Some(&[0xc2]);
        Ok(Self {
            tag: Tag::new(&field("tag")?)?,
            time: time(&field("time")?)?,
            metadata,
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

/// Metadata and body of a record as chunks have it.
fn maps_of(event: &[u8]) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    let rest = event.get(PREFIX..).context("its 'event' is cut off")?;
    let metadata = msgpack::value_len(rest).context("its 'event' is damaged")?;
    let (metadata, body) = rest.split_at(metadata);
    Ok((metadata.to_vec(), body.to_vec()))
}

/// What the options of a filter and its file make different.
#[derive(PartialEq)]
struct Key {
    path: PathBuf,
    function: String,
    format: EventFormat,
}

/// One instance of every filter that the quarantine's records were given to.
struct Filters<'a> {
    args: &'a ReplayArgs,
    known: Vec<(Key, FilterInstance)>,
}

impl Filters<'_> {
    fn ask(&mut self, entry: &Entry) -> anyhow::Result<Now> {
        let event = Event { time: entry.time, metadata: &entry.metadata, body: &entry.body };
        match self.instance(entry)?.ask(&entry.tag, event) {
            Ok(bodies) if bodies.is_empty() => Ok(Now::Dropped),
            Ok(bodies) => {
                let texts = bodies.iter().map(|body| text(body)).collect::<Result<_, _>>()?;
                Ok(Now::Passes(texts))
            }
            Err(error) => Ok(Now::Fails(error)),
        }
    }

    fn instance(&mut self, entry: &Entry) -> anyhow::Result<&mut FilterInstance> {
        let args = self.args;
        let key = Key {
            path: args.module.clone().unwrap_or_else(|| entry.path.clone()),
            function: args.call.function.clone().unwrap_or_else(|| entry.function.clone()),
            format: args.call.format.unwrap_or(entry.format),
        };
        let at = match self.known.iter().position(|(known, _)| *known == key) {
            Some(at) => at,
            None => {
                let is_new = self.known.iter().all(|(known, _)| known.path != key.path);
                let call = Call {
                    function: Some(key.function.clone()),
                    format: Some(key.format),
                    ..args.call.clone()
                };
                let module = load(&key.path, &call, &Grants::default());
                let instance = module.and_then(|module| start(&module, &key.path));
                let instance = instance.map_err(|error| {
                    let help = "give its module with --module FILE";
                    anyhow::anyhow!("cannot load the filter: {error:#}; help: {help}")
                })?;
                if is_new {
                    say_notes(instance.module(), &key.path, &entry.module);
                }
                self.known.push((key, instance));
                self.known.len() - 1
            }
        };
        Ok(&mut self.known[at].1)
    }
}

fn start(module: &FilterModule, path: &Path) -> anyhow::Result<FilterInstance> {
    module.instantiate().with_context(|| path.display().to_string())
}

/// What there is to know of a file, said when it is loaded first.
fn say_notes(module: &FilterModule, path: &Path, recorded: &str) {
    module.notes().iter().for_each(note);
    if module.source().to_string() != recorded {
        let path = path.display();
        note(format_args!("{path} is another module than the one that failed"));
    }
}

/// What becomes of a record.
enum Now {
    /// It passes as these texts.
    Passes(Vec<String>),
    Dropped,
    Fails(FilterError),
}

fn as_text(now: &Now) -> String {
    match now {
        Now::Passes(texts) => format!("passes: {}", texts.join(" ")),
        Now::Dropped => "dropped".to_owned(),
        Now::Fails(error) => format!("fails: {error}"),
    }
}

fn as_json(number: usize, was: &str, now: &Now) -> anyhow::Result<String> {
    let object = match now {
        Now::Passes(texts) => {
            // Records are printed as they are; another program's JSON would round their numbers.
            let head = object!({ "line": number, "was": was, "now": "passes" }).to_string();
            let head = head.trim_end_matches('}');
            return Ok(format!("{head},\"records\":[{}]}}", texts.join(",")));
        }
        Now::Dropped => object!({ "line": number, "was": was, "now": "dropped" }),
        Now::Fails(error) => object!({
            "line": number, "was": was, "now": "fails",
            "message": error.to_string(), "backtrace": error.backtrace(),
        }),
    };
    Ok(object.to_string())
}

#[derive(Default)]
struct Sum {
    passed: u64,
    dropped: u64,
    failed: u64,
    groups: Groups,
    /// Numbers of lines that are none of a quarantine, and why.
    unreadable: Vec<(usize, String)>,
}

impl Sum {
    fn add(&mut self, line: usize, now: &Now) {
        if let Now::Fails(error) = now {
            self.groups.add(line, error);
        }
        *match now {
            Now::Passes(_) => &mut self.passed,
            Now::Dropped => &mut self.dropped,
            Now::Fails(_) => &mut self.failed,
        } += 1;
    }

    fn records(&self) -> u64 {
        self.passed + self.dropped + self.failed
    }

    /// Whether there were at least so many lines, and none of them a record.
    fn is_of_another_file(&self, lines: usize) -> bool {
        self.records() == 0 && self.unreadable.len() >= lines
    }

    fn line(&self) -> String {
        let Self { passed, dropped, failed, unreadable, .. } = self;
        let all = self.records();
        let mut line = format!("{all} records: {passed} pass, {dropped} dropped, {failed} fail");
        if let Some((number, why)) = unreadable.first() {
            let (count, why) = (unreadable.len(), tame_line(why));
            line.push_str(&format!(
                "; lines that are not of a quarantine: {count}, the first is line {number}: {why}"
            ));
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
