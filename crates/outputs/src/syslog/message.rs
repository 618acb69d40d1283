//! A record as a message of syslog. Pure: a record in, bytes out.

use std::fmt;

use flb_event::msgpack::{self, Reader, Value};
use flb_event::{Accessor, Event, write_text};
use flb_plugin::log::excerpt;

use crate::date::{civil, print};

/// What a message is by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standard {
    Rfc5424,
    Rfc3164,
}

impl Standard {
    /// The most bytes that every receiver takes.
    pub(super) fn longest(self) -> usize {
        match self {
            Self::Rfc5424 => 2048,
            Self::Rfc3164 => 1024,
        }
    }
}

/// Severities, in the order of their numbers.
const SEVERITIES: [&str; 8] =
    ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
/// Facilities, in the order of their numbers.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv",
    "ftp", "ntp", "security", "console", "", "local0", "local1", "local2", "local3", "local4",
    "local5", "local6", "local7",
];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// What says that the text behind it is UTF-8.
const UTF_8: &[u8] = b"\xef\xbb\xbf";
/// The most characters of a name in structured data.
const LONGEST_NAME: usize = 32;

/// How records become messages.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) standard: Standard,
    /// The most bytes of a message.
    pub(super) longest: usize,
    /// Whether a newline ends a message, so that none may be in it.
    pub(super) is_line: bool,
    pub(super) severity: (Option<Accessor>, u8),
    pub(super) facility: (Option<Accessor>, u8),
    pub(super) hostname: Field,
    pub(super) appname: Field,
    pub(super) procid: Field,
    pub(super) msgid: Field,
    pub(super) structured: Structured,
    pub(super) message: Option<Accessor>,
}

/// A field of the header: what a record has of it, or else the preset.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) key: Option<Accessor>,
    pub(super) preset: Vec<u8>,
}

/// The keys whose maps are structured data.
#[derive(Debug)]
pub(super) struct Structured {
    pub(super) keys: Vec<String>,
    pub(super) names: Names,
}

/// How long names in structured data may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Names {
    /// As the standard has it.
    Short,
    Long,
}

/// What a record has for a severity or a facility, and is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Strange {
    what: &'static str,
    text: String,
}

impl fmt::Display for Strange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}' is no {}", self.text, self.what)
    }
}

impl Writer {
    /// Appends a record's message. Told is what stands for no severity or facility; the preset takes its place.
    pub(super) fn write(&self, event: Event<'_>, out: &mut Vec<u8>) -> Option<Strange> {
        let (start, mut strange) = (out.len(), None);
        let message = self.message.as_ref().and_then(|key| scalar(key.find(event.body)?));
        match &message {
            // It comes from syslog.
            Some(whole) if has_priority(whole) => self.text(whole, out),
            _ => {
                strange = self.header(event, out);
                if let Some(text) = &message {
                    if self.standard == Standard::Rfc5424 {
                        out.push(b' ');
                        out.extend_from_slice(UTF_8);
                    }
                    self.text(text, out);
                }
            }
        }
        cut(out, start, self.longest);
        if self.is_line {
            out.push(b'\n');
        }
        strange
    }

    /// A text that comes from outside, which must not end the message.
    fn text(&self, text: &[u8], out: &mut Vec<u8>) {
        for byte in text {
            match byte {
                b'\n' if self.is_line => out.extend_from_slice(b"#012"),
                0 if self.is_line => out.extend_from_slice(b"#000"),
                _ => out.push(*byte),
            }
        }
    }

    /// All but the text.
    fn header(&self, event: Event<'_>, out: &mut Vec<u8>) -> Option<Strange> {
        let severity = code("severity", &self.severity, &SEVERITIES, event.body);
        let facility = code("facility", &self.facility, &FACILITIES, event.body);
        let (severity, facility, strange) = match (severity, facility) {
            (Ok(severity), Ok(facility)) => (severity, facility, None),
            (Ok(severity), Err(strange)) => (severity, self.facility.1, Some(strange)),
            (Err(strange), facility) => {
                (self.severity.1, facility.unwrap_or(self.facility.1), Some(strange))
            }
        };
        let priority = facility * 8 + severity;
        match self.standard {
            Standard::Rfc5424 => self.header_5424(priority, event, out),
            Standard::Rfc3164 => self.header_3164(priority, event, out),
        }
        strange
    }

    fn header_5424(&self, priority: u8, event: Event<'_>, out: &mut Vec<u8>) {
        let date = civil(event.time);
        print(
            out,
            format_args!(
                "<{priority}>1 {:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
                date.year(),
                date.month(),
                date.day(),
                date.hour(),
                date.minute(),
                date.second(),
                event.time.nsec / 1000
            ),
        );
        for (field, longest) in
            [(&self.hostname, 255), (&self.appname, 48), (&self.procid, 128), (&self.msgid, 32)]
        {
            out.push(b' ');
            match field.value(event.body, longest) {
                value if value.is_empty() => out.push(b'-'),
                value => out.extend_from_slice(&value),
            }
        }
        out.push(b' ');
        let start = out.len();
        self.structured.write(event.body, self, out);
        if out.len() == start {
            out.push(b'-');
        }
    }

