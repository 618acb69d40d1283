//! Cases: records that a filter is given, and what must come of them. One format, in YAML or in lines of JSON; `docs/write-a-filter.md` has it.

mod read;
mod yaml;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use flb_event::{Event, Tag, Timestamp, json};

use crate::fate::Made;
use crate::input;
use read::{Object, body};

/// The tag and the time of records that have none of their own.
const TAG: &str = "test";
const TIME: Timestamp = Timestamp { sec: 1_700_000_000, nsec: 5 };

/// Where cases are looked for when no file is named.
const PLACES: [&str; 3] = ["cases.yaml", "cases.yml", "cases.jsonl"];

/// What a case may say.
const KEYS: [&str; 9] =
    ["about", "filter", "tag", "time", "metadata", "config", "records", "becomes", "fails"];

/// Records, and what must come of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Case {
    pub(crate) file: PathBuf,
    pub(crate) line: usize,
    /// The fact that it states.
    pub(crate) about: String,
    /// The function, if it is not the only one.
    pub(crate) filter: Option<String>,
    pub(crate) tag: Tag,
    pub(crate) time: Timestamp,
    pub(crate) metadata: Vec<u8>,
    pub(crate) config: Vec<(String, String)>,
    /// The bodies, msgpack.
    pub(crate) records: Vec<Vec<u8>>,
    pub(crate) becomes: Vec<Made>,
    pub(crate) fails: Vec<Failure>,
}

/// A failure that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The number of the record, from 0; none if the module does not start.
    pub(crate) record: Option<usize>,
    pub(crate) class: String,
    /// A part of the message.
    pub(crate) why: String,
}

/// The class of a module that does not start.
pub(crate) const START: &str = "start";

/// Reads the cases of these files; of those in this folder if none is named.
pub(crate) fn read(files: &[PathBuf]) -> anyhow::Result<Vec<Case>> {
    let found;
    let files = match files {
        [] => {
            found = PLACES.map(PathBuf::from).into_iter().filter(|path| path.exists());
            &found.collect::<Vec<_>>()
        }
        named => named,
    };
    let mut cases = Vec::new();
    for file in files {
        cases.extend(read_file(file)?);
    }
    anyhow::ensure!(
        !cases.is_empty(),
        "there are no cases; help: write some into {}, or name a file with cases behind the filter",
        PLACES[0]
    );
    Ok(cases)
}

fn read_file(file: &Path) -> anyhow::Result<Vec<Case>> {
    let text = input::text(file)?;
    let is_yaml = matches!(file.extension().and_then(|end| end.to_str()), Some("yaml" | "yml"));
    let objects = if is_yaml { yaml::objects(&text) } else { lines(&text) };
    let at = |line: usize| format!("{}:{line}", file.display());
    let objects = objects.map_err(|Misread { line, error }| error.context(at(line)))?;
    let case = |(line, object): (usize, Vec<u8>)| {
        Case::read(file, line, &object).with_context(|| at(line))
    };
    objects.into_iter().map(case).collect()
}

/// The objects of a file, each with its line.
type Objects = Result<Vec<(usize, Vec<u8>)>, Misread>;

/// What is wrong with a file, and on which line.
struct Misread {
    line: usize,
    error: anyhow::Error,
}

/// The objects of lines of JSON.
fn lines(text: &str) -> Objects {
    let lines = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    let object = |(text, line)| match object(text) {
        Ok(object) => Ok((line, object)),
        Err(error) => Err(Misread { line, error }),
    };
    lines.map(object).collect()
}

fn object(line: &str) -> anyhow::Result<Vec<u8>> {
    let mut object = Vec::new();
    let read = json::parse_object(line.as_bytes(), &mut object);
    let end = read.context("it is no JSON object")?;
    anyhow::ensure!(
        line[end..].trim().is_empty(),
        "more follows the object; help: write one case a line"
    );
    Ok(object)
}

impl Case {
    fn read(file: &Path, line: usize, object: &[u8]) -> anyhow::Result<Self> {
        let case = Object::of(object, "a case")?;
        case.only(&KEYS)?;
        let tag = Tag::new(case.text("tag")?.unwrap_or(TAG))?;
        let time = case.time("time")?.unwrap_or(TIME);
        let metadata = case.map("metadata")?.unwrap_or(Event::NO_METADATA).to_vec();
        let whole = Made { tag: tag.clone(), time, metadata: metadata.clone(), body: Vec::new() };
        let records = case.list("records")?;
        anyhow::ensure!(
            !records.is_empty(),
            "it has no 'records'; help: records: [{{\"log\": \"hello\"}}]"
        );
        let becomes = case.list("becomes")?;
        let becomes = becomes.into_iter().map(|made| Made::read(made, &whole));
        let fails = case.list("fails")?.into_iter().map(Failure::read);
        let fails = fails.collect::<anyhow::Result<Vec<_>>>()?;
        let mut named = fails.iter().filter_map(|fail| fail.record);
        if let Some(beyond) = named.find(|record| *record >= records.len()) {
            anyhow::bail!(
                "'fails' names record {beyond}, and there are {}; help: the first is record 0",
                records.len()
            );
        }
        Ok(Self {
            file: file.to_owned(),
            line,
            about: case.text("about")?.map_or_else(|| format!("line {line}"), str::to_owned),
            filter: case.text("filter")?.map(str::to_owned),
            tag,
            time,
            metadata,
            config: case.settings("config")?,
            records: records.into_iter().map(body).collect::<Result<_, _>>()?,
            becomes: becomes.collect::<Result<_, _>>()?,
            fails,
        })
    }
}

