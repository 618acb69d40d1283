//! `file`: appends records to files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use flb_event::json::{JsonOptions, Printer};
use flb_event::msgpack::{self, MsgpackError};
use flb_event::{Chunk, Event, Tag, text};
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Kind, OptionSpec, Options, Output, OutputError, Spec,
};

use super::{date, json};
use crate::log::{Label, Mishaps};

pub(super) const SPEC: Spec<dyn Output> = Spec {
    name: "file",
    about: "Append records to files",
    options: &[
        OptionSpec::new("path", Kind::Text, None, "Directory of the file"),
        OptionSpec::new("file", Kind::Text, None, "Name of the file; without, the tag is it"),
        OptionSpec::new("format", Kind::Choice(FORMATS), Some("out_file"), "How records look"),
        OptionSpec::new("delimiter", Kind::Text, None, "Between values: tab, space, comma, text"),
        OptionSpec::new("label_delimiter", Kind::Text, None, "Between label and value in ltsv"),
        OptionSpec::new("template", Kind::Text, Some("{time} {message}"), "Line of template"),
        OptionSpec::new("csv_column_names", Kind::Bool, Some("off"), "Begin csv with the keys"),
        OptionSpec::new("mkdir", Kind::Bool, Some("off"), "Make the directory if it is missing"),
    ],
    build,
};

const FORMATS: &[&str] = &["out_file", "plain", "csv", "ltsv", "template", "msgpack"];

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(FileOutput(Arc::new(Appender {
        label: Label::output("file", build),
        folder: options.text("path").map(PathBuf::from),
        name: options.text("file").map(PathBuf::from),
        makes_folder: options.bool("mkdir"),
        format: Format::new(options),
        json: json::json_options(build),
        turn: Mutex::new(()),
        unprintable: Mishaps::default(),
    }))))
}

/// How records look.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Format {
    /// `tag: [1.000000000, {"k":"v"}]`
    OutFile,
    /// `{"k":"v"}`
    Plain,
    /// `1.000000000,"v"`
    Csv { delimiter: String, column_names: bool },
    /// `"time":1.000000` and `"k":"v"`, between tabs.
    Ltsv { delimiter: String, label_delimiter: String },
    /// Text of the user's own.
    Template(Vec<Part>),
    /// The chunk's bytes.
    Msgpack,
}

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `{time}`
    Time,
    /// `{key}`
    Key(String),
}

impl Format {
    fn new(options: &Options) -> Self {
        let delimiter = |name: &str, default: &str| {
            options.text(name).map_or_else(|| default.to_owned(), delimiter)
        };
        match options.text("format").unwrap_or_default() {
            "plain" => Self::Plain,
            "csv" => Self::Csv {
                delimiter: delimiter("delimiter", ","),
                column_names: options.bool("csv_column_names"),
            },
            "ltsv" => Self::Ltsv {
                delimiter: delimiter("delimiter", "\t"),
                label_delimiter: delimiter("label_delimiter", ":"),
            },
            "template" => Self::Template(template(options.text("template").unwrap_or_default())),
            "msgpack" => Self::Msgpack,
            _ => Self::OutFile,
        }
    }
}

/// A delimiter by its name, or as it is.
fn delimiter(text: &str) -> String {
    match text.to_ascii_lowercase().as_str() {
        "\\t" | "tab" => "\t",
        "\\s" | "space" => " ",
        "comma" => ",",
        _ => text,
    }
    .to_owned()
}

fn template(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let Some((key, after)) = behind.split_once('}') else { break };
        parts.push(Part::Text(before.to_owned()));
        parts.push(if key == "time" { Part::Time } else { Part::Key(key.to_owned()) });
        rest = after;
    }
    parts.push(Part::Text(rest.to_owned()));
    parts
}

struct FileOutput(Arc<Appender>);

impl Output for FileOutput {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        let (appender, chunk) = (self.0.clone(), chunk.clone());
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || appender.append(&chunk)).await {
                Ok(flush) => flush,
                Err(error) => Flush::Fail(OutputError(error.to_string())),
            }
        })
    }
}

/// Appends chunks, one at a time.
struct Appender {
    label: Label,
    folder: Option<PathBuf>,
    name: Option<PathBuf>,
    makes_folder: bool,
    format: Format,
    json: JsonOptions,
    turn: Mutex<()>,
    unprintable: Mishaps,
}

