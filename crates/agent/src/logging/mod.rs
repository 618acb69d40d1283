//! The log: a line an event, as text or as JSON, to stderr or to a file.
//!
//! Lines of a plugin begin with its instance's name, and obey its own log level and interval if it has them. All come from
//! the span that the pipeline puts around every call of a plugin.

mod journal;
mod line;
mod suppression;

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use flb_config::{Diagnostics, Document};
use flb_pipeline::LogLevel;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::service::LogFormat;

use journal::Journal;
pub(crate) use journal::Said;
use line::Line;
use suppression::Suppression;

/// The log of this process. Clones share one.
#[derive(Debug, Clone)]
pub(crate) struct Log(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The level of everything that has none of its own; a [`rank`].
    level: AtomicU8,
    /// The most talkative of all levels.
    most: AtomicU8,
    is_json: AtomicBool,
    /// Nothing stands for stderr.
    file: Mutex<Option<File>>,
    suppression: Mutex<Suppression>,
    journal: Mutex<Journal>,
    /// What a log for people begins with, until it has begun.
    banner: Mutex<Option<String>>,
    /// Lines by their level, from errors to traces.
    lines: [AtomicU64; 5],
}

impl Log {
    /// Makes the process log to stderr from now on. Must be called once. The banner stands before the first line of text.
    pub(crate) fn install(level: LogLevel, format: LogFormat, banner: Option<String>) -> Self {
        let rank = || AtomicU8::new(rank(level));
        let shared = Shared {
            level: rank(),
            most: rank(),
            is_json: AtomicBool::new(format == LogFormat::Json),
            file: Mutex::default(),
            suppression: Mutex::default(),
            journal: Mutex::default(),
            banner: Mutex::new(banner),
            lines: Default::default(),
        };
        let log = Self(Arc::new(shared));
        let subscriber = tracing_subscriber::registry().with(Lines(log.clone()));
        // The only way to fail is to have one already, which then stays.
        let _ = tracing::subscriber::set_global_default(subscriber);
        std::panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            let payload = panic.payload_as_str().unwrap_or("no message");
            tracing::error!(parent: None, "internal error: {payload} at {place}, please report");
        }));
        log
    }

    /// Changes the level. `instances` is the most talkative level that a single instance asks for.
    pub(crate) fn set_level(&self, level: LogLevel, instances: Option<LogLevel>) {
        self.0.level.store(rank(level), Ordering::Relaxed);
        let most = instances.map_or(level, |instances| instances.max(level));
        self.0.most.store(rank(most), Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }

    /// Settles what the lines look like.
    pub(crate) fn set_format(&self, format: LogFormat) {
        self.0.is_json.store(format == LogFormat::Json, Ordering::Relaxed);
        self.begin();
    }

    fn begin(&self) {
        let banner = lock(&self.0.banner).take();
        if let Some(banner) = banner.filter(|_| !self.is_json()) {
            eprintln!("{banner}");
        }
    }

    /// Writes to the end of a file from now on, or to stderr.
    pub(crate) fn set_file(&self, file: Option<File>) {
        *lock(&self.0.file) = file;
    }

    /// Shows what was found in a configuration, always and on stderr: as text with the lines that it is about.
    pub(crate) fn show(&self, diagnostics: &Diagnostics, document: &Document) {
        if diagnostics.is_empty() {
            return;
        }
        self.begin();
        if !self.is_json() {
            // In colours where the terminal has them.
            let text = diagnostics.render_coloured(document.sources());
            let _ = writeln!(anstream::stderr().lock(), "{}", text.trim_end());
            return;
        }
        for diagnostic in diagnostics {
            eprint!("{}", Line::of(diagnostic, document).to_json(&jiff::Zoned::now()));
        }
    }

    /// Says what was found in a configuration that was to take the place of the one at work.
    pub(crate) fn tell(&self, diagnostics: &Diagnostics, document: &Document) {
        if self.is_json() {
            for diagnostic in diagnostics {
                self.write(&Line::of(diagnostic, document));
            }
        } else if diagnostics.has_errors() {
            tracing::error!("[reload] {}", diagnostics.render(document.sources()));
        } else if !diagnostics.is_empty() {
            tracing::warn!("[reload] {}", diagnostics.render(document.sources()));
        }
    }

    /// How many lines of each level there were.
    pub(crate) fn lines(&self) -> [(&'static str, u64); 5] {
        let names = ["error", "warn", "info", "debug", "trace"];
        std::array::from_fn(|at| (names[at], self.0.lines[at].load(Ordering::Relaxed)))
    }

    /// The last warnings and errors of an instance, also of one that logs less; the newest first.
    pub(crate) fn said(&self, instance: &str) -> Vec<Said> {
        lock(&self.0.journal).of(instance)
    }

    /// Says how many lines were suppressed since the last one of their instance. To be called at the end.
    pub(crate) fn finish(&self) {
        for (instance, silent) in lock(&self.0.suppression).rest() {
            self.write(&suppressed(Level::INFO, &instance, silent));
        }
    }

    /// Keeps a line for whoever asks what is wrong with an instance: the one that it is about, or that says it.
    fn keep(&self, about: Option<&str>, line: &Line) {
        if let Some(instance) = about.or(line.component.as_deref()) {
            lock(&self.0.journal).note(instance, line, jiff::Timestamp::now());
        }
    }

    fn is_json(&self) -> bool {
        self.0.is_json.load(Ordering::Relaxed)
    }

    fn write(&self, line: &Line) {
        self.begin();
        self.0.lines[usize::from(rank_of(&line.level) - 1)].fetch_add(1, Ordering::Relaxed);
        let now = jiff::Zoned::now();
        let line = if self.is_json() { line.to_json(&now) } else { line.to_text(&now) };
        // When the log cannot be written there is nowhere left to say so.
        let _ = match lock(&self.0.file).as_mut() {
            Some(file) => file.write_all(line.as_bytes()),
            None => io::stderr().lock().write_all(line.as_bytes()),
        };
    }

    /// Whether a line of an instance shall be written now. Says how many were not, before it is.
    fn admits(&self, line: &Line, instance: &str, interval: Duration) -> bool {
        let admitted =
            lock(&self.0.suppression).admit(instance, &line.message, interval, Instant::now());
        if let Some(silent @ 1..) = admitted {
            self.write(&suppressed(line.level, instance, silent));
        }
        admitted.is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn suppressed(level: Level, instance: &str, silent: u64) -> Line {
    Line::new(level, Some(instance), &format!("{silent} similar lines were not logged"))
}

/// A file that a log may be written to.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    File::options().append(true).create(true).open(path)
}

/// 0 is off, 5 is trace.
fn rank(level: LogLevel) -> u8 {
    level as u8
}

fn rank_of(level: &Level) -> u8 {
    match *level {
        Level::ERROR => rank(LogLevel::Error),
        Level::WARN => rank(LogLevel::Warn),
        Level::INFO => rank(LogLevel::Info),
        Level::DEBUG => rank(LogLevel::Debug),
        Level::TRACE => rank(LogLevel::Trace),
    }
}

/// Writes events as lines.
struct Lines(Log);

/// What the span of a plugin says.
#[derive(Debug, Default)]
struct Plugin {
    instance: String,
    level: Option<LogLevel>,
    /// How long a line like the last one is not logged again.
    interval: Option<Duration>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let level = metadata.level();
        Journal::wants(*level) || rank_of(level) <= self.0.0.most.load(Ordering::Relaxed)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.0.0.most.load(Ordering::Relaxed) {
            0..=2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut plugin = Plugin::default();
        attributes.record(&mut plugin);
        if let Some(span) = context.span(id).filter(|_| !plugin.instance.is_empty()) {
            span.extensions_mut().insert(plugin);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Self(log) = self;
        let mut text = Text::default();
        event.record(&mut text);
        let level = *event.metadata().level();
        let span = context.event_scope(event).into_iter().flatten().find(|span| {
            let extensions = span.extensions();
            extensions.get::<Plugin>().is_some()
        });
        let extensions = span.as_ref().map(|span| span.extensions());
        let plugin = extensions.as_ref().and_then(|extensions| extensions.get::<Plugin>());
        let own = plugin.and_then(|plugin| plugin.level).map(rank);
        let most = own.unwrap_or_else(|| log.0.level.load(Ordering::Relaxed));
        let (is_logged, is_kept) = (rank_of(&level) <= most, Journal::wants(level));
        if !is_logged && !is_kept {
            return;
        }
        let about = text.about.take();
        let line = text.line(level, plugin.map(|plugin| plugin.instance.as_str()));
        if is_kept {
            log.keep(about.as_deref().or(plugin.map(|plugin| &*plugin.instance)), &line);
        }
        if !is_logged {
            return;
        }
        let is_admitted = match plugin {
            Some(Plugin { instance, interval: Some(interval), .. }) => {
                log.admits(&line, instance, *interval)
            }
            _ => true,
        };
        if is_admitted {
            log.write(&line);
        }
    }
}

/// An event's message, what to do about it, and its other fields as ` name=value`.
#[derive(Debug, Default)]
struct Text {
    message: String,
    fields: String,
    help: Option<String>,
    /// The instance that it is about, if others say it.
    about: Option<String>,
}

impl Text {
    fn line(self, level: Level, instance: Option<&str>) -> Line {
        let Self { message, fields, help, about: _ } = self;
        let mut line = Line::new(level, instance, &(message + &fields));
        line.help = help;
        line
    }
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            "instance" => write!(self.about.get_or_insert_default(), "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
            "help" => self.help = Some(value.to_owned()),
            name => {
                let _ = write!(self.fields, " {name}={value}");
            }
        }
    }
}

impl Visit for Plugin {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "instance" {
            self.instance = format!("{value:?}");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "level" {
            self.level = LogLevel::named(value);
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "suppress_interval" {
            self.interval = Some(Duration::from_secs(value));
        }
    }
}
