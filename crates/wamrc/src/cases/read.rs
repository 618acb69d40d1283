//! What a case's values are: from msgpack, which YAML and JSON were made, to their types.

use anyhow::Context as _;
use flb_event::Timestamp;
use flb_event::msgpack::{self, Reader, Value};
use flb_text::{did_you_mean, tame_line};

use crate::record::text;

/// An object, and what it is called.
pub(super) struct Object<'a> {
    entries: Vec<(&'a str, &'a [u8])>,
    about: &'static str,
}

impl<'a> Object<'a> {
    pub(super) fn of(value: &'a [u8], about: &'static str) -> anyhow::Result<Self> {
        let entries =
            msgpack::entries(value).ok().with_context(|| format!("{about} is no object"))?;
        let entry = |entry: Result<(&'a [u8], &'a [u8]), _>| {
            let (key, value) = entry.ok()?;
            Some((str::from_utf8(msgpack::as_str(key)?).ok()?, value))
        };
        let entries: Option<Vec<_>> = entries.map(entry).collect();
        let entries = entries.with_context(|| format!("a key of {about} is no text"))?;
        Ok(Self { entries, about })
    }

    /// Refuses keys that mean nothing.
    pub(super) fn only(&self, known: &[&str]) -> anyhow::Result<()> {
        let Some((key, _)) = self.entries.iter().find(|(key, _)| !known.contains(key)) else {
            return Ok(());
        };
        let help = match did_you_mean(key, known.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => format!("there are {}", known.join(", ")),
        };
        anyhow::bail!("'{key}' is no key of {}; help: {help}", self.about)
    }

    fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.entries.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
    }

    pub(super) fn text(&self, name: &str) -> anyhow::Result<Option<&'a str>> {
        let text = |value| str::from_utf8(msgpack::as_str(value)?).ok();
        let text = |value| text(value).with_context(|| format!("'{name}' is no text"));
        self.get(name).map(text).transpose()
    }

    pub(super) fn list(&self, name: &str) -> anyhow::Result<Vec<&'a [u8]>> {
        let list = |value| elements(value).with_context(|| format!("'{name}' is no list"));
        Ok(self.get(name).map(list).transpose()?.unwrap_or_default())
    }

    pub(super) fn map(&self, name: &str) -> anyhow::Result<Option<&'a [u8]>> {
        let map = |value| {
            msgpack::map_len(value).with_context(|| format!("'{name}' is no object"))?;
            Ok(value)
        };
        self.get(name).map(map).transpose()
    }

    pub(super) fn number(&self, name: &str) -> anyhow::Result<Option<usize>> {
        let number = |value| uint(value).and_then(|number| usize::try_from(number).ok());
        let number = |value| number(value).with_context(|| format!("'{name}' is no number"));
        self.get(name).map(number).transpose()
    }

    /// Seconds and nanoseconds.
    pub(super) fn time(&self, name: &str) -> anyhow::Result<Option<Timestamp>> {
        let time = |value| {
            let [sec, nsec] = elements(value)?[..] else { return None };
            let part = |value| uint(value).and_then(|number| u32::try_from(number).ok());
            Some(Timestamp { sec: part(sec)?, nsec: part(nsec)? })
        };
        let time = |value| {
            let help = "help: write [1700000000, 5], seconds and nanoseconds";
            time(value).with_context(|| format!("'{name}' is no time; {help}"))
        };
        self.get(name).map(time).transpose()
    }

    /// Keys in lower case, as those of properties are, and values as text.
    pub(super) fn settings(&self, name: &str) -> anyhow::Result<Vec<(String, String)>> {
        let Some(value) = self.get(name) else { return Ok(Vec::new()) };
        let settings = Object::of(value, "'config'")?;
        let setting = |(key, value): &(&str, &[u8])| {
            let value = match msgpack::as_str(value) {
                Some(text) => String::from_utf8_lossy(text).into_owned(),
                None => text(value)?,
            };
            Ok((key.to_ascii_lowercase(), value))
        };
        settings.entries.iter().map(setting).collect()
    }
}

/// The elements of an array; nothing if it is none.
pub(super) fn elements(array: &[u8]) -> Option<Vec<&[u8]>> {
    msgpack::elements(array).ok()?.collect::<Result<_, _>>().ok()
}

fn uint(value: &[u8]) -> Option<u64> {
    match Reader::new(value).next() {
        Ok(Value::Uint(number)) => Some(number),
        _ => None,
    }
}

/// A body: an object, or its msgpack in hexadecimal digits.
pub(super) fn body(value: &[u8]) -> anyhow::Result<Vec<u8>> {
    let body = match msgpack::as_str(value) {
        Some(digits) => bytes(digits),
        None => Some(value.to_vec()),
    };
    let body = body.filter(|body| msgpack::map_len(body) == Ok(body.len()));
    body.with_context(|| {
        let shown = text(value).unwrap_or_default();
        let shown = shown.trim_matches('"');
        format!("'{}' is neither an object nor msgpack in hexadecimal digits", tame_line(shown))
    })
}

fn bytes(digits: &[u8]) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| match pair {
        [_, _] => u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok(),
        _ => None,
    };
    digits.chunks(2).map(byte).collect()
}
