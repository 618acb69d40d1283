//! `file`: appends records to files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use flb_event::json::{JsonOptions, Printer};
use flb_event::{Chunk, ChunkBuilder, Tag};
use flb_plugin::keys::{Bool, Choice, Int, Key, Size, Text};
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Options, Output, OutputError, Spec, Table, is_exhausted,
    keys,
};

use self::destination::{Destination, Otherwise};
use self::format::{Format, FormatName};
use self::rotation::Rotation;
use super::json;
use flb_plugin::log::{Label, Mishaps};

mod aside;
mod destination;
mod format;
mod rotation;

keys! {
    const KEYS;
    PATH: Option<Text> = Key::new("path", "Directory; logs/$key goes by the record");
    FILE: Option<Text> = Key::new("file", "Name, as path; without, the tag is it");
    ENABLE_STRFTIME: Bool = Key::new("enable_strftime", "Fill in %Y-%m-%d in both").default("off");
    MAX_DYNAMIC_FILES: Int =
        Key::new("max_dynamic_files", "Files that records name").default("1024");
    ON_MISSING_FIELD: Choice<Otherwise> =
        Key::new("on_missing_field", "If a record cannot name its file").default("error");
    ON_LIMIT_REACHED: Choice<Otherwise> =
        Key::new("on_limit_reached", "If there are too many files").default("error");
    FALLBACK_PATH: Option<Text> = Key::new("fallback_path", "Directory of fallback_file");
    FALLBACK_FILE: Option<Text> = Key::new("fallback_file", "File for records without their own");
    FORMAT: Choice<FormatName> = Key::new("format", "How records look").default("out_file");
    DELIMITER: Option<Text> = Key::new("delimiter", "Between values: tab, space, comma, text");
    LABEL_DELIMITER: Option<Text> = Key::new("label_delimiter", "Between label and value in ltsv");
    TEMPLATE: Text = Key::new("template", "Line of template").default("{time} {message}");
    CSV_COLUMN_NAMES: Bool = Key::new("csv_column_names", "Begin csv with the keys").default("off");
    MKDIR: Bool = Key::new("mkdir", "Make the directory if it is missing").default("off");
    ROTATE: Bool = Key::new("rotate", "Put a file aside that is large").default("off");
    ROTATE_MAX_SIZE: Size = Key::new("rotate_max_size", "How large").default("100M");
    ROTATE_MAX_FILES: Int = Key::new("rotate_max_files", "How many are kept aside").default("7");
    ROTATE_GZIP: Bool = Key::new("rotate_gzip", "Compress what is put aside").default("on");
}

pub(super) const SPEC: Spec<dyn Output> =
    Spec { name: "file", about: "Append records to files", options: Table(&[KEYS]), build };

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    Ok(Box::new(FileOutput(Arc::new(Appender {
        label: Label::output("file", build),
        destination: Destination::new(options, build)?,
        unwritable: Mishaps::default(),
        makes_folder: options.get(MKDIR),
        format: Format::new(options),
        rotation: Rotation::new(options, build)?,
        json: json::json_options(build),
        turn: Mutex::new(()),
        unprintable: Mishaps::default(),
    }))))
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
    destination: Destination,
    makes_folder: bool,
    format: Format,
    rotation: Option<Rotation>,
    json: JsonOptions,
    turn: Mutex<()>,
    unprintable: Mishaps,
    /// Files that can't be written.
    unwritable: Mishaps,
}

/// Records that have no file that could be written, and why the first of them have none.
#[derive(Default)]
struct Refused {
    parts: Vec<Chunk>,
    reason: Option<String>,
}

impl Refused {
    fn add(&mut self, records: Chunk, reason: String) {
        self.parts.push(records);
        self.reason.get_or_insert(reason);
    }

    fn len(&self) -> usize {
        self.parts.iter().map(Chunk::len).sum()
    }

    /// All of them, which come from a chunk of this tag. One part is not copied.
    fn records(self, tag: &Tag) -> Chunk {
        if let [only] = &self.parts[..] {
            return only.clone();
        }
        let mut all = ChunkBuilder::new(tag.clone());
        for part in &self.parts {
            // They come from one chunk, so they fit into one.
            let _ = all.append(part);
        }
        all.build()
    }
}

