//! `Merge_Log`: takes the text under `log` apart, and puts what is found into the record.

use flb_event::json::{self, Kind};
use flb_event::msgpack::map;
use flb_event::{Timestamp, msgpack};
use flb_plugin::Parser;

use super::options::Merging;

/// The key of the text.
const LOG: &[u8] = b"log";

/// Takes texts apart, one after the other.
#[derive(Default)]
pub(super) struct Merge {
    /// What was found in the text: a map.
    found: Vec<u8>,
    /// What may stand behind it.
    more: Vec<u8>,
}

impl Merge {
    /// Writes the record with what is in its text. The time is the one that the text itself says.
    pub(super) fn write(
        &mut self,
        record: &[u8],
        now: Timestamp,
        merging: &Merging,
        parser: Option<&dyn Parser>,
        out: &mut Vec<u8>,
    ) -> Option<Timestamp> {
        let Some(log) = Log::find(record) else {
            out.extend_from_slice(record);
            return None;
        };
        if msgpack::map_header(log.value).is_ok() {
            log.write(merging, log.value, out);
            return None;
        }
        let parser = parser.or(merging.parser.as_deref());
        let Some(time) = msgpack::as_str(log.value).and_then(|text| self.parse(text, now, parser))
        else {
            out.extend_from_slice(record);
            return None;
        };
        if merging.trims {
            self.trim();
        }
        log.write(merging, &self.found, out);
        time
    }

    /// Parses a text; what it is told of time, if it can be parsed.
    fn parse(
        &mut self,
        text: &[u8],
        now: Timestamp,
        parser: Option<&dyn Parser>,
    ) -> Option<Option<Timestamp>> {
        self.found.clear();
        match parser {
            Some(parser) => parser.parse(text, now, &mut self.found).ok().map(|parsed| parsed.time),
            None => self.parse_json(text).then_some(None),
        }
    }

    /// Parses one object, which no other value may follow. What is no value may.
    fn parse_json(&mut self, text: &[u8]) -> bool {
        if text.trim_ascii_start().first() != Some(&b'{') {
            return false;
        }
        let Ok(json::Parsed { consumed, kind: Kind::Object }) = json::parse(text, &mut self.found)
        else {
            return false;
        };
        let rest = text[consumed..].trim_ascii();
        self.more.clear();
        rest.is_empty() || json::parse(rest, &mut self.more).is_err()
    }

    /// Cuts the ends of texts off. Most have none, and stay where they are.
    fn trim(&mut self) {
        let ends = |(_, value): &(&[u8], &[u8])| {
            msgpack::as_str(value).is_some_and(|text| trimmed(text).len() < text.len())
        };
        if !msgpack::entries(&self.found).into_iter().flatten().flatten().any(|entry| ends(&entry))
        {
            return;
        }
        self.more.clear();
        self.more.push(0x80);
        let mut count = 0;
        for (key, value) in msgpack::entries(&self.found).into_iter().flatten().flatten() {
            self.more.extend_from_slice(key);
            match msgpack::as_str(value) {
                Some(text) => msgpack::write_str(&mut self.more, trimmed(text)),
                None => self.more.extend_from_slice(value),
            }
            count += 1;
        }
        map::set_len(&mut self.more, 0, count);
        std::mem::swap(&mut self.found, &mut self.more);
    }
}

/// A text without the newlines at its end, those that are written as `\n` and `\r` included. A lone newline stays.
fn trimmed(text: &[u8]) -> &[u8] {
    let mut rest = text;
    loop {
        rest = match rest {
            [before @ .., b'\n'] if !before.is_empty() => before,
            [before @ .., b'\\', b'n' | b'r'] => before,
            _ => return rest,
        };
    }
}

/// The entry with the text, and where it stands in its record.
struct Log<'r> {
    value: &'r [u8],
    /// From behind the record's header to behind the entry.
    before: &'r [u8],
    whole: &'r [u8],
    after: &'r [u8],
    /// How many other entries there are.
    others: u32,
}

impl<'r> Log<'r> {
    fn find(record: &'r [u8]) -> Option<Self> {
        let (count, header) = msgpack::map_header(record).ok()?;
        let mut at = header;
        for (key, value) in msgpack::entries(record).ok()?.map_while(Result::ok) {
            let end = at + key.len() + value.len();
            if msgpack::as_str(key) == Some(LOG) {
                let (before, whole, after) =
                    (&record[header..at], &record[at..end], &record[end..]);
                return Some(Self { value, before, whole, after, others: count - 1 });
            }
            at = end;
        }
        None
    }

    /// Writes the record with the entries of `found`.
    fn write(&self, merging: &Merging, found: &[u8], out: &mut Vec<u8>) {
        let Ok((entries, header)) = msgpack::map_header(found) else { return };
        let key = merging.key.as_ref().filter(|_| entries > 0);
        let (kept, added) = (u32::from(merging.keeps_log), key.map_or(entries, |_| 1));
        msgpack::write_map_header(out, (self.others + kept).saturating_add(added));
        out.extend_from_slice(self.before);
        if merging.keeps_log {
            out.extend_from_slice(self.whole);
        }
        out.extend_from_slice(self.after);
        match key {
            Some(key) => {
                msgpack::write_str(out, key);
                out.extend_from_slice(found);
            }
            None => out.extend_from_slice(&found[header..]),
        }
    }
}