impl Appender {
    fn append(&self, chunk: &Chunk) -> Flush {
        let path = self.path(chunk.tag());
        // A poisoned lock means that another chunk came to grief; this one still has its turn.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        match self.append_to(&path, chunk) {
            Ok(()) => Flush::Done,
            Err(error) => {
                let reason = format!("cannot write to {}: {error}", path.display());
                if is_permanent(&error) {
                    tracing::error!("{} {reason}", self.label);
                    Flush::Fail(OutputError(reason))
                } else {
                    Flush::Retry { reason, after: None }
                }
            }
        }
    }

    fn path(&self, tag: &Tag) -> PathBuf {
        let name = self.name.clone().unwrap_or_else(|| PathBuf::from(file_name(tag)));
        self.folder.as_ref().map_or(name.clone(), |folder| folder.join(name))
    }

    fn append_to(&self, path: &Path, chunk: &Chunk) -> io::Result<()> {
        let mut file = self.open(path)?;
        let length = file.metadata()?.len();
        let text = self.text(chunk, length == 0);
        append_whole(&mut file, length, &text)
    }

    fn open(&self, path: &Path) -> io::Result<File> {
        let open = || OpenOptions::new().append(true).create(true).open(path);
        match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.makes_folder => {
                path.parent().map_or(Ok(()), fs::create_dir_all)?;
                open()
            }
            other => other,
        }
    }

    /// The whole chunk's text. `is_first`: the file is empty so far.
    fn text(&self, chunk: &Chunk, is_first: bool) -> Vec<u8> {
        if self.format == Format::Msgpack {
            return chunk.bytes().to_vec();
        }
        let mut out = Vec::with_capacity(chunk.bytes().len() * 2);
        let mut printer = Printer::new(self.json);
        for event in chunk.records() {
            let start = out.len();
            let names_columns = is_first && start == 0;
            let written = self.write(chunk.tag(), event, names_columns, &mut printer, &mut out);
            if let Err(error) = written {
                out.truncate(start);
                if let Some(total) = self.unprintable.another() {
                    tracing::error!(
                        "{} a record is left out: {error} ({total} so far)",
                        self.label
                    );
                }
            }
        }
        out
    }

    fn write(
        &self,
        tag: &Tag,
        event: Event<'_>,
        names_columns: bool,
        printer: &mut Printer,
        out: &mut Vec<u8>,
    ) -> Result<(), MsgpackError> {
        match &self.format {
            Format::OutFile => {
                date::print(out, format_args!("{tag}: ["));
                date::write_nanos(event.time, out);
                out.extend_from_slice(b", ");
                printer.print(event.body, out)?;
                out.extend_from_slice(b"]\n");
            }
            Format::Plain => {
                printer.print(event.body, out)?;
                out.push(b'\n');
            }
            Format::Csv { delimiter, column_names } => {
                write_csv(event, delimiter, *column_names && names_columns, out)?;
            }
            Format::Ltsv { delimiter, label_delimiter } => {
                write_ltsv(event, delimiter, label_delimiter, out)?;
            }
            Format::Template(parts) => write_template(event, parts, out)?,
            Format::Msgpack => {}
        }
        Ok(())
    }
}

fn write_csv(
    event: Event<'_>,
    delimiter: &str,
    names_columns: bool,
    out: &mut Vec<u8>,
) -> Result<(), MsgpackError> {
    if names_columns {
        out.extend_from_slice(b"timestamp");
        for entry in msgpack::entries(event.body)? {
            out.extend_from_slice(delimiter.as_bytes());
            text::write(entry?.0, out)?;
        }
        out.push(b'\n');
    }
    date::write_nanos(event.time, out);
    for entry in msgpack::entries(event.body)? {
        out.extend_from_slice(delimiter.as_bytes());
        text::write(entry?.1, out)?;
    }
    out.push(b'\n');
    Ok(())
}

fn write_ltsv(
    event: Event<'_>,
    delimiter: &str,
    label_delimiter: &str,
    out: &mut Vec<u8>,
) -> Result<(), MsgpackError> {
    date::print(out, format_args!("\"time\"{label_delimiter}"));
    date::write_micros(event.time, out);
    for entry in msgpack::entries(event.body)? {
        let (key, value) = entry?;
        out.extend_from_slice(delimiter.as_bytes());
        text::write(key, out)?;
        out.extend_from_slice(label_delimiter.as_bytes());
        text::write(value, out)?;
    }
    out.push(b'\n');
    Ok(())
}

