//! What the configuration says, read from the options.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flb_event::{Timestamp, msgpack};
use flb_plugin::{Build, BuildError, Counter, Metric, MultilineParser, Options, Parser, Regex};

use super::database::{self, Database};
use super::options::*;
use super::room::Room;
use super::tag::Tags;
use crate::shared::records;
use flb_parsers::multiline::{
    DockerFirst, DockerFirstParsers, FirstLine, FirstLineParsers, Join, Joiner, docker,
    find_multiline,
};
use flb_plugin::log::Label;

/// Bytes to read at once, and the limit of a line, if the configuration does not say.
const BUFFER: u64 = 256 * 1024;

/// What the configuration says, but for the paths and the parser.
pub(super) struct Settings {
    pub(super) label: Label,
    pub(super) tags: Tags,
    pub(super) path_key: Option<String>,
    /// As msgpack.
    pub(super) offset_key: Option<Vec<u8>>,
    pub(super) first_from_head: bool,
    pub(super) later_from_head: bool,
    pub(super) refresh: Duration,
    pub(super) rotate_wait: Duration,
    pub(super) exit_on_eof: bool,
    /// Bytes to read at once.
    pub(super) read: usize,
    /// Lines have fewer bytes.
    pub(super) limit: usize,
    pub(super) skip_long_lines: bool,
    pub(super) truncate_long_lines: bool,
    pub(super) skip_empty_lines: bool,
    /// Files that were not written to for so long are not opened.
    pub(super) ignore_older: Option<Duration>,
    /// Nor followed any more.
    pub(super) ignore_active: bool,
    /// The turn of a file that was there at the start, until its end is reached.
    pub(super) static_turn: u64,
    /// The turn of the others.
    pub(super) turn: u64,
    /// Whether the system is asked for word of changes.
    pub(super) watch: bool,
    /// How often files are looked at even so.
    pub(super) progress_check: Duration,
    pub(super) joining: Option<Joining>,
    pub(super) room: Room,
    /// Files by what became of them.
    pub(super) opened: Counter,
    pub(super) closed: Counter,
    pub(super) rotated: Counter,
}

/// How lines are joined: by which parsers, and to how many bytes at most.
pub(super) enum Joining {
    Parsers(Arc<[Arc<MultilineParser>]>, usize),
    FirstLine(Arc<FirstLineParsers>),
    Docker(Arc<DockerFirstParsers>),
}

impl Joining {
    /// What joins the lines of one file.
    pub(super) fn start(&self) -> Box<dyn Join> {
        match self {
            Self::Parsers(parsers, limit) => Box::new(Joiner::new(Arc::clone(parsers), *limit)),
            Self::Docker(parsers) => Box::new(DockerFirst::new(Arc::clone(parsers))),
            Self::FirstLine(parsers) => Box::new(FirstLine::new(Arc::clone(parsers))),
        }
    }
}

static OPENED: Metric = Metric::new("files_opened", "Files that were opened.")
    .known_as("fluentbit_input_files_opened_total");
static CLOSED: Metric = Metric::new("files_closed", "Files that were let go.")
    .known_as("fluentbit_input_files_closed_total");
static ROTATED: Metric = Metric::new("files_rotated", "Files that got another name.")
    .known_as("fluentbit_input_files_rotated_total");

impl Settings {
    pub(super) fn new(options: &Options, build: &Build<'_>) -> Result<Self, BuildError> {
        for key in [UNICODE_ENCODING, GENERIC_ENCODING] {
            if options.get(key).is_some() {
                let encoding = key.name();
                return Err(BuildError::new(format!("{encoding} is not supported yet")).help(
                    "leave it out and convert the file, as with iconv; bytes pass as they are",
                ));
            }
        }
        let (read, limit) = buffer_sizes(options)?;
        let regex = options.get(TAG_REGEX).map(Regex::new).transpose();
        let regex = regex.map_err(|error| BuildError::new(format!("tag_regex: {error}")))?;
        let ignore_older = Some(options.get(IGNORE_OLDER)).filter(|age| !age.is_zero());
        Ok(Self {
            label: Label::input("tail", build),
            tags: Tags::new(build.tag.clone(), regex),
            path_key: options.get(PATH_KEY).map(str::to_owned),
            offset_key: options.get(OFFSET_KEY).map(encoded),
            first_from_head: options.get(READ_FROM_HEAD),
            later_from_head: options.get(READ_NEWLY_DISCOVERED_FILES_FROM_HEAD),
            refresh: refresh_interval(options)?,
            rotate_wait: options.get(ROTATE_WAIT),
            exit_on_eof: options.get(EXIT_ON_EOF),
            read,
            limit,
            skip_long_lines: options.get(SKIP_LONG_LINES),
            truncate_long_lines: options.get(TRUNCATE_LONG_LINES),
            skip_empty_lines: options.get(SKIP_EMPTY_LINES),
            ignore_older,
            ignore_active: options.get(IGNORE_ACTIVE_OLDER_FILES),
            static_turn: options.get(STATIC_BATCH_SIZE).max(1),
            turn: options.get(EVENT_BATCH_SIZE).max(1),
            watch: options.get(INOTIFY_WATCHER),
            progress_check: progress_check(options),
            joining: joining(options, build)?,
            room: Room::new(build.service),
            opened: build.metrics.counter(&OPENED),
            closed: build.metrics.counter(&CLOSED),
            rotated: build.metrics.counter(&ROTATED),
        })
    }
}