    fn header_3164(&self, priority: u8, event: Event<'_>, out: &mut Vec<u8>) {
        let date = civil(event.time);
        let month = MONTHS[usize::from(date.month().unsigned_abs()) - 1];
        let (day, hour, minute, second) = (date.day(), date.hour(), date.minute(), date.second());
        print(out, format_args!("<{priority}>{month} {day:2} {hour:02}:{minute:02}:{second:02} "));
        let value = |field: &Field| field.value(event.body, self.longest);
        let (hostname, appname, procid) =
            (value(&self.hostname), value(&self.appname), value(&self.procid));
        if !hostname.is_empty() {
            out.extend_from_slice(&hostname);
            out.push(b' ');
        }
        if !appname.is_empty() {
            out.extend_from_slice(&appname);
            if !procid.is_empty() {
                out.push(b'[');
                out.extend_from_slice(&procid);
                out.push(b']');
            }
            out.extend_from_slice(b": ");
        }
    }
}

impl Field {
    /// Its value for a record, of printable characters; nothing if there is none.
    fn value(&self, body: &[u8], longest: usize) -> Vec<u8> {
        let found = self.key.as_ref().and_then(|key| scalar(key.find(body)?));
        let mut value = found.filter(|value| !value.is_empty()).unwrap_or(self.preset.clone());
        value.truncate(longest);
        for byte in &mut value {
            if !byte.is_ascii_graphic() {
                *byte = b'_';
            }
        }
        value
    }
}

impl Structured {
    /// Appends an element of each map that the record has.
    fn write(&self, body: &[u8], writer: &Writer, out: &mut Vec<u8>) {
        for key in &self.keys {
            let Some(map) = Accessor::of_key(key).find(body) else { continue };
            let Ok(entries) = msgpack::entries(map) else { continue };
            out.push(b'[');
            self.name(key.as_bytes(), out);
            for (name, value) in entries.map_while(Result::ok) {
                if let (Some(name), Some(value)) = (msgpack::as_str(name), scalar(value)) {
                    out.push(b' ');
                    self.name(name, out);
                    out.extend_from_slice(b"=\"");
                    writer.text(&escaped(&value), out);
                    out.push(b'"');
                }
            }
            out.push(b']');
        }
    }

    fn name(&self, name: &[u8], out: &mut Vec<u8>) {
        let longest = if self.names == Names::Long { name.len() } else { LONGEST_NAME };
        let is_allowed = |byte: u8| byte.is_ascii_graphic() && !b"=]\"".contains(&byte);
        let name = name.iter().take(longest);
        out.extend(name.map(|byte| if is_allowed(*byte) { *byte } else { b'_' }));
        if out.ends_with(b"[") || out.ends_with(b" ") {
            out.push(b'_');
        }
    }
}

/// A value of structured data within its quotes.
fn escaped(value: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(value.len());
    for byte in value {
        if b"\"\\]".contains(byte) {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    escaped
}

/// The text of a value that is no list, map or nothing.
fn scalar(value: &[u8]) -> Option<Vec<u8>> {
    let is_none = matches!(
        Reader::new(value).next(),
        Err(_) | Ok(Value::Nil | Value::Map(_) | Value::Array(_) | Value::Ext(..))
    );
    let mut text = Vec::new();
    write_text(value, &mut text);
    (!is_none).then_some(text)
}

/// The number that a record says by a word or in digits, or the preset.
fn code(
    what: &'static str,
    (key, preset): &(Option<Accessor>, u8),
    words: &[&str],
    body: &[u8],
) -> Result<u8, Strange> {
    let found = key.as_ref().and_then(|key| scalar(key.find(body)?));
    let Some(text) = found.filter(|text| !text.is_empty()) else { return Ok(*preset) };
    let place = match std::str::from_utf8(&text).ok().and_then(|text| text.parse::<usize>().ok()) {
        Some(number) => Some(number).filter(|number| *number < words.len()),
        None => words.iter().position(|word| word.as_bytes().eq_ignore_ascii_case(&text)),
    };
    let place = place.and_then(|place| u8::try_from(place).ok());
    place.ok_or_else(|| Strange { what, text: excerpt(&text) })
}

/// Whether a text begins as a message does: `<13>`.
fn has_priority(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"<") else { return false };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (1..=3).contains(&digits) && rest.get(digits) == Some(&b'>')
}

/// Shortens what begins at `start` to so many bytes, or a few less, so that no character is cut.
fn cut(out: &mut Vec<u8>, start: usize, longest: usize) {
    let Some(mut end) = start.checked_add(longest).filter(|end| *end < out.len()) else { return };
    let is_within = |byte: u8| byte & 0xc0 == 0x80;
    let least = end.saturating_sub(3).max(start);
    while end > least && is_within(out[end]) {
        end -= 1;
    }
    out.truncate(end);
}