fn write_template(event: Event<'_>, parts: &[Part], out: &mut Vec<u8>) -> Result<(), MsgpackError> {
    for part in parts {
        match part {
            Part::Text(text) => out.extend_from_slice(text.as_bytes()),
            Part::Time => date::write_micros(event.time, out),
            Part::Key(key) => match value_of(event.body, key.as_bytes())? {
                None => date::print(out, format_args!("{{{key}}}")),
                Some(value) => match msgpack::as_str(value) {
                    Some(string) => out.extend_from_slice(string),
                    None => text::write(value, out)?,
                },
            },
        }
    }
    out.push(b'\n');
    Ok(())
}

/// The value of the first entry with this key.
fn value_of<'a>(body: &'a [u8], wanted: &[u8]) -> Result<Option<&'a [u8]>, MsgpackError> {
    for entry in msgpack::entries(body)? {
        let (key, value) = entry?;
        if msgpack::as_str(key) == Some(wanted) {
            return Ok(Some(value));
        }
    }
    Ok(None)
}

/// A file name made of a tag: it names one file in the directory, whatever the tag says.
fn file_name(tag: &Tag) -> String {
    let plain = |letter: char| {
        let is_plain = letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        if is_plain { letter } else { '_' }
    };
    let name: String = tag.as_str().chars().map(plain).collect();
    if name.bytes().all(|byte| byte == b'.') { "_".repeat(name.len().max(1)) } else { name }
}

/// Appends all of `text` or none of it: what is written of it goes again if the rest can't be written. `length` is the
/// file's before.
fn append_whole(file: &mut File, length: u64, text: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < text.len() {
        match file.write(&text[written..]) {
            Ok(0) => return Err(take_back(file, length, written, io::ErrorKind::WriteZero.into())),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(take_back(file, length, written, error)),
        }
    }
    Ok(())
}

/// Takes back what was written, so that it is not there twice after another try. Returns the error to report.
fn take_back(file: &File, length: u64, written: usize, error: io::Error) -> io::Error {
    // Another writer's text may stand behind ours, and must stay.
    let is_ours =
        |metadata: fs::Metadata| metadata.is_file() && metadata.len() == length + written as u64;
    if written == 0 || !file.metadata().is_ok_and(is_ours) {
        return error;
    }
    match file.set_len(length) {
        Ok(()) => error,
        Err(second) => io::Error::new(
            error.kind(),
            format!("{error}; {written} bytes are written and stay: {second}"),
        ),
    }
}

