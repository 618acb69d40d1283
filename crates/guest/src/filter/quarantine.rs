//! Keeps records that the function failed on, as lines of JSON in two files of bounded size: the current one and the one
//! before. `flb-wamrc replay` runs them again; `docs/abi.md` says what a line holds.
//!
//! The current file is opened for each record, so it may be moved away or removed at any time.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flb_artifact::Sha256Hex;
use flb_event::json::{self, JsonOptions};
use flb_event::{Chunk, ChunkBuilder, Event, Tag, msgpack};
use flb_files::Access;
use flb_plugin::{BuildError, Options};
use flb_runtime::{Abi, EventFormat, Failure, FilterError, FilterModule};

use super::options::{QUARANTINE_LIMIT, QUARANTINE_PATH};

/// The least that a quarantine may be limited to.
const LEAST: u64 = 64 << 10;

/// What all lines of one filter say about it.
#[derive(Debug)]
pub(super) struct Origin {
    filter: String,
    path: String,
    function: String,
    format: EventFormat,
    abi: Abi,
}

impl Origin {
    /// The filter called `instance`, whose module is the file at `path`.
    pub(super) fn new(instance: &str, module: &FilterModule, path: &Path) -> Self {
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Self {
            filter: instance.to_owned(),
            path: path.display().to_string(),
            function: module.options().function.clone(),
            format: module.options().format,
            abi: module.abi(),
        }
    }
}

/// Whether nothing else is in the place of a folder.
fn may_be_made(folder: &Path) -> io::Result<()> {
    let there = folder.ancestors().find(|part| part.exists());
    match there.is_none_or(Path::is_dir) {
        true => Ok(()),
        false => Err(io::ErrorKind::NotADirectory.into()),
    }
}

/// The quarantine of one filter.
#[derive(Debug)]
pub(super) struct Quarantine {
    /// The current file, and the one before.
    files: [PathBuf; 2],
    limit: u64,
    origin: Origin,
    /// One writer at a time.
    turn: Mutex<()>,
}

impl Quarantine {
    /// The quarantine that the options ask for. Its folder is made if it is not there, but not in a dry run.
    pub(super) fn read(
        options: &Options,
        instance: &str,
        origin: Origin,
        dry_run: bool,
    ) -> Result<Self, BuildError> {
        let folder = PathBuf::from(options.get(QUARANTINE_PATH));
        let limit = options.get(QUARANTINE_LIMIT);
        if limit < LEAST {
            return Err(BuildError::new("invalid value for property 'quarantine_limit'")
                .help(format!("give at least {}K", LEAST / 1000)));
        }
        let made = match dry_run {
            true => may_be_made(&folder),
            false => flb_files::make_folder(&folder),
        };
        made.map_err(|error| {
            let folder = folder.display();
            BuildError::new(format!("cannot make the quarantine folder {folder}: {error}"))
                .help("give a folder that the agent may write to as Quarantine_Path")
        })?;
        let name = instance.replace(['/', '\\'], "_");
        let files = [format!("{name}.jsonl"), format!("{name}.1.jsonl")];
        Ok(Self {
            files: files.map(|file| folder.join(file)),
            limit,
            origin,
            turn: Mutex::default(),
        })
    }

    /// The current file.
    pub(super) fn path(&self) -> &Path {
        &self.files[0]
    }

    /// Adds a record. Returns how many old ones had to be removed to make room.
    pub(super) fn add(
        &self,
        failure: (Failure, &FilterError, Sha256Hex),
        tag: &Tag,
        event: Event<'_>,
    ) -> io::Result<u64> {
        let line = line(&self.origin, failure, tag, event);
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let (size, half) = (line.len() as u64, self.limit / 2);
        if size > half {
            let reason = format!("the record takes {size} bytes, more than half of the limit");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, reason));
        }
        let mut file = self.open()?;
        let mut written = file.metadata()?.len();
        let mut removed = 0;
        if written + size > half {
            removed = self.rotate()?;
            file = self.open()?;
            written = 0;
        }
        if let Err(error) = file.write_all(&line) {
            // Half a line would spoil the next one. If this fails as well, replay passes over the line.
            let _ = file.set_len(written);
            return Err(error);
        }
        Ok(removed)
    }

    fn open(&self) -> io::Result<File> {
        flb_files::open(self.path(), Access::Append)
    }

    /// Begins a new file. Returns how many records the oldest one had.
    fn rotate(&self) -> io::Result<u64> {
        let [current, before] = &self.files;
        let mut bytes = Vec::new();
        let read = flb_files::open(before, Access::Existing)
            .and_then(|mut file| file.read_to_end(&mut bytes));
        let removed = match read {
            Ok(_) => memchr::memchr_iter(b'\n', &bytes).count() as u64,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        fs::rename(current, before)?;
        Ok(removed)
    }
}

