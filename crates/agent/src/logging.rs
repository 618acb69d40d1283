//! The log: one line an event, `[2026/01/31 12:00:00.000] [ info] text`, to stderr or to a file.
//!
//! Lines of a plugin begin with its instance's name, and obey its own log level if it has one. Both come from the span
//! that the pipeline puts around every call of a plugin.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use flb_config::tame;
use flb_pipeline::LogLevel;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// The log of this process. Clones share one.
#[derive(Debug, Clone)]
pub(crate) struct Log(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// The level of everything that has none of its own; a [`rank`].
    level: AtomicU8,
    /// The most talkative of all levels.
    most: AtomicU8,
    /// Nothing stands for stderr.
    file: Mutex<Option<File>>,
}

impl Log {
    /// Makes the process log to stderr from now on. Must be called once.
    pub(crate) fn install(level: LogLevel) -> Self {
        let rank = || AtomicU8::new(rank(level));
        let shared = Shared { level: rank(), most: rank(), file: Mutex::default() };
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

    /// Appends to a file from now on.
    pub(crate) fn set_file(&self, path: &Path) -> io::Result<()> {
        let file = File::options().append(true).create(true).open(path)?;
        *self.0.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }

    fn write(&self, line: &str) {
        let mut file = self.0.file.lock().unwrap_or_else(PoisonError::into_inner);
        // When the log cannot be written there is nowhere left to say so.
        let _ = match file.as_mut() {
            Some(file) => file.write_all(line.as_bytes()),
            None => io::stderr().lock().write_all(line.as_bytes()),
        };
    }
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
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        rank_of(metadata.level()) <= self.0.0.most.load(Ordering::Relaxed)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.0.0.most.load(Ordering::Relaxed) {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
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
        let mut text = Text::default();
        event.record(&mut text);
        let mut allowed = self.0.0.level.load(Ordering::Relaxed);
        for span in context.event_scope(event).into_iter().flatten() {
            let extensions = span.extensions();
            let Some(plugin) = extensions.get::<Plugin>() else { continue };
            allowed = plugin.level.map_or(allowed, rank);
            if !text.message.starts_with('[') {
                text.message.insert_str(0, &format!("[{}] ", plugin.instance));
            }
            break;
        }
        if rank_of(event.metadata().level()) <= allowed {
            self.0.write(&line(event.metadata().level(), &text));
        }
    }
}

fn line(level: &Level, text: &Text) -> String {
    let now = jiff::Zoned::now();
    let level = match *level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    let Text { message, fields } = text;
    let time = now.strftime("%Y/%m/%d %H:%M:%S%.3f");
    format!("[{time}] [{level:>5}] {}{}\n", Tame(message), Tame(fields))
}

/// Text from outside, which must neither steer a terminal nor look like another line of the log: line ends are indented,
/// other control characters escaped.
struct Tame<'a>(&'a str);

impl fmt::Display for Tame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = tame(self.0.trim_end()).into_owned();
        if lines.contains('\n') {
            lines = lines.replace('\n', "\n    ");
        }
        f.write_str(&lines)
    }
}

/// An event's message, and its other fields as ` name=value`.
#[derive(Debug, Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(value),
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
            self.level = LogLevel::parse(value).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_tame() {
        assert_eq!(Tame("a\nb\x1b[0m\tc\r\n").to_string(), "a\n    b\\u{1b}[0m\tc");
    }

    #[test]
    fn a_line_has_time_and_level() {
        let text = Text { message: "hello".to_owned(), fields: " a=1".to_owned() };
        let line = line(&Level::INFO, &text);
        let (time, rest) = line.split_at("[2026/01/31 12:00:00.000]".len());
        let shape: String =
            time.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
        assert_eq!(shape, "[0000/00/00 00:00:00.000]");
        assert_eq!(rest, " [ info] hello a=1\n");
    }
}
