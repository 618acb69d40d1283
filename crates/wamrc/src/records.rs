//! Records from a file or from standard input: a JSON object a line.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;

use anyhow::Context as _;

use crate::input;
use crate::record::body;

/// The records of a file, in batches.
pub(crate) struct Records {
    name: String,
    lines: BufReader<Box<dyn Read>>,
    read: usize,
}

/// A record's line, and its body as msgpack.
pub(crate) type Numbered = (usize, Vec<u8>);

impl Records {
    /// Those of a file; `-` is standard input.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let source: Box<dyn Read> = match name.as_str() {
            "-" => Box::new(io::stdin()),
            _ => Box::new(File::open(path).map_err(|error| input::unread(path, error))?),
        };
        Ok(Self { name, lines: BufReader::new(source), read: 0 })
    }

    /// The next ones, so many at most: those that are there without waiting, but one at least. None at the end.
    pub(crate) fn batch(&mut self, most: usize) -> anyhow::Result<Vec<Numbered>> {
        let mut batch = Vec::new();
        while batch.len() < most && (batch.is_empty() || self.lines.buffer().contains(&b'\n')) {
            let mut line = Vec::new();
            let read = self.lines.read_until(b'\n', &mut line);
            if read.with_context(|| self.name.clone())? == 0 {
                break;
            }
            self.read += 1;
            if !line.trim_ascii().is_empty() {
                let body = body(&line).with_context(|| format!("{}:{}", self.name, self.read))?;
                batch.push((self.read, body));
            }
        }
        Ok(batch)
    }
}
