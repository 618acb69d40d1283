//! `tail`: follows text files, line by line, through rotation and truncation. The system says when they change; where it does
//! not, each file is looked at a few times a second.

mod database;
mod file;
mod follow;
mod patterns;
mod positions;
mod room;
mod settings;
mod source;
mod tag;
mod take;
#[cfg(test)]
mod tests;
mod watch;

use flb_plugin::{Build, BuildError, Input, Kind, OptionSpec, Options, Spec};

use self::follow::Tail;
use self::patterns::Patterns;
use self::positions::Positions;
use self::settings::Settings;
use super::shared::records::{self, LineRecords};

/// The options for further parsers of the old way to join lines.
const PARSER_N: [&str; 9] = [
    "parser_1", "parser_2", "parser_3", "parser_4", "parser_5", "parser_6", "parser_7", "parser_8",
    "parser_9",
];

const fn parser_n(number: usize) -> OptionSpec {
    OptionSpec::new(PARSER_N[number - 1], Kind::Text, None, "With multiline: parser of other lines")
}

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
        OptionSpec::new("truncate_long_lines", Kind::Bool, Some("off"), "Cut longer ones off"),
        OptionSpec::new("skip_empty_lines", Kind::Bool, Some("off"), "Skip empty ones"),
        OptionSpec::new("tag_regex", Kind::Text, None, "Finds <name>s of the tag in the path"),
        OptionSpec::new("ignore_older", Kind::Time, Some("0"), "Leave out older files and records"),
        OptionSpec::new(
            "ignore_active_older_files",
            Kind::Bool,
            Some("off"),
            "Leave out files that become older, too",
        ),
        OptionSpec::new("db", Kind::Text, None, "File that keeps the positions in files"),
        OptionSpec::new("db.sync", Kind::Choice(SYNC), Some("normal"), "Accepted: always safe"),
        OptionSpec::new("db.locking", Kind::Bool, Some("off"), "Accepted: always locked"),
        OptionSpec::new("db.journal_mode", Kind::Choice(JOURNAL), Some("WAL"), "Accepted"),
        OptionSpec::new("db.compare_filename", Kind::Bool, Some("off"), "A new name, a new file"),
        OptionSpec {
            multiple: true,
            ..OptionSpec::new("multiline.parser", Kind::Text, None, "Join lines: docker, cri, java")
        },
        OptionSpec::new("multiline", Kind::Bool, Some("off"), "The old way to join lines"),
        OptionSpec::new("multiline_flush", Kind::Time, Some("4"), "With multiline: time to wait"),
        OptionSpec::new("parser_firstline", Kind::Text, None, "With multiline: knows a first line"),
        parser_n(1),
        parser_n(2),
        parser_n(3),
        parser_n(4),
        parser_n(5),
        parser_n(6),
        parser_n(7),
        parser_n(8),
        parser_n(9),
        OptionSpec::new("docker_mode", Kind::Bool, Some("off"), "As multiline.parser docker"),
        OptionSpec::new(
            "docker_mode_flush",
            Kind::Time,
            Some("4"),
            "With docker_mode_parser: time to wait",
        ),
        OptionSpec::new(
            "docker_mode_parser",
            Kind::Text,
            None,
            "With docker_mode: knows a first line",
        ),
        OptionSpec::new("inotify_watcher", Kind::Bool, Some("on"), "Have the system tell changes"),
        OptionSpec::new("watcher_interval", Kind::Time, Some("2"), "Accepted"),
        OptionSpec::new(
            "progress_check_interval",
            Kind::Time,
            Some("2"),
            "How often to look at files that the system watches",
        ),
        OptionSpec::new("progress_check_interval_nsec", Kind::Int, Some("0"), "Nanoseconds of it"),
        OptionSpec::new("static_batch_size", Kind::Size, None, "Bytes of a file's turn at start"),
        OptionSpec::new("event_batch_size", Kind::Size, None, "Bytes of a file's turn later"),
        OptionSpec::new("file_cache_advise", Kind::Bool, Some("on"), "Accepted"),
        OptionSpec::new("unicode.encoding", Kind::Text, None, "Not supported yet"),
        OptionSpec::new("generic.encoding", Kind::Text, None, "Not supported yet"),
    ],
    build,
};

const SYNC: &[&str] = &["extra", "full", "normal", "off"];
const JOURNAL: &[&str] = &["DELETE", "TRUNCATE", "PERSIST", "MEMORY", "WAL", "OFF"];

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    let paths = options.list("path");
    if paths.is_empty() {
        return Err(BuildError::new("no input 'path' was given")
            .help("add the files to follow: Path /var/log/*.log"));
    }
    let patterns = Patterns::new(paths, options.list("exclude_path"))?;
    let settings = Settings::new(options, build)?;
    let parser = records::parser(options, build)?;
    let records = LineRecords::new(options.text("key").unwrap_or("log"), parser)
        .ignore_older(settings.ignore_older);
    let paths = [paths, options.list("exclude_path")].map(|paths| paths.join(","));
    let positions = Positions::new(build, paths, settings::database(options, build)?);
    Ok(Box::new(Tail::new(settings, patterns, records, positions)))
}