/// One record and what is known about its failure. `event` is there only if JSON cannot say the record exactly.
fn line(
    origin: &Origin,
    (class, error, module): (Failure, &FilterError, Sha256Hex),
    tag: &Tag,
    event: Event<'_>,
) -> Vec<u8> {
    let exact = [event.body, event.metadata].into_iter().all(is_json);
    let raw = (!exact).then(|| STANDARD.encode(alone(tag, event).bytes()));
    let mut line = Vec::new();
    let (record, metadata) = (text(event.body), text(event.metadata));
    let has_metadata = event.metadata != Event::NO_METADATA;
    let format = match (origin.abi, origin.format) {
        (Abi::Batch, _) => "batch",
        (_, EventFormat::Json { .. }) => "json",
        (_, EventFormat::Msgpack) => "msgpack",
    };
    let raw_unicode = origin.format == EventFormat::Json { escape_unicode: false };
    let message = error.to_string();
    let time = format!("{}.{:09}", event.time.sec, event.time.nsec);
    let mut entry = Entry { line: &mut line };
    entry.text("time", &time);
    entry.text("tag", tag.as_str());
    entry.text("class", class.name());
    entry.text("message", &message);
    entry.texts("backtrace", error.backtrace());
    entry.text("filter", &origin.filter);
    entry.text("path", &origin.path);
    entry.text("module", &module.to_string());
    entry.text("function", &origin.function);
    entry.text("format", format);
    if raw_unicode {
        entry.raw("escape_unicode", b"false");
    }
    if has_metadata {
        entry.raw("metadata", &metadata);
    }
    entry.raw("record", &record);
    if let Some(raw) = raw {
        entry.text("event", &raw);
    }
    line.extend_from_slice(b"}\n");
    line
}

/// A line's object while it is written.
struct Entry<'l> {
    line: &'l mut Vec<u8>,
}

impl Entry<'_> {
    fn raw(&mut self, key: &str, json: &[u8]) {
        self.line.push(if self.line.is_empty() { b'{' } else { b',' });
        self.line.extend_from_slice(format!("\"{key}\":").as_bytes());
        self.line.extend_from_slice(json);
    }

    fn text(&mut self, key: &str, value: &str) {
        let mut packed = Vec::new();
        msgpack::write_str(&mut packed, value);
        self.raw(key, &text(&packed));
    }

    fn texts(&mut self, key: &str, values: &[String]) {
        let mut packed = Vec::new();
        msgpack::write_array_header(&mut packed, values.len() as u32);
        values.iter().for_each(|value| msgpack::write_str(&mut packed, value));
        self.raw(key, &text(&packed));
    }
}

/// A msgpack value as JSON; `null` where it has no such form.
fn text(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    match json::write(value, &mut text, JsonOptions { escape_unicode: false }) {
        Ok(()) => text,
        Err(_) => b"null".to_vec(),
    }
}

/// Whether JSON says exactly what this msgpack says.
fn is_json(value: &[u8]) -> bool {
    let mut back = Vec::new();
    json::parse(&text(value), &mut back).is_ok() && back == value
}

/// A chunk of this one record.
fn alone(tag: &Tag, event: Event<'_>) -> Chunk {
    let mut chunk = ChunkBuilder::new(tag.clone());
    // It was in a chunk before.
    let _ = chunk.push(event);
    chunk.build()
}

#[cfg(test)]
mod tests {
    use flb_event::Timestamp;

    use super::*;
    use flb_harness::{msgpack, options};

    fn quarantine(folder: &Path, limit: &str) -> Quarantine {
        let folder = folder.join("q");
        let given = [("quarantine_path", folder.to_str().unwrap()), ("quarantine_limit", limit)];
        let origin = Origin {
            filter: "wasm.0".to_owned(),
            path: "f.wasm".to_owned(),
            function: "f".to_owned(),
            abi: Abi::One,
            format: EventFormat::Json { escape_unicode: false },
        };
        let options = options(super::super::options::ALL, &given);
        Quarantine::read(&options, "wasm.0", origin, false).unwrap()
    }