/// Whether trying again is of no use.
fn is_permanent(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::NotFound
            | Kind::PermissionDenied
            | Kind::IsADirectory
            | Kind::NotADirectory
            | Kind::ReadOnlyFilesystem
            | Kind::InvalidFilename
            | Kind::InvalidInput
            | Kind::FileTooLarge
            | Kind::BrokenPipe
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const RECORDS: &[(u32, u32, &str)] = &[
        (1_700_000_000, 123_456_789, r#"{"message":"a b","n":1.5}"#),
        (7, 5, r#"{"message":"c","m":{"x":[1]}}"#),
    ];

    fn flush(folder: &Path, given: &[(&str, &str)], tag: &str) -> Flush {
        let path = folder.display().to_string();
        let given: Vec<(&str, &str)> =
            [("path", path.as_str())].into_iter().chain(given.iter().copied()).collect();
        let output = testing::build(&SPEC, &given).unwrap();
        testing::block_on(output.flush(&testing::chunk(tag, RECORDS)))
    }

    fn check(given: &[(&str, &str)], expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let given: Vec<(&str, &str)> = [("file", "out")].iter().chain(given).copied().collect();
        assert!(matches!(flush(folder.path(), &given, "t.a"), Flush::Done));
        assert_eq!(fs::read_to_string(folder.path().join("out")).unwrap(), expected);
    }

    #[test]
    fn the_default_line_has_tag_time_and_json() {
        check(
            &[],
            "t.a: [1700000000.123456789, {\"message\":\"a b\",\"n\":1.5}]\n\
             t.a: [7.000000005, {\"message\":\"c\",\"m\":{\"x\":[1]}}]\n",
        );
    }

    #[test]
    fn plain_is_json_alone() {
        check(
            &[("format", "plain")],
            "{\"message\":\"a b\",\"n\":1.5}\n{\"message\":\"c\",\"m\":{\"x\":[1]}}\n",
        );
    }

    #[test]
    fn csv_has_the_time_and_the_values() {
        check(
            &[("format", "csv")],
            "1700000000.123456789,\"a b\",1.500000\n7.000000005,\"c\",{\"x\"=>[1]}\n",
        );
        check(
            &[("format", "csv"), ("delimiter", "tab"), ("csv_column_names", "on")],
            "timestamp\t\"message\"\t\"n\"\n\
             1700000000.123456789\t\"a b\"\t1.500000\n7.000000005\t\"c\"\t{\"x\"=>[1]}\n",
        );
    }

    #[test]
    fn csv_of_a_record_without_keys_is_the_time_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().display().to_string();
        let given = [("path", path.as_str()), ("file", "out"), ("format", "csv")];
        let output = testing::build(&SPEC, &given).unwrap();
        let chunk = testing::chunk("t", &[(7, 5, "{}")]);
        assert!(matches!(testing::block_on(output.flush(&chunk)), Flush::Done));
        assert_eq!(fs::read_to_string(folder.path().join("out")).unwrap(), "7.000000005\n");
    }

    #[test]
    fn ltsv_has_labels() {
        check(
            &[("format", "ltsv")],
            "\"time\":1700000000.123457\t\"message\":\"a b\"\t\"n\":1.500000\n\
             \"time\":7.000000\t\"message\":\"c\"\t\"m\":{\"x\"=>[1]}\n",
        );
        check(
            &[("format", "ltsv"), ("delimiter", "comma"), ("label_delimiter", "=")],
            "\"time\"=1700000000.123457,\"message\"=\"a b\",\"n\"=1.500000\n\
             \"time\"=7.000000,\"message\"=\"c\",\"m\"={\"x\"=>[1]}\n",
        );
    }

    #[test]
    fn a_template_is_filled_in_and_unknown_keys_stay() {
        check(
            &[("format", "template"), ("template", "{time}|{message}|{n}|{")],
            "1700000000.123457|a b|1.500000|{\n7.000000|c|{n}|{\n",
        );
        check(&[("format", "template")], "1700000000.123457 a b\n7.000000 c\n");
    }

    #[test]
    fn msgpack_is_the_chunk_itself() {
        let folder = tempfile::tempdir().unwrap();
        flush(folder.path(), &[("format", "msgpack")], "t");
        let chunk = testing::chunk("t", RECORDS);
        assert_eq!(fs::read(folder.path().join("t")).unwrap(), chunk.bytes());
    }

    #[test]
    fn chunks_are_appended_and_columns_named_once() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            flush(folder.path(), &[("format", "csv"), ("csv_column_names", "on")], "t");
        }
        let text = fs::read_to_string(folder.path().join("t")).unwrap();
        assert_eq!(text.lines().count(), 5);
        assert_eq!(text.matches("timestamp").count(), 1);
    }

    #[test]
    fn a_tag_never_leads_out_of_the_directory() {
        for (tag, name) in [
            ("a.b-c_D9", "a.b-c_D9"),
            ("../etc/x y", ".._etc_x_y"),
            ("..", "__"),
            (".", "_"),
            ("", "_"),
            ("é", "_"),
        ] {
            assert_eq!(file_name(&Tag::new(tag).unwrap()), name, "{tag}");
        }
    }

    #[test]
    fn a_missing_directory_fails_unless_mkdir_makes_it() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("x/y");
        let Flush::Fail(error) = flush(&missing, &[], "t") else { panic!("it fails") };
        assert!(error.0.starts_with(&format!("cannot write to {}/t: ", missing.display())));
        assert!(matches!(flush(&missing, &[("mkdir", "on")], "t"), Flush::Done));
        assert!(missing.join("t").exists());
    }

    #[test]
    fn a_full_disk_is_tried_again() {
        let flush = flush(Path::new("/dev"), &[("file", "full")], "t");
        let Flush::Retry { reason, .. } = flush else { panic!("it is tried again: {flush:?}") };
        assert!(reason.starts_with("cannot write to /dev/full: "), "{reason}");
    }

    #[test]
    fn what_was_written_in_part_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, "before, half").unwrap();
        let file = OpenOptions::new().append(true).open(&path).unwrap();
        let error = take_back(&file, 6, 6, io::ErrorKind::StorageFull.into());
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        take_back(&file, 2, 1, io::ErrorKind::StorageFull.into());
        assert_eq!(fs::read_to_string(&path).unwrap(), "before", "another wrote behind");
    }
}
