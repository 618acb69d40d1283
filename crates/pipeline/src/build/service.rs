//! The `[SERVICE]` section: how all of its keys are read, whosever they are, and those that the pipeline has there.

use std::path::{Component, Path};
use std::time::Duration;

use flb_config::keys::{
    Bool, Choice, Double, Int, Key, Kind, Many, Options, Row, Shape, Size, Status, Table, Text,
    Word,
};
use flb_config::value::{self, ValueError};
use flb_config::{
    Diagnostic, Diagnostics, Document, Property, SectionKind, Variables, did_you_mean, keys,
};

use super::findings::Findings;
use crate::flow::Backoff;
use crate::storage::{StorageSettings, StorageType};

keys! {
    /// The keys of the service section that the pipeline reads.
    pub const SERVICE;
    FLUSH: Double = Key::new("flush", "Seconds that records wait in an open chunk").default("1");
    GRACE: Int =
        Key::new("grace", "Seconds that a drain may stand still; -1 waits for ever").default("5");
    pub PARSERS_FILE: Many<Text> = Key::new("parsers_file", "File with parsers").repeated();
    SCHEDULER_BASE: Seconds =
        Key::new("scheduler.base", "Seconds of the shortest wait before a retry").default("5");
    SCHEDULER_CAP: Seconds =
        Key::new("scheduler.cap", "Seconds of the longest wait before a retry").default("2000");
    STORAGE_PATH: Option<Text> = Key::new("storage.path", "Folder of stored chunks");
    STORAGE_SYNC: Choice<Sync> =
        Key::new("storage.sync", "Whether a batch must be on the disk itself").default("normal");
    STORAGE_CHECKSUM: Option<Bool> =
        Key::new("storage.checksum", "").idle("chunks always have one");
    STORAGE_MAX_CHUNKS_UP: Int =
        Key::new("storage.max_chunks_up", "Most stored chunks in memory").default("128");
    STORAGE_BACKLOG_MEM_LIMIT: Size = Key::new(
        "storage.backlog.mem_limit",
        "Most bytes in memory of what is there at the start",
    )
    .default("100M");
    STORAGE_FLUSH_ON_SHUTDOWN: Bool = Key::new(
        "storage.backlog.flush_on_shutdown",
        "Deliver all that is stored before the end",
    )
    .default("off");
    STORAGE_DELETE_DAMAGED: Bool = Key::new(
        "storage.delete_irrecoverable_chunks",
        "Delete damaged files instead of keeping them aside",
    )
    .default("off");
    STORAGE_TYPE: Option<Choice<StorageType>> = Key::new(
        "storage.type",
        "Where inputs keep chunks that do not say it, with storage.inherit",
    );
    STORAGE_INHERIT: Bool =
        Key::new("storage.inherit", "Whether storage.type is for all inputs").default("off");
    STORAGE_KEEP_REJECTED: Bool =
        Key::new("storage.keep.rejected", "Keep chunks that outputs refuse").default("off");
    STORAGE_REJECTED_PATH: FolderName =
        Key::new("storage.rejected.path", "Their folder below storage.path").default("rejected");
    STORAGE_REJECTED_LIMIT: Option<Size> =
        Key::new("storage.rejected.limit", "Most bytes of them; the oldest make room");
    STORAGE_TRIM_FILES: Option<Text> =
        Key::new("storage.trim_files", "").idle("files have no room to trim");
    CORO_STACK_SIZE: Option<Text> =
        Key::new("coro_stack_size", "").idle("there are no coroutine stacks");
    PLUGINS_FILE: Option<Text> = Key::new("plugins_file", "File with plugins to load").not_yet();
    STREAMS_FILE: Option<Text> = Key::new("streams_file", "File with stream tasks").not_yet();
    CONVERT_TO_NUMBERS: Option<Text> = Key::new(
        "sp.convert_from_str_to_num",
        "Numbers in texts are numbers to stream tasks",
    )
    .not_yet();
    DNS_MODE: Option<Text> = Key::new("dns.mode", "Protocol of look-ups").not_yet();
    DNS_RESOLVER: Option<Text> =
        Key::new("dns.resolver", "Who looks names up").idle("the system does");
    DNS_PREFER_IPV4: Option<Text> =
        Key::new("dns.prefer_ipv4", "IPv4 addresses go first").not_yet();
    DNS_PREFER_IPV6: Option<Text> =
        Key::new("dns.prefer_ipv6", "IPv6 addresses go first").not_yet();
    FIPS_MODE: Option<Text> =
        Key::new("security.fips_mode", "Approved cryptography only").not_yet();
    CHUNK_TRACE: Option<Text> = Key::new("enable_chunk_trace", "Trace chunks on request").not_yet();
    MAXSTDIO: Option<Text> = Key::new("windows.maxstdio", "Most open files on Windows").not_yet();
    ADAPTIVE: Option<Text> = Key::new("flush.adaptive", "Flush by how much is waiting").not_yet();
    ADAPTIVE_MIN: Option<Text> =
        Key::new("flush.adaptive.min_interval", "Shortest time of it").not_yet();
    ADAPTIVE_MAX: Option<Text> =
        Key::new("flush.adaptive.max_interval", "Longest time of it").not_yet();
    ADAPTIVE_LOW: Option<Text> =
        Key::new("flush.adaptive.low_pressure", "How much is little").not_yet();
    ADAPTIVE_MEDIUM: Option<Text> =
        Key::new("flush.adaptive.medium_pressure", "How much is more").not_yet();
    ADAPTIVE_HIGH: Option<Text> =
        Key::new("flush.adaptive.high_pressure", "How much is a lot").not_yet();
    ADAPTIVE_UP: Option<Text> =
        Key::new("flush.adaptive.up_steps", "Steps to a shorter time").not_yet();
    ADAPTIVE_DOWN: Option<Text> =
        Key::new("flush.adaptive.down_steps", "Steps to a longer time").not_yet();
}