impl Settings {
    /// Whether a file that was last written to then, in seconds since 1970, is left out for its age.
    pub(super) fn is_too_old(&self, modified: i64, now: Timestamp) -> bool {
        let age = i64::from(now.sec).saturating_sub(modified);
        let limit =
            self.ignore_older.map(|limit| i64::try_from(limit.as_secs()).unwrap_or(i64::MAX));
        limit.is_some_and(|limit| age > limit)
    }
}

/// The database that `db` names, opened.
pub(super) fn database(
    options: &Options,
    build: &Build<'_>,
) -> Result<Option<Database>, BuildError> {
    let Some(path) = options.get(DB) else { return Ok(None) };
    if build.service.dry_run {
        return database::look(Path::new(path)).map(|()| None);
    }
    database::open(Path::new(path), options.get(DB_COMPARE_FILENAME), build).map(Some)
}

fn joining(options: &Options, build: &Build<'_>) -> Result<Option<Joining>, BuildError> {
    let names = options.get(MULTILINE_PARSER).into_iter().flat_map(|text| text.split(','));
    let names: Vec<&str> = names.map(str::trim).filter(|name| !name.is_empty()).collect();
    let is_old = options.get(MULTILINE);
    let is_docker = options.get(DOCKER_MODE);
    if usize::from(!names.is_empty()) + usize::from(is_old) + usize::from(is_docker) > 1 {
        return Err(BuildError::new(
            "multiline.parser, multiline and docker_mode exclude each other",
        )
        .help("use multiline.parser alone; docker_mode is multiline.parser docker"));
    }
    if let Some(first) = options.get(DOCKER_MODE_PARSER) {
        if !is_docker {
            return Err(BuildError::new("docker_mode_parser without docker_mode")
                .help("add it: Docker_Mode on"));
        }
        let timeout = options.get(DOCKER_MODE_FLUSH);
        let first = records::find_parser(first, build)?;
        let limit = build.service.multiline_limit();
        return Ok(Some(Joining::Docker(Arc::new(DockerFirstParsers { first, timeout, limit }))));
    }
    if is_old {
        return old_joining(options, build).map(Some);
    }
    let parsers: Vec<Arc<MultilineParser>> = match is_docker {
        true => vec![Arc::new(docker())],
        false => names.iter().map(|name| find_multiline(name, build)).collect::<Result<_, _>>()?,
    };
    if parsers.is_empty() {
        return Ok(None);
    }
    if options.get(PARSER).is_some() && !is_docker {
        let label = Label::input("tail", build);
        tracing::warn!(
            "{label} with multiline.parser the option 'parser' has no effect; parse with the filter parser"
        );
    }
    Ok(Some(Joining::Parsers(parsers.into(), build.service.multiline_limit())))
}

fn old_joining(options: &Options, build: &Build<'_>) -> Result<Joining, BuildError> {
    let Some(first) = options.get(PARSER_FIRSTLINE) else {
        return Err(BuildError::new("multiline needs a 'parser_firstline'")
            .help("name the parser that knows a first line, or use multiline.parser"));
    };
    let others = PARSER_N.into_iter().filter_map(|key| options.get(key));
    let find = |name| records::find_parser(name, build);
    Ok(Joining::FirstLine(Arc::new(FirstLineParsers {
        first: find(first)?,
        others: others.map(find).collect::<Result<Vec<Arc<dyn Parser>>, _>>()?,
        timeout: options.get(MULTILINE_FLUSH),
        limit: build.service.multiline_limit(),
    })))
}

/// Bytes to read at once, and the limit of a line.
fn buffer_sizes(options: &Options) -> Result<(usize, usize), BuildError> {
    let (chunk, max) = (options.get(BUFFER_CHUNK_SIZE), options.get(BUFFER_MAX_SIZE));
    let read = chunk.unwrap_or(BUFFER.min(max.unwrap_or(BUFFER)));
    let limit = max.unwrap_or(BUFFER.max(read));
    if read == 0 {
        return Err(BuildError::new("a buffer of 0 bytes leaves no room for lines"));
    }
    if read > limit {
        let message = format!("buffer_max_size ({limit}) is below buffer_chunk_size ({read})");
        return Err(BuildError::new(message).help("make buffer_max_size the greater one"));
    }
    let size = |bytes: u64| {
        usize::try_from(bytes).map_err(|_| BuildError::new(format!("no room for {bytes} bytes")))
    };
    Ok((size(read)?, size(limit)?))
}

fn refresh_interval(options: &Options) -> Result<Duration, BuildError> {
    let seconds = options.get(REFRESH_INTERVAL);
    match Duration::try_from_secs_f64(seconds) {
        Ok(interval) if !interval.is_zero() => Ok(interval),
        _ => Err(BuildError::new(format!("invalid 'refresh_interval' config value ({seconds})"))
            .help("give the seconds between two searches for files: 60 or 0.5")),
    }
}

fn progress_check(options: &Options) -> Duration {
    let seconds = options.get(PROGRESS_CHECK_INTERVAL);
    let nanos = options.get(PROGRESS_CHECK_INTERVAL_NSEC);
    let interval = seconds + Duration::from_nanos(u64::try_from(nanos).unwrap_or_default());
    if interval.is_zero() { PROGRESS_CHECK_INTERVAL.default_value() } else { interval }
}

fn encoded(text: &str) -> Vec<u8> {
    let mut key = Vec::new();
    msgpack::write_str(&mut key, text);
    key
}
