//! YAML to msgpack: a list of maps, or a map a document, each with its line.
//!
//! A plain scalar is what it would be as JSON, a number, `true`, `false` or `null`; all else is text, so that `0123`, `on` and `1k`
//! stay as they are written.

use anyhow::anyhow;
use flb_event::{json, msgpack};
use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{Misread, Objects};

/// How deep lists and maps may lie inside each other.
const DEEPEST: usize = 64;

/// The maps of a file, each with the line that it begins on.
pub(super) fn objects(text: &str) -> Objects {
    let mut builder = Builder::default();
    for next in Parser::new_from_str(text) {
        let (event, marks) = next.map_err(|error| Misread {
            line: error.marker().line(),
            error: anyhow!("{}", error.info()),
        })?;
        let line = marks.start.line();
        builder.take(event, line).map_err(|error| Misread { line, error })?;
    }
    Ok(builder.done)
}

/// A list or map whose end has not come.
struct Open {
    is_map: bool,
    line: usize,
    /// Keys count as well.
    values: u32,
    bytes: Vec<u8>,
}

impl Open {
    fn close(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes.len() + 5);
        if self.is_map {
            msgpack::write_map_header(&mut bytes, self.values / 2);
        } else {
            msgpack::write_array_header(&mut bytes, self.values);
        }
        bytes.extend(self.bytes);
        bytes
    }
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    done: Vec<(usize, Vec<u8>)>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, line: usize) -> anyhow::Result<()> {
        match event {
            Event::Scalar(text, style, ..) => {
                let mut value = Vec::new();
                scalar(&text, style, &mut value);
                let is_nothing = self.open.is_empty() && text.is_empty();
                if is_nothing { Ok(()) } else { self.add(line, &value, false) }
            }
            Event::SequenceStart(..) => self.begin(false, line),
            Event::MappingStart(..) => self.begin(true, line),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) if !open.is_map && self.open.is_empty() => Ok(()),
                Some(open) => {
                    let (line, is_map) = (open.line, open.is_map);
                    self.add(line, &open.close(), is_map)
                }
                None => Ok(()),
            },
            Event::Alias(_) => {
                anyhow::bail!("aliases are not understood; help: write out what it stands for")
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, is_map: bool, line: usize) -> anyhow::Result<()> {
        anyhow::ensure!(self.open.len() < DEEPEST, "it is nested too deeply");
        self.open.push(Open { is_map, line, values: 0, bytes: Vec::new() });
        Ok(())
    }

    /// A value: a case of its own, or a part of what is open.
    fn add(&mut self, line: usize, value: &[u8], is_map: bool) -> anyhow::Result<()> {
        match &mut *self.open {
            [] | [Open { is_map: false, .. }] => {
                anyhow::ensure!(is_map, "a case is no map");
                self.done.push((line, value.to_vec()));
            }
            [.., open] => {
                open.values += 1;
                open.bytes.extend(value);
            }
        }
        Ok(())
    }
}

fn scalar(text: &str, style: ScalarStyle, out: &mut Vec<u8>) {
    if !matches!(style, ScalarStyle::Plain) {
        return msgpack::write_str(out, text);
    }
    if text.is_empty() || text == "~" {
        return msgpack::write_nil(out);
    }
    let is_whole =
        json::parse(text.as_bytes(), out).is_ok_and(|parsed| parsed.consumed == text.len());
    if !is_whole {
        out.clear();
        msgpack::write_str(out, text);
    }
}