/// A positive number of whole seconds.
#[derive(Debug)]
enum Seconds {}

impl Kind for Seconds {
    type Value<'a> = Duration;
    const SHAPE: Shape = Shape::Int;

    fn parse(text: &str) -> Result<Duration, ValueError> {
        let seconds = u32::try_from(value::parse_int(text)?).ok().filter(|seconds| *seconds > 0);
        seconds.map(|seconds| Duration::from_secs(seconds.into())).ok_or_else(|| {
            ValueError::saying("not positive", text, "use a number of seconds over 0")
        })
    }
}

/// A folder's name below another one, so that it is in nobody else's way.
#[derive(Debug)]
enum FolderName {}

impl Kind for FolderName {
    type Value<'a> = &'a Path;
    const SHAPE: Shape = Shape::Text;

    fn parse(text: &str) -> Result<&Path, ValueError> {
        let mut parts = Path::new(text).components();
        let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else {
            let hint = "it is a folder below storage.path: rejected";
            return Err(ValueError::saying("not a folder's name", text, hint));
        };
        Ok(Path::new(text))
    }
}

/// When a batch counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sync {
    /// The system has it.
    Normal,
    /// The disk has it.
    Full,
}

impl Word for Sync {
    const ALL: &'static [(&'static str, Self)] = &[("normal", Self::Normal), ("full", Self::Full)];
}

/// What the service sections settle for the pipeline.
#[derive(Debug, Clone)]
pub struct Settings {
    /// All that they say, for whoever has keys there.
    pub keys: Options,
    /// How long records wait in an open chunk.
    pub flush: Duration,
    /// How long the pipeline may drain; for ever without.
    pub grace: Option<Duration>,
    /// How long deliveries and inputs that are to end for another pipeline are waited for, if there is a limit. No key of the
    /// pipeline's: it follows from how the agent reloads.
    pub patience: Option<Duration>,
    /// The most connections that all inputs together may have open. No key of the configuration: it follows from the
    /// descriptors that the process may have.
    pub max_connections: usize,
    /// The most files that all inputs together may follow, for the same reason.
    pub max_files: usize,
    pub(crate) backoff: Backoff,
    pub(crate) storage: StorageSettings,
}

impl Settings {
    /// Reads all service sections in order; of a key given twice the later one counts. `table` has the keys of all: of the
    /// pipeline, of plugins, and of whoever runs it.
    pub fn read(
        table: Table,
        document: &Document,
        variables: &Variables,
        findings: &mut Findings,
    ) -> Self {
        let variables = with_document(variables, document);
        let mut reader = Reader { keys: Options::new(table), table, variables, warned: Vec::new() };
        for section in document.sections_of(SectionKind::Service) {
            for property in &section.properties {
                reader.apply(property, &mut findings.config);
            }
        }
        let keys = reader.keys;
        let flush = flush(&keys).unwrap_or_else(|diagnostic| {
            findings.config.push(diagnostic);
            Duration::ZERO
        });
        let grace = u64::try_from(keys.get(GRACE)).ok();
        let grace = grace.map(|seconds| Duration::from_secs(seconds).min(LONGEST));
        Self {
            flush,
            grace,
            patience: None,
            max_connections: 360,
            max_files: 480,
            backoff: Backoff { base: keys.get(SCHEDULER_BASE), cap: keys.get(SCHEDULER_CAP) },
            storage: storage(&keys),
            keys,
        }
    }
}

/// Longer waits are no different, and shorter ones than this never overflow a clock.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

