//! The `[SERVICE]` section: one row a key, read into typed settings.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use flb_config::value::{self, ValueError};
use flb_config::{
    Diagnostic, Diagnostics, Document, Property, SectionKind, Spanned, Variables, did_you_mean,
};
use flb_plugin::Service;

use super::findings::Findings;
use crate::flow::Backoff;
use crate::log_level::LogLevel;
use crate::storage::{StorageSettings, StorageType};

/// What the lines of the log look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// A JSON object each.
    Json,
}

impl LogFormat {
    /// The format that a text names, in any case.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        Ok(match value::parse_choice(text, &["text", "json"])? {
            "json" => Self::Json,
            _ => Self::Text,
        })
    }
}

/// What the service sections settle.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How long records wait in an open chunk.
    pub flush: Duration,
    /// How long the pipeline may drain; for ever without.
    pub grace: Option<Duration>,
    /// How much is logged, if the configuration says.
    pub log_level: Option<LogLevel>,
    /// What the lines of the log look like.
    pub log_format: LogFormat,
    /// Where the log goes instead of stderr.
    pub log_file: Option<PathBuf>,
    /// Files with parser sections, as written.
    pub parsers_files: Vec<Spanned>,
    /// Whether JSON text escapes non-ASCII characters.
    pub escape_unicode: bool,
    /// The most bytes of lines that are joined to one record.
    pub multiline_limit: usize,
    /// Whether wasm artifacts must be signed by one of the trusted keys. If nothing is said, they must be where there are keys.
    pub require_signature: Option<bool>,
    /// Files with the public keys of those whose artifacts may run.
    pub trusted_keys: Vec<PathBuf>,
    /// The name that artifacts must be signed with where a section says nothing else, and perhaps a version.
    pub required_name: Option<String>,
    /// Whether code is refused whose calls no deadline ends.
    pub require_interruption: bool,
    /// The folder where code that was compiled at start is kept.
    pub code_cache: Option<PathBuf>,
    /// The most connections that all inputs together may have open. No key of the configuration: it follows from the
    /// descriptors that the process may have.
    pub max_connections: usize,
    /// The most files that all inputs together may follow, for the same reason.
    pub max_files: usize,
    /// Whether the HTTP server tells about storage.
    pub storage_metrics: bool,
    /// Whether there is an HTTP server, and where.
    pub http: HttpSettings,
    /// Whether and how the configuration is read again.
    pub hot_reload: HotReload,
    pub(crate) backoff: Backoff,
    pub(crate) storage: StorageSettings,
}

/// How another configuration takes the place of this one while the agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotReload {
    /// Whether it may, if the configuration says.
    pub is_on: Option<bool>,
    /// Whether deliveries that are under way are waited for to their end.
    waits: bool,
    /// How long they are waited for even so, if there is a limit.
    limit: Option<Duration>,
}

impl Default for HotReload {
    fn default() -> Self {
        Self { is_on: None, waits: true, limit: None }
    }
}

impl HotReload {
    /// How long deliveries and inputs that are to end are waited for, if there is a limit.
    pub(crate) fn patience(self, grace: Option<Duration>) -> Option<Duration> {
        if self.waits { self.limit } else { grace.or(self.limit) }
    }
}

/// The HTTP server that tells how the pipeline is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// Whether there is one.
    pub is_on: bool,
    /// The address that it listens on.
    pub listen: String,
    /// The port; 0 is any that is free.
    pub port: u16,
    /// Whether `/api/v1/health` is served.
    pub health_check: bool,
    /// More errors of outputs than these within the period are bad health.
    pub errors: u64,
    /// More chunks than these that ran out of retries within the period are bad health.
    pub retries_failed: u64,
    /// Seconds.
    pub period: u64,
}

impl Default for HttpSettings {
    fn default() -> Self {
        Self {
            is_on: false,
            listen: "0.0.0.0".to_owned(),
            port: 2020,
            health_check: false,
            errors: 5,
            retries_failed: 5,
            period: 60,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            flush: Duration::from_secs(1),
            grace: Some(Duration::from_secs(5)),
            log_level: None,
            log_format: LogFormat::Text,
            log_file: None,
            parsers_files: Vec::new(),
            escape_unicode: true,
            multiline_limit: Service::default().multiline_limit,
            require_signature: None,
            trusted_keys: Vec::new(),
            required_name: None,
            require_interruption: false,
            code_cache: None,
            max_connections: 360,
            max_files: 480,
            storage_metrics: true,
            http: HttpSettings::default(),
            hot_reload: HotReload::default(),
            backoff: Backoff::default(),
            storage: StorageSettings::default(),
        }
    }
}

