//! The records of one tenant as a request: streams by their labels, and the entries of each in the order of time.

use std::collections::HashMap;
use std::collections::hash_map;

use flb_event::Timestamp;
use flb_event::json::Printer;

use super::fields::Pairs;
use crate::json;

/// Streams in the order in which they began.
#[derive(Debug, Default)]
pub(super) struct Batch {
    streams: Vec<Stream>,
    /// The place of each stream by its labels, sorted.
    places: HashMap<Pairs, usize>,
    /// The places in the chunk of the records that are here.
    pub(super) records: Vec<usize>,
}

#[derive(Debug)]
struct Stream {
    labels: Pairs,
    entries: Vec<Entry>,
}

/// A line, when it was, and what is known beside it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) time: Timestamp,
    pub(super) line: Vec<u8>,
    pub(super) metadata: Option<Pairs>,
}

impl Batch {
    /// Adds the entry of the record at this place.
    pub(super) fn push(&mut self, place: usize, labels: Pairs, entry: Entry) {
        let mut sorted = labels.clone();
        sorted.sort_unstable();
        let stream = match self.places.entry(sorted) {
            hash_map::Entry::Occupied(known) => *known.get(),
            hash_map::Entry::Vacant(new) => {
                self.streams.push(Stream { labels, entries: Vec::new() });
                *new.insert(self.streams.len() - 1)
            }
        };
        self.streams[stream].entries.push(entry);
        self.records.push(place);
    }

    /// The request's body.
    pub(super) fn write(&mut self, printer: &mut Printer) -> Vec<u8> {
        let mut out = b"{\"streams\":[".to_vec();
        for stream in &mut self.streams {
            // Of the same time, those that came first stay first.
            stream.entries.sort_by_key(|entry| entry.time);
            stream.write(printer, &mut out);
            out.push(b',');
        }
        end(&mut out, b"]}");
        out
    }
}

impl Stream {
    fn write(&self, printer: &mut Printer, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"stream\":");
        write_pairs(&self.labels, printer, out);
        out.extend_from_slice(b",\"values\":[");
        for entry in &self.entries {
            entry.write(printer, out);
            out.push(b',');
        }
        end(out, b"]}");
    }
}

impl Entry {
    fn write(&self, printer: &mut Printer, out: &mut Vec<u8>) {
        let nanoseconds = u64::from(self.time.sec) * 1_000_000_000 + u64::from(self.time.nsec);
        out.extend_from_slice(format!("[\"{nanoseconds}\",").as_bytes());
        json::quote(&self.line, printer, out);
        if let Some(metadata) = &self.metadata {
            out.push(b',');
            write_pairs(metadata, printer, out);
        }
        out.push(b']');
    }
}

fn write_pairs(pairs: &Pairs, printer: &mut Printer, out: &mut Vec<u8>) {
    out.push(b'{');
    for (name, value) in pairs {
        json::quote(name.as_bytes(), printer, out);
        out.push(b':');
        json::quote(value, printer, out);
        out.push(b',');
    }
    end(out, b"}");
}

/// Ends a list, whose elements all have a comma behind them.
fn end(out: &mut Vec<u8>, brackets: &[u8]) {
    if out.ends_with(b",") {
        out.pop();
    }
    out.extend_from_slice(brackets);
}