fn flush(keys: &Options) -> Result<Duration, Diagnostic> {
    let flush = Duration::try_from_secs_f64(keys.get(FLUSH)).ok();
    flush.filter(|flush| (Duration::from_millis(1)..=LONGEST).contains(flush)).ok_or_else(|| {
        let error = Diagnostic::error("invalid flush value, aborting.");
        let error = error.help("use seconds over 0, like 1 or 0.2");
        match keys.span(FLUSH) {
            Some(span) => error.at(span),
            None => error,
        }
    })
}

fn storage(keys: &Options) -> StorageSettings {
    let limit = usize::try_from(keys.get(STORAGE_BACKLOG_MEM_LIMIT));
    StorageSettings {
        path: keys.get(STORAGE_PATH).map(Into::into),
        is_synced: keys.get(STORAGE_SYNC) == Sync::Full,
        max_chunks_up: usize::try_from(keys.get(STORAGE_MAX_CHUNKS_UP)).unwrap_or_default(),
        leftovers_memory: limit.unwrap_or(usize::MAX),
        is_flushed: keys.get(STORAGE_FLUSH_ON_SHUTDOWN),
        deletes_damaged: keys.get(STORAGE_DELETE_DAMAGED),
        default_type: keys.get(STORAGE_TYPE),
        inherits: keys.get(STORAGE_INHERIT),
        keeps_rejected: keys.get(STORAGE_KEEP_REJECTED),
        rejected_path: keys.get(STORAGE_REJECTED_PATH).to_owned(),
        rejected_limit: keys.get(STORAGE_REJECTED_LIMIT).filter(|bytes| *bytes > 0),
    }
}

struct Reader {
    keys: Options,
    table: Table,
    variables: Variables,
    /// Keys that were warned about.
    warned: Vec<&'static str>,
}

impl Reader {
    fn apply(&mut self, property: &Property, diagnostics: &mut Diagnostics) {
        let (key, span) = (property.key.text.as_str(), property.value.span);
        let Some(row) = self.table.find(key) else {
            return diagnostics.push(unknown(self.table, property));
        };
        let expanded = self.variables.expand(&property.value.text);
        expanded.report(span, diagnostics);
        let text = expanded.text.as_str();
        if text.is_empty() && row.is_strict {
            let error = Diagnostic::error(format!("service property '{key}' is empty"));
            diagnostics.push(error.at(span).help("give it a value, or leave it out"));
        }
        let refuse = |why: &str, help: &str| {
            let message = format!("[config] could not configure service property '{key}': {why}");
            Diagnostic::error(message).at(span).help(help)
        };
        if let Err(error) = self.keys.replace(row, key, text, Some(span)) {
            return diagnostics.push(refuse(&error.to_string(), &error.hint));
        }
        if text.is_empty() || value::parse_bool(text) == Ok(false) {
            return;
        }
        match row.status {
            Status::Works | Status::Idle(_) => {}
            Status::Refused { why, help } => diagnostics.push(refuse(why, help)),
            Status::Inert(_) | Status::NotYet => self.warn(row, property, diagnostics),
        }
    }

    fn warn(&mut self, row: &Row, property: &Property, diagnostics: &mut Diagnostics) {
        if !self.warned.contains(&row.name) {
            self.warned.push(row.name);
            let why = match row.status {
                Status::Inert(why) => format!("has no effect: {why}"),
                _ => "is not supported yet".to_owned(),
            };
            let message = format!("service property '{}' {why}", row.name);
            let warning = Diagnostic::warning(message).at(property.key.span);
            diagnostics.push(warning.label("has no effect"));
        }
    }
}

/// The variables with those that the document sets.
pub(crate) fn with_document(variables: &Variables, document: &Document) -> Variables {
    let mut variables = variables.clone();
    for (name, value) in &document.variables {
        variables.set(name, value);
    }
    variables
}

/// Whether a key that nobody has was meant for one in which no slip is passed over: it has the family or the name of one.
fn is_strict(table: Table, key: &str) -> bool {
    table.rows().filter(|row| row.is_strict).any(|row| {
        let (family, name) = row.name.split_once('.').unwrap_or((row.name, row.name));
        key.starts_with(family) || key == name
    })
}

fn unknown(table: Table, property: &Property) -> Diagnostic {
    let (key, span) = (property.key.text.as_str(), property.key.span);
    let is_strict = is_strict(table, key);
    let found = match is_strict {
        true => Diagnostic::error(format!("unknown service property '{key}'")),
        false => Diagnostic::warning(format!("unknown service property '{key}' is ignored")),
    };
    let found = found.hiding(property.value.span).at(span);
    let strict = table.rows().filter(|row| row.is_strict).map(|row| row.name);
    match did_you_mean(key, table.names()) {
        Some(near) => found.help(format!("did you mean '{near}'?")),
        None if is_strict => {
            found.help(format!("there are {}", strict.collect::<Vec<_>>().join(", ")))
        }
        None => found,
    }
}