/// What service keys say when they are not given, as a configuration would write it.
pub const SERVICE_DEFAULTS: [(&str, &str); 6] = [
    ("flush", "1"),
    ("grace", "5"),
    ("log_level", "info"),
    ("json.escape_unicode", "on"),
    ("scheduler.base", "5"),
    ("scheduler.cap", "2000"),
];

/// Why a value is refused, and what to write instead.
struct Refused {
    message: String,
    help: String,
}

impl Refused {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// One key of the service section.
struct Key {
    name: &'static str,
    effect: Effect,
}

type Set = fn(&mut Settings, Spanned) -> Result<(), Refused>;

#[derive(Clone, Copy)]
enum Effect {
    /// Settles something.
    Set(Set),
    /// Asks for something that the agent cannot do yet. `off` asks for nothing.
    NotYet,
    /// Means nothing here.
    Ignored,
}

const fn set(name: &'static str, set: Set) -> Key {
    Key { name, effect: Effect::Set(set) }
}

const fn not_yet(name: &'static str) -> Key {
    Key { name, effect: Effect::NotYet }
}

const fn ignored(name: &'static str) -> Key {
    Key { name, effect: Effect::Ignored }
}

const KEYS: &[Key] = &[
    set("flush", set_flush),
    set("grace", set_grace),
    set("daemon", set_daemon),
    set("log_level", |settings, value| {
        settings.log_level = Some(checked("log_level", &value.text, LogLevel::parse)?);
        Ok(())
    }),
    set("log_format", |settings, value| {
        settings.log_format = checked("log_format", &value.text, LogFormat::parse)?;
        Ok(())
    }),
    set("log_file", |settings, value| {
        settings.log_file = Some(value.text.into());
        Ok(())
    }),
    set("parsers_file", |settings, value| {
        settings.parsers_files.push(value);
        Ok(())
    }),
    set("json.escape_unicode", |settings, value| {
        settings.escape_unicode = checked("json.escape_unicode", &value.text, value::parse_bool)?;
        Ok(())
    }),
    set("scheduler.base", |settings, value| {
        settings.backoff.base = seconds("scheduler.base", &value.text)?;
        Ok(())
    }),
    set("scheduler.cap", |settings, value| {
        settings.backoff.cap = seconds("scheduler.cap", &value.text)?;
        Ok(())
    }),
    set("wasm.require_signature", |settings, value| {
        settings.require_signature = Some(switch("wasm.require_signature", &value)?);
        Ok(())
    }),
    set("wasm.trusted_keys", |settings, value| {
        let files = value::parse_clist(&value.text);
        if files.is_empty() {
            let message = "[config] could not configure service property 'wasm.trusted_keys': no file is named";
            return Err(Refused::new(message, "name files with public keys: release.pub"));
        }
        settings.trusted_keys.extend(files.into_iter().map(PathBuf::from));
        Ok(())
    }),
    set("wasm.required_name", |settings, value| {
        settings.required_name = Some(value.text);
        Ok(())
    }),
    set("wasm.require_interruption", |settings, value| {
        settings.require_interruption = switch("wasm.require_interruption", &value)?;
        Ok(())
    }),
    set("wasm.cache", |settings, value| {
        settings.code_cache = Some(value.text.into());
        Ok(())
    }),
    set("storage.path", |settings, value| {
        settings.storage.path = Some(value.text.into());
        Ok(())
    }),
    set("storage.sync", |settings, value| {
        let choice = checked("storage.sync", &value.text, |text| {
            value::parse_choice(text, &["normal", "full"])
        })?;
        settings.storage.is_synced = choice == "full";
        Ok(())
    }),
    set("storage.checksum", |_, value| switch("storage.checksum", &value).map(drop)),
    set("storage.max_chunks_up", |settings, value| {
        let number = checked("storage.max_chunks_up", &value.text, value::parse_int)?;
        settings.storage.max_chunks_up = usize::try_from(number).unwrap_or_default();
        Ok(())
    }),
    set("storage.backlog.mem_limit", |settings, value| {
        let bytes = checked("storage.backlog.mem_limit", &value.text, value::parse_size)?;
        settings.storage.leftovers_memory = usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(())
    }),
    set("storage.backlog.flush_on_shutdown", |settings, value| {
        settings.storage.is_flushed = switch("storage.backlog.flush_on_shutdown", &value)?;
        Ok(())
    }),
    set("storage.metrics", |settings, value| {
        settings.storage_metrics = switch("storage.metrics", &value)?;
        Ok(())
    }),
    set("storage.delete_irrecoverable_chunks", |settings, value| {
        let key = "storage.delete_irrecoverable_chunks";
        settings.storage.deletes_damaged = switch(key, &value)?;
        Ok(())
    }),
    set("storage.type", |settings, value| {
        let chosen = checked("storage.type", &value.text, StorageType::parse)?;
        settings.storage.default_type = Some(chosen);
        Ok(())
    }),
    set("storage.inherit", |settings, value| {
        settings.storage.inherits = switch("storage.inherit", &value)?;
        Ok(())
    }),
    set("storage.keep.rejected", |settings, value| {
        settings.storage.keeps_rejected = switch("storage.keep.rejected", &value)?;
        Ok(())
    }),
    set("storage.rejected.path", set_rejected_path),
    set("storage.rejected.limit", |settings, value| {
        let bytes = checked("storage.rejected.limit", &value.text, value::parse_size)?;
        settings.storage.rejected_limit = Some(bytes).filter(|bytes| *bytes > 0);
        Ok(())
    }),
    ignored("storage.trim_files"),
    ignored("coro_stack_size"),
    not_yet("plugins_file"),
    not_yet("streams_file"),
    set("http_server", |settings, value| {
        settings.http.is_on = switch("http_server", &value)?;
        Ok(())
    }),
    set("http_listen", |settings, value| {
        settings.http.listen = value.text;
        Ok(())
    }),
    set("http_port", |settings, value| {
        settings.http.port = u16::try_from(number("http_port", &value)?).map_err(|_| {
            let message = "[config] could not configure service property 'http_port': no port";
            Refused::new(message, "use a number up to 65535")
        })?;
        Ok(())
    }),
    set("health_check", |settings, value| {
        settings.http.health_check = switch("health_check", &value)?;
        Ok(())
    }),
    set("hc_errors_count", |settings, value| {
        settings.http.errors = number("hc_errors_count", &value)?;
        Ok(())
    }),
    set("hc_retry_failure_count", |settings, value| {
        settings.http.retries_failed = number("hc_retry_failure_count", &value)?;
        Ok(())
    }),
    set("hc_period", |settings, value| {
        settings.http.period = number("hc_period", &value)?.max(1);
        Ok(())
    }),
    set("hot_reload", |settings, value| {
        settings.hot_reload.is_on = Some(switch("hot_reload", &value)?);
        Ok(())
    }),
    set("hot_reload.ensure_thread_safety", |settings, value| {
        settings.hot_reload.waits = switch("hot_reload.ensure_thread_safety", &value)?;
        Ok(())
    }),
    set("hot_reload.timeout", |settings, value| {
        let seconds = number("hot_reload.timeout", &value)?;
        let limit = Duration::from_secs(seconds).min(LONGEST);
        settings.hot_reload.limit = Some(limit).filter(|limit| !limit.is_zero());
        Ok(())
    }),
    // What is no number is null, always: else it would be no JSON.
    ignored("json.convert_nan_to_null"),
    not_yet("sp.convert_from_str_to_num"),
    set("multiline_buffer_limit", |settings, value| {
        let bytes = checked("multiline_buffer_limit", &value.text, value::parse_size)?;
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        settings.multiline_limit = if bytes == 0 { LONGEST_JOINED } else { bytes };
        Ok(())
    }),
    not_yet("dns.mode"),
    not_yet("dns.resolver"),
    not_yet("dns.prefer_ipv4"),
    not_yet("dns.prefer_ipv6"),
    not_yet("security.fips_mode"),
    not_yet("enable_chunk_trace"),
    not_yet("windows.maxstdio"),
    not_yet("flush.adaptive"),
    not_yet("flush.adaptive.min_interval"),
    not_yet("flush.adaptive.max_interval"),
    not_yet("flush.adaptive.low_pressure"),
    not_yet("flush.adaptive.medium_pressure"),
    not_yet("flush.adaptive.high_pressure"),
    not_yet("flush.adaptive.up_steps"),
    not_yet("flush.adaptive.down_steps"),
];

impl Settings {
    /// Reads all service sections in order; of a key given twice the later one counts.
    pub fn read(document: &Document, variables: &Variables, findings: &mut Findings) -> Self {
        let variables = with_document(variables, document);
        let mut settings = Self::default();
        let mut warned = Vec::new();
        for section in document.sections_of(SectionKind::Service) {
            for property in &section.properties {
                let out = &mut findings.config;
                settings.apply(property, &variables, &mut warned, out);
            }
        }
        findings.config.extend(settings.doubtful_trust(document));
        settings
    }