    fn add(quarantine: &Quarantine, body: &[u8]) -> io::Result<u64> {
        let error = FilterError::Trap {
            reason: "r".to_owned(),
            printed: None,
            backtrace: vec!["a\"b".to_owned()],
        };
        let time = Timestamp { sec: 1, nsec: 5 };
        let event = Event { time, metadata: &[0x81, 0xa1, b'm', 1], body };
        let module = Sha256Hex([0; 32]);
        quarantine.add((Failure::Trap, &error, module), &Tag::new("t").unwrap(), event)
    }

    #[test]
    fn a_line_has_the_record_and_its_failure() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = quarantine(folder.path(), "64M");
        let origin = r#""filter":"wasm.0","path":"f.wasm""#;
        let line = |rest: &str| {
            format!(
                "{{\"time\":\"1.000000005\",\"tag\":\"t\",\"class\":\"trap\",\"message\":\"Exception: r (in a\\\"b)\",\
                 \"backtrace\":[\"a\\\"b\"],{origin},\"module\":\"{}\",\"function\":\"f\",\"format\":\"json\",\
                 \"escape_unicode\":false,\"metadata\":{{\"m\":1}},{rest}}}\n",
                "0".repeat(64)
            )
        };
        assert_eq!(add(&quarantine, &msgpack("{\"a\":[1,\"\u{e9}\"]}")).unwrap(), 0);
        assert_eq!(add(&quarantine, b"\x81\xa1a\xc4\x01\xff").unwrap(), 0);
        let raw = STANDARD
            .encode(b"\x92\x92\xd7\0\0\0\0\x01\0\0\0\x05\x81\xa1m\x01\x81\xa1a\xc4\x01\xff");
        let expected = line("\"record\":{\"a\":[1,\"\u{e9}\"]}")
            + &line(&format!("\"record\":{{\"a\":\"\u{fffd}\"}},\"event\":\"{raw}\""));
        assert_eq!(fs::read_to_string(quarantine.path()).unwrap(), expected);
    }

    #[test]
    fn a_quarantine_keeps_to_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = quarantine(folder.path(), "100000");
        let body = msgpack(&format!("{{\"a\":\"{}\"}}", "x".repeat(4_500)));
        let removed: Vec<u64> = (0..50).map(|_| add(&quarantine, &body).unwrap()).collect();
        let [current, before] = &quarantine.files;
        let lines = |path| fs::read_to_string(path).unwrap().lines().count() as u64;
        let size = |path| fs::metadata(path).unwrap().len();
        assert!(size(current) + size(before) <= 100_000);
        assert!(lines(before) > 5);
        assert_eq!(lines(current) + lines(before) + removed.iter().sum::<u64>(), 50);
        let large = msgpack(&format!("{{\"a\":\"{}\"}}", "x".repeat(60_000)));
        let error = add(&quarantine, &large).unwrap_err().to_string();
        assert!(error.contains("more than half of the limit"), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn only_its_user_reads_a_quarantine_and_it_may_go_at_any_time() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let quarantine = quarantine(folder.path(), "64M");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for _ in 0..2 {
            add(&quarantine, &[0x80]).unwrap();
            assert_eq!(mode(quarantine.path()), 0o600);
            fs::remove_file(quarantine.path()).unwrap();
        }
        assert_eq!(mode(&folder.path().join("q")), 0o700);
        fs::write(quarantine.path(), "").unwrap();
        fs::set_permissions(quarantine.path(), fs::Permissions::from_mode(0o666)).unwrap();
        add(&quarantine, &[0x80]).unwrap();
        assert_eq!(mode(quarantine.path()), 0o600);
    }

    #[test]
    #[cfg(unix)]
    fn what_somebody_put_in_a_quarantines_place_gets_no_records() {
        let folder = tempfile::tempdir().unwrap();
        let quarantine = quarantine(folder.path(), "64M");
        let victim = folder.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, quarantine.path()).unwrap();
        let error = add(&quarantine, &[0x80]).unwrap_err().to_string();
        assert_eq!(error, "it is a symbolic link; move it away");
        assert_eq!(fs::read_to_string(victim).unwrap(), "untouched");
    }
}