impl Appender {
    /// Appends all records whose files can be written. If one of these may only be written later, nothing is appended.
    fn append(&self, chunk: &Chunk) -> Flush {
        let split = self.destination.split(chunk);
        let mut left_out = split.dropped;
        let mut refused = Refused::default();
        if let Some((records, reason)) = split.refused {
            refused.add(records, reason);
        }
        // A poisoned lock means that another chunk came to grief; this one still has its turn.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut appended: Vec<Appended<'_>> = Vec::new();
        for (path, part) in &split.parts {
            if let Some(rotation) = &self.rotation {
                rotation.look(path, &jiff::Zoned::now());
            }
            match self.append_to(path, part) {
                Ok((done, unprintable)) => {
                    appended.push(done);
                    left_out += unprintable;
                }
                Err(error) if is_permanent(&error) => {
                    self.destination.forget(path);
                    refused.add(part.clone(), self.unwritable(path, &error));
                }
                Err(error) => {
                    let error = appended.iter().fold(error, |error, done| done.take_back(error));
                    return later(&error, cannot_write(path, &error));
                }
            }
        }
        fate(chunk, left_out, refused)
    }

    /// Tells, now and then, of a file that can't be written. Returns the reason.
    fn unwritable(&self, path: &Path, error: &io::Error) -> String {
        let reason = cannot_write(path, error);
        if let Some(total) = self.unwritable.another() {
            tracing::error!("{} {reason} ({total} such failures so far)", self.label);
        }
        reason
    }

    /// What was appended, and how many records are not in it.
    fn append_to<'p>(&self, path: &'p Path, chunk: &Chunk) -> io::Result<(Appended<'p>, usize)> {
        let mut file = self.open(path)?;
        let length = file.metadata()?.len();
        let (text, left_out) = self.text(chunk, length == 0);
        append_whole(&mut file, length, &text)?;
        Ok((Appended { path, length, written: text.len() }, left_out))
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

    /// The whole chunk's text, and how many records are not in it. `is_first`: the file is empty so far.
    fn text(&self, chunk: &Chunk, is_first: bool) -> (Vec<u8>, usize) {
        let mut left_out = 0;
        if self.format == Format::Msgpack {
            return (chunk.bytes().to_vec(), left_out);
        }
        let mut out = Vec::with_capacity(chunk.bytes().len() * 2);
        let mut printer = Printer::new(self.json);
        for event in chunk.records() {
            let start = out.len();
            let names_columns = is_first && start == 0;
            let written =
                self.format.write(chunk.tag(), event, names_columns, &mut printer, &mut out);
            if let Err(error) = written {
                out.truncate(start);
                left_out += 1;
                self.unprintable.left_out(&self.label, &error);
            }
        }
        (out, left_out)
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> String {
    format!("cannot write to {}: {error}", path.display())
}

/// A chunk that is to be tried again.
fn later(error: &io::Error, reason: String) -> Flush {
    if is_exhausted(error) {
        Flush::NoRoom { reason }
    } else {
        Flush::Retry { reason, after: None }
    }
}

/// What became of a chunk of which so many records are dropped as configured, and these refused.
fn fate(chunk: &Chunk, dropped: usize, refused: Refused) -> Flush {
    let left_out = dropped + refused.len();
    match &refused.reason {
        None => Flush::but(dropped),
        Some(reason) if refused.len() == chunk.len() => Flush::Fail(OutputError(reason.clone())),
        Some(_) => Flush::Partly { left_out, refused: Some(refused.records(chunk.tag())) },
    }
}

/// What was appended to a file.
struct Appended<'p> {
    path: &'p Path,
    /// The file's length before.
    length: u64,
    written: usize,
}

impl Appended<'_> {
    /// Takes it back, because the chunk goes again. Returns the error to report.
    fn take_back(&self, error: io::Error) -> io::Error {
        match OpenOptions::new().append(true).open(self.path) {
            Ok(file) => take_back(&file, self.length, self.written, error),
            Err(_) => error,
        }
    }
}

/// Appends all of `text` or none of it: what is written of it goes again if the rest can't be written. `length` is the
/// file's before.
pub(super) fn append_whole(file: &mut File, length: u64, text: &[u8]) -> io::Result<()> {
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
    use flb_harness as testing;

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