impl Made {
    /// A body, or an array of it and an object of what else is its own.
    fn read(made: &[u8], whole: &Self) -> anyhow::Result<Self> {
        let Some(parts) = read::elements(made) else {
            return Ok(Self { body: body(made)?, ..whole.clone() });
        };
        let [body_of, own] = parts[..] else {
            anyhow::bail!(
                "an array in 'becomes' is a body and an object with 'tag', 'time' and 'metadata'"
            );
        };
        let own = Object::of(own, "what stands behind a body")?;
        own.only(&["tag", "time", "metadata"])?;
        Ok(Self {
            tag: own.text("tag")?.map_or(Ok(whole.tag.clone()), Tag::new)?,
            time: own.time("time")?.unwrap_or(whole.time),
            metadata: own.map("metadata")?.map_or_else(|| whole.metadata.clone(), <[u8]>::to_vec),
            body: body(body_of)?,
        })
    }
}

impl Failure {
    fn read(value: &[u8]) -> anyhow::Result<Self> {
        const CLASSES: [&str; 7] =
            ["trap", "deadline", "memory", "bad_output", "exit", "refused", START];
        let failure = Object::of(value, "an entry of 'fails'")?;
        failure.only(&["record", "class", "why"])?;
        let class = failure.text("class")?.context("an entry of 'fails' has no 'class'")?;
        anyhow::ensure!(
            CLASSES.contains(&class),
            "'{class}' is no class of failures; help: it is one of {}",
            CLASSES.join(", ")
        );
        Ok(Self {
            record: failure.number("record")?,
            class: class.to_owned(),
            why: failure.text("why")?.unwrap_or_default().to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str, text: &str) -> anyhow::Result<Vec<Case>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join(name);
        std::fs::write(&file, text)?;
        read_file(&file)
    }

    #[test]
    fn yaml_and_lines_of_json_say_the_same() {
        let yaml = "# cases\n- about: a fact\n  filter: f\n  tag: app\n  time: [5, 6]\n  config: {limit: 7}\n  records:\n    - {a: 1, b: [x, null, 1.5, \"2\"]}\n    - \"80\"\n  becomes:\n    - {a: 1}\n    - [{}, {tag: b}]\n  fails:\n    - {record: 1, class: trap, why: no}\n";
        let json = "\n{\"about\":\"a fact\",\"filter\":\"f\",\"tag\":\"app\",\"time\":[5,6],\"config\":{\"limit\":\"7\"},\"records\":[{\"a\":1,\"b\":[\"x\",null,1.5,\"2\"]},\"80\"],\"becomes\":[{\"a\":1},[{},{\"tag\":\"b\"}]],\"fails\":[{\"record\":1,\"class\":\"trap\",\"why\":\"no\"}]}\n";
        let (yaml, json) = (parsed("c.yaml", yaml).unwrap(), parsed("c.jsonl", json).unwrap());
        assert_eq!(yaml.len(), 1);
        let same = Case { file: json[0].file.clone(), ..yaml[0].clone() };
        assert_eq!(same, json[0]);
        assert_eq!(json[0].line, 2);
        assert_eq!(json[0].becomes[1].tag.as_str(), "b");
        assert_eq!(json[0].records[1], [0x80]);
    }

    #[test]
    fn documents_are_cases_as_entries_of_a_list_are() {
        let cases = parsed("c.yaml", "records: [{}]\n---\nrecords: [{a: 0123}]\n").unwrap();
        assert_eq!((cases[0].line, cases[1].line), (1, 3));
        assert_eq!(cases[1].records[0], b"\x81\xa1a\xa40123");
    }

    #[test]
    fn the_suite_of_the_sdks_is_read() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sdk/conformance/cases.jsonl");
        let cases = read_file(&file).unwrap();
        assert!(cases.len() > 30);
        assert!(cases.iter().any(|case| case.fails.iter().any(|fail| fail.class == START)));
    }

    #[test]
    fn mistakes_are_told_with_their_places() {
        let check = |name: &str, text: &str, expected: &str| {
            let error = format!("{:#}", parsed(name, text).unwrap_err());
            assert!(error.contains(expected), "{error}");
        };
        check("c.jsonl", "\nx", "c.jsonl:2: it is no JSON object");
        check("c.jsonl", "{\"records\":[{}]} {}", "c.jsonl:1: more follows the object");
        check("c.jsonl", "{}", "c.jsonl:1: it has no 'records'");
        check(
            "c.jsonl",
            "{\"record\":[]}",
            "'record' is no key of a case; help: did you mean 'records'?",
        );
        check("c.jsonl", "{\"records\":5}", "'records' is no list");
        check(
            "c.jsonl",
            "{\"records\":[\"8\"]}",
            "'8' is neither an object nor msgpack in hexadecimal digits",
        );
        check(
            "c.jsonl",
            "{\"records\":[{}],\"fails\":[{\"class\":\"x\"}]}",
            "it is one of trap, deadline",
        );
        check(
            "c.jsonl",
            "{\"records\":[{}],\"fails\":[{\"record\":1,\"class\":\"trap\"}]}",
            "'fails' names record 1, and there are 1; help: the first is record 0",
        );
        check("c.yaml", "- records: [{]", "c.yaml:1: ");
        check("c.yaml", "- a\n", "c.yaml:1: a case is no map");
        check("c.yaml", "- records: *x", "c.yaml:1: ");
    }
}
