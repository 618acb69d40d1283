//! `tail`: follows text files, line by line, through rotation and truncation. Looks at each file a few times a second;
//! nothing else tells it about changes.

mod file;
mod follow;
mod patterns;
mod tag;
mod take;
#[cfg(test)]
mod tests;

use std::time::Duration;

use flb_event::{Tag, msgpack};
use flb_plugin::{Build, BuildError, Input, Kind, OptionSpec, Options, Spec};

use self::follow::Tail;
use self::patterns::Patterns;
use super::records::{self, LineRecords};
use crate::log::Label;

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "tail",
    about: "Follow text files, line by line",
    options: &[
        OptionSpec::new("path", Kind::List, None, "Files to follow, with * and ? and [..]"),
        OptionSpec::new("exclude_path", Kind::List, None, "Files to leave out"),
        OptionSpec::new("key", Kind::Text, Some("log"), "Key of a line that is not parsed"),
        OptionSpec::new("parser", Kind::Text, None, "Parser of lines"),
        OptionSpec::new("path_key", Kind::Text, None, "Key for the file's path in records"),
        OptionSpec::new("offset_key", Kind::Text, None, "Key for the line's offset in records"),
        OptionSpec::new("read_from_head", Kind::Bool, Some("off"), "Read the first files whole"),
        OptionSpec::new(
            "read_newly_discovered_files_from_head",
            Kind::Bool,
            Some("on"),
            "Read files whole that are found later",
        ),
        OptionSpec::new("refresh_interval", Kind::Double, Some("60"), "Seconds between searches"),
        OptionSpec::new("rotate_wait", Kind::Time, Some("5"), "How long to read a renamed file"),
        OptionSpec::new("exit_on_eof", Kind::Bool, Some("off"), "Stop at the first files' ends"),
        OptionSpec::new("buffer_chunk_size", Kind::Size, None, "Bytes to read at once (256 KiB)"),
        OptionSpec::new("buffer_max_size", Kind::Size, None, "Longest line (256 KiB)"),
        OptionSpec::new("skip_long_lines", Kind::Bool, Some("off"), "Skip longer ones"),
        OptionSpec::new("skip_empty_lines", Kind::Bool, Some("off"), "Skip empty ones"),
    ],
    build,
};

/// Bytes to read at once, and the limit of a line, if the configuration does not say.
const BUFFER: u64 = 256 * 1024;

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    let paths = options.list("path");
    if paths.is_empty() {
        return Err(BuildError::new("no input 'path' was given")
            .help("add the files to follow: Path /var/log/*.log"));
    }
    let patterns = Patterns::new(paths, options.list("exclude_path"))?;
    let parser = records::parser(options, build)?;
    let records = LineRecords::new(options.text("key").unwrap_or("log"), parser);
    let (read, limit) = buffer_sizes(options)?;
    let settings = Settings {
        label: Label::input("tail", build),
        tag: build.tag.clone(),
        path_key: options.text("path_key").map(str::to_owned),
        offset_key: options.text("offset_key").map(encoded),
        first_from_head: options.bool("read_from_head"),
        later_from_head: options.bool("read_newly_discovered_files_from_head"),
        refresh: refresh_interval(options)?,
        rotate_wait: options.time("rotate_wait").unwrap_or_default(),
        exit_on_eof: options.bool("exit_on_eof"),
        read,
        limit,
        skip_long_lines: options.bool("skip_long_lines"),
        skip_empty_lines: options.bool("skip_empty_lines"),
    };
    Ok(Box::new(Tail::new(settings, patterns, records)))
}

/// What the configuration says, but for the paths and the parser.
struct Settings {
    label: Label,
    tag: Tag,
    path_key: Option<String>,
    /// As msgpack.
    offset_key: Option<Vec<u8>>,
    first_from_head: bool,
    later_from_head: bool,
    refresh: Duration,
    rotate_wait: Duration,
    exit_on_eof: bool,
    /// Bytes to read at once.
    read: usize,
    /// Lines have fewer bytes.
    limit: usize,
    skip_long_lines: bool,
    skip_empty_lines: bool,
}

/// Bytes to read at once, and the limit of a line.
fn buffer_sizes(options: &Options) -> Result<(usize, usize), BuildError> {
    let (chunk, max) = (options.size("buffer_chunk_size"), options.size("buffer_max_size"));
    let read = chunk.unwrap_or(BUFFER.min(max.unwrap_or(BUFFER)));
    let limit = max.unwrap_or(BUFFER.max(read));
    if read == 0 {
        return Err(BuildError::new("a buffer of 0 bytes leaves no room for lines"));
    }
    if read > limit {
        let message = format!("buffer_max_size ({limit}) is below buffer_chunk_size ({read})");
        return Err(BuildError::new(message).help("make buffer_max_size the greater one"));
    }
    let size = |bytes: u64| {
        usize::try_from(bytes).map_err(|_| BuildError::new(format!("no room for {bytes} bytes")))
    };
    Ok((size(read)?, size(limit)?))
}

fn refresh_interval(options: &Options) -> Result<Duration, BuildError> {
    let seconds = options.double("refresh_interval").unwrap_or(60.0);
    match Duration::try_from_secs_f64(seconds) {
        Ok(interval) if !interval.is_zero() => Ok(interval),
        _ => Err(BuildError::new(format!("invalid 'refresh_interval' config value ({seconds})"))
            .help("give the seconds between two searches for files: 60 or 0.5")),
    }
}

fn encoded(text: &str) -> Vec<u8> {
    let mut key = Vec::new();
    msgpack::write_str(&mut key, text);
    key
}
