//! The field that says when a record happened: found by its key, read by its format, taken out of the record.

use std::ops::Range;

use flb_event::{Timestamp, msgpack};
use flb_plugin::{Build, BuildError, Options};
use jiff::tz::TimeZone;

use super::time_format::{self, TimeFormat, Zone};
use super::{
    TIME_FORMAT, TIME_KEEP, TIME_KEY, TIME_OFFSET, TIME_STRICT, TIME_SYSTEM_TIMEZONE, TIME_ZONE,
};
use flb_event::msgpack::map;
use flb_plugin::log::{Label, Mishaps, excerpt};

/// The key that says when the record happened.
pub(super) struct TimeField {
    label: Label,
    key: Vec<u8>,
    /// The format as it was given.
    text: String,
    format: TimeFormat,
    keeps_key: bool,
    is_strict: bool,
    invalid: Mishaps,
}

impl TimeField {
    /// None without a `time_format`.
    pub(super) fn new(options: &Options, build: &Build<'_>) -> Result<Option<Self>, BuildError> {
        let Some(text) = options.get(TIME_FORMAT) else { return Ok(None) };
        let label = Label::parser(build);
        let format = TimeFormat::new(text, zone(options)?);
        if let Some(unknown) = format.unknown() {
            tracing::warn!(
                "{label} time_format '{text}': {unknown} is not known, so no time will be understood; \
                 %L stands for the digits behind a second's point, %z for a zone"
            );
        }
        Ok(Some(Self {
            label,
            key: options.get(TIME_KEY).as_bytes().to_vec(),
            text: text.to_owned(),
            format,
            keeps_key: options.get(TIME_KEEP),
            is_strict: options.get(TIME_STRICT),
            invalid: Mishaps::default(),
        }))
    }

    /// The key `time`, in a format of ours, which stays in the record and may be written in part.
    pub(super) fn lenient(name: &str, format: TimeFormat, text: &str) -> Self {
        Self {
            label: Label::named(format!("[parser:{name}]")),
            key: b"time".to_vec(),
            text: text.to_owned(),
            format,
            keeps_key: true,
            is_strict: false,
            invalid: Mishaps::default(),
        }
    }

    /// Whether this is the field.
    pub(super) fn is(&self, key: &[u8]) -> bool {
        self.key == key
    }

    /// Whether the field stays in the record when its time was understood.
    pub(super) fn stays(&self) -> bool {
        self.keeps_key
    }

    /// The time that the field's text says.
    pub(super) fn read(&self, text: &[u8], now: Timestamp) -> Option<Timestamp> {
        let (time, is_whole) = self.format.parse(text, now);
        if time.is_some() && (is_whole || !self.is_strict) {
            return time;
        }
        if let Some(total) = self.invalid.another() {
            tracing::warn!(
                "{} invalid time format {} for '{}' ({total} so far)",
                self.label,
                self.text,
                excerpt(text)
            );
        }
        None
    }

    /// The time that the map at `body[start..]` says; its key goes, unless it shall stay. A time that can't be understood
    /// stays where it is.
    pub(super) fn take(
        &self,
        body: &mut Vec<u8>,
        start: usize,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let (entry, text) = self.find(body, start)?;
        let time = self.read(&body[text], now)?;
        if !self.keeps_key {
            map::remove(body, start, entry);
        }
        Some(time)
    }

    /// Where the entry is, and the text in it. `None` if there is none, or no text.
    fn find(&self, body: &[u8], start: usize) -> Option<(Range<usize>, Range<usize>)> {
        let mut reader = msgpack::Reader::new(&body[start..]);
        let msgpack::Value::Map(length) = reader.next().ok()? else { return None };
        for _ in 0..length {
            let entry = start + reader.position();
            let key = reader.skip().ok()?;
            let value = reader.skip().ok()?;
            if msgpack::as_str(key) == Some(&self.key) {
                let end = start + reader.position();
                let text = msgpack::as_str(value)?;
                return Some((entry..end, end - text.len()..end));
            }
        }
        None
    }
}

/// The zone of times that name none.
fn zone(options: &Options) -> Result<Zone, BuildError> {
    let offset = options.get(TIME_OFFSET);
    let name = options.get(TIME_ZONE);
    let is_system = options.get(TIME_SYSTEM_TIMEZONE);
    if usize::from(offset.is_some()) + usize::from(name.is_some()) + usize::from(is_system) > 1 {
        let message = "time_offset, time_zone and time_system_timezone exclude each other";
        return Err(BuildError::new(message).help("give one of them"));
    }
    if is_system {
        return Ok(Zone::Named(TimeZone::system()));
    }
    if let Some(name) = name {
        return TimeZone::get(name).map(Zone::Named).map_err(|error| {
            BuildError::new(format!("'{name}' is not a time_zone: {error}"))
                .help("give a name such as Europe/Vienna")
        });
    }
    let offset = offset.unwrap_or("Z");
    time_format::offset(offset).map(Zone::Offset).ok_or_else(|| {
        BuildError::new(format!("'{offset}' is not a time_offset"))
            .help("write hours and minutes: +0200 or -03:30")
    })
}
