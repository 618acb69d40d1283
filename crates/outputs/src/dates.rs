//! Times in the words of `strftime`, in UTC. Records come by the thousand in one second, so the last text is kept.

use flb_plugin::BuildError;
use flb_plugin::keys::{Key, Text};
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

/// A format that is known to work.
#[derive(Debug, Clone)]
pub(super) struct Format(String);

impl Format {
    /// The format that an option gives.
    pub(super) fn new(key: Key<Text>, text: &str) -> Result<Self, BuildError> {
        let wrong = |error: jiff::Error| {
            BuildError::new(format!("{} '{text}': {error}", key.name()))
                .help("write it as for strftime, such as %Y.%m.%d")
        };
        written(text, 0).map(|_| Self(text.to_owned())).map_err(wrong)
    }

    /// What writes times in it.
    pub(super) fn dates(&self) -> Dates<'_> {
        Dates { format: self, last: None }
    }
}

/// Writes times in one format.
pub(super) struct Dates<'a> {
    format: &'a Format,
    last: Option<(u32, String)>,
}

impl Dates<'_> {
    /// The time so many seconds after 1970.
    pub(super) fn text(&mut self, sec: u32) -> &str {
        let last = self.last.take().filter(|(known, _)| *known == sec);
        // A format that works for one time works for all.
        let text = |(_, text)| text;
        let text = last.map_or_else(|| written(&self.format.0, sec).unwrap_or_default(), text);
        &self.last.insert((sec, text)).1
    }
}

fn written(format: &str, sec: u32) -> Result<String, jiff::Error> {
    let time = jiff::Timestamp::from_second(i64::from(sec))?;
    strtime::format(format, &time.to_zoned(TimeZone::UTC))
}