    /// Files with the keys that an artifact must be signed by, if it must be signed.
    pub(crate) fn signers(&self) -> Option<Vec<PathBuf>> {
        let keys = &self.trusted_keys;
        self.require_signature.unwrap_or(!keys.is_empty()).then(|| keys.clone())
    }

    /// Whoever names keys or asks for signatures must not get less by leaving out or contradicting the other.
    fn doubtful_trust(&self, document: &Document) -> Option<Diagnostic> {
        let found = match (self.require_signature, self.trusted_keys.is_empty()) {
            (Some(true), true) => {
                Diagnostic::error("signatures are required, and nobody is trusted to sign")
                    .help("name files with public keys: wasm.trusted_keys release.pub")
            }
            (Some(false), false) => {
                Diagnostic::warning("anybody's code runs, although there are trusted keys")
                    .help("leave wasm.require_signature out: with wasm.trusted_keys it is on")
            }
            _ => return None,
        };
        let mut sections = document.sections_of(SectionKind::Service);
        let place = sections.find_map(|section| section.property("wasm.require_signature"));
        Some(match place {
            Some(property) => found.at(property.key.span),
            None => found,
        })
    }

    fn apply(
        &mut self,
        property: &Property,
        variables: &Variables,
        warned: &mut Vec<&'static str>,
        diagnostics: &mut Diagnostics,
    ) {
        let (key, span) = (property.key.text.as_str(), property.value.span);
        let Some(row) = KEYS.iter().find(|row| row.name == key) else {
            return diagnostics.push(unknown(property));
        };
        let expanded = variables.expand(&property.value.text);
        expanded.report(span, diagnostics);
        let text = expanded.text;
        if text.is_empty() {
            if is_strict(key) {
                let error = Diagnostic::error(format!("service property '{key}' is empty"));
                diagnostics.push(error.at(span).help("give it a value, or leave it out"));
            }
            return;
        }
        match row.effect {
            Effect::Set(set) => {
                if let Err(refused) = set(self, Spanned { text, span }) {
                    let error = Diagnostic::error(refused.message).at(span);
                    diagnostics.push(error.help(refused.help));
                }
            }
            Effect::NotYet if !warned.contains(&row.name) && asks_for_something(&text) => {
                warned.push(row.name);
                let message = format!("service property '{key}' is not supported yet");
                let warning = Diagnostic::warning(message).at(property.key.span);
                diagnostics.push(warning.label("has no effect"));
            }
            Effect::NotYet | Effect::Ignored => {}
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

fn asks_for_something(text: &str) -> bool {
    value::parse_bool(text) != Ok(false)
}

/// Whether a key says what code may run, or was meant to: a slip there must not be passed over.
fn is_strict(key: &str) -> bool {
    let is_meant = |row: &Key| row.name.strip_prefix("wasm.") == Some(key);
    key.starts_with("wasm") || KEYS.iter().any(is_meant)
}

/// Whether the service section has a key of this name.
pub fn is_service_key(key: &str) -> bool {
    KEYS.iter().any(|row| row.name == key)
}

fn unknown(property: &Property) -> Diagnostic {
    let (key, span) = (property.key.text.as_str(), property.key.span);
    let found = if is_strict(key) {
        Diagnostic::error(format!("unknown service property '{key}'"))
    } else {
        Diagnostic::warning(format!("unknown service property '{key}' is ignored"))
    };
    let found = found.hiding(property.value.span);
    let names = KEYS.iter().map(|row| row.name);
    let strict: Vec<&str> = names.clone().filter(|name| is_strict(name)).collect();
    match did_you_mean(key, names) {
        Some(near) => found.at(span).help(format!("did you mean '{near}'?")),
        None if is_strict(key) => found.at(span).help(format!("there are {}", strict.join(", "))),
        None => found.at(span),
    }
}

fn checked<T>(
    key: &str,
    text: &str,
    parse: impl Fn(&str) -> Result<T, ValueError>,
) -> Result<T, Refused> {
    parse(text).map_err(|error| {
        let message = format!("[config] could not configure service property '{key}': {error}");
        Refused::new(message, error.hint)
    })
}

fn switch(key: &str, value: &Spanned) -> Result<bool, Refused> {
    checked(key, &value.text, value::parse_bool)
}

/// A number from 0.
fn number(key: &str, value: &Spanned) -> Result<u64, Refused> {
    let number = checked(key, &value.text, value::parse_int)?;
    u64::try_from(number).map_err(|_| {
        let message = format!("[config] could not configure service property '{key}': below 0");
        Refused::new(message, "use a number from 0")
    })
}

/// A positive number of whole seconds.
fn seconds(key: &str, text: &str) -> Result<Duration, Refused> {
    let seconds = checked(key, text, value::parse_int)?;
    u32::try_from(seconds)
        .ok()
        .filter(|seconds| *seconds > 0)
        .map(|seconds| Duration::from_secs(seconds.into()))
        .ok_or_else(|| {
            let message =
                format!("[config] could not configure service property '{key}': not positive");
            Refused::new(message, "use a number of seconds over 0")
        })
}

/// A folder's name below `storage.path`, so that it is in nobody else's way.
fn set_rejected_path(settings: &mut Settings, value: Spanned) -> Result<(), Refused> {
    let mut parts = Path::new(&value.text).components();
    let (Some(Component::Normal(_)), None) = (parts.next(), parts.next()) else {
        let message = "[config] could not configure service property 'storage.rejected.path': not a folder's name";
        return Err(Refused::new(message, "it is a folder below storage.path: rejected"));
    };
    settings.storage.rejected_path = value.text.into();
    Ok(())
}

fn set_flush(settings: &mut Settings, value: Spanned) -> Result<(), Refused> {
    let seconds = checked("flush", &value.text, value::parse_double)?;
    settings.flush = Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|flush| (Duration::from_millis(1)..=LONGEST).contains(flush))
        .ok_or_else(|| {
            Refused::new("invalid flush value, aborting.", "use seconds over 0, like 1 or 0.2")
        })?;
    Ok(())
}

/// The most bytes that are joined where no limit is wanted: what a filter takes.
const LONGEST_JOINED: usize = 16 << 20;

/// Longer waits are no different, and shorter ones than this never overflow a clock.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

fn set_grace(settings: &mut Settings, value: Spanned) -> Result<(), Refused> {
    let seconds = checked("grace", &value.text, value::parse_int)?;
    settings.grace =
        u64::try_from(seconds).ok().map(|seconds| Duration::from_secs(seconds).min(LONGEST));
    Ok(())
}

fn set_daemon(_: &mut Settings, value: Spanned) -> Result<(), Refused> {
    if !checked("daemon", &value.text, value::parse_bool)? {
        return Ok(());
    }
    Err(Refused::new(
        "[config] could not configure service property 'daemon': the agent stays in the foreground",
        "let a service manager such as systemd run it in the background",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_what_is_when_nothing_is_said() {
        let mut settings = Settings::default();
        for (key, value) in SERVICE_DEFAULTS {
            let row = KEYS.iter().find(|row| row.name == key).unwrap();
            let Effect::Set(set) = row.effect else { panic!("{key}") };
            let source = Document::default().add_source("", "");
            let span = flb_config::Span { source, start: 0, end: 0 };
            let set = set(&mut settings, Spanned { text: value.to_owned(), span });
            assert!(set.is_ok(), "{key}");
        }
        let expected = Settings { log_level: Some(LogLevel::Info), ..Settings::default() };
        assert_eq!(settings, expected);
    }
}
