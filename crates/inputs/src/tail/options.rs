//! The options of the input.

use flb_plugin::keys;
use flb_plugin::keys::{Bool, Choice, Double, Int, Key, List, Many, Size, Text, Time, Word};

keys! {
    /// All of them.
    pub(super) const KEYS;
    pub(super) PATH: Option<List> = Key::new("path", "Files to follow, with * and ? and [..]");
    pub(super) EXCLUDE_PATH: Option<List> = Key::new("exclude_path", "Files to leave out");
    pub(super) KEY: Text = Key::new("key", "Key of a line that is not parsed").default("log");
    pub(super) PARSER: Option<Text> = Key::new("parser", "Parser of lines");
    pub(super) PATH_KEY: Option<Text> = Key::new("path_key", "Key for the file's path in records");
    pub(super) OFFSET_KEY: Option<Text> =
        Key::new("offset_key", "Key for the line's offset in records");
    pub(super) READ_FROM_HEAD: Bool =
        Key::new("read_from_head", "Read the first files whole").default("off");
    pub(super) READ_NEWLY_DISCOVERED_FILES_FROM_HEAD: Bool = Key::new(
        "read_newly_discovered_files_from_head",
        "Read files whole that are found later",
    )
    .default("on");
    pub(super) REFRESH_INTERVAL: Double =
        Key::new("refresh_interval", "Seconds between searches").default("60");
    pub(super) ROTATE_WAIT: Time =
        Key::new("rotate_wait", "How long to read a renamed file").default("5");
    pub(super) EXIT_ON_EOF: Bool =
        Key::new("exit_on_eof", "Stop at the first files' ends").default("off");
    pub(super) BUFFER_CHUNK_SIZE: Option<Size> =
        Key::new("buffer_chunk_size", "Bytes to read at once (256 KiB)");
    pub(super) BUFFER_MAX_SIZE: Option<Size> =
        Key::new("buffer_max_size", "Longest line (256 KiB)");
    pub(super) SKIP_LONG_LINES: Bool =
        Key::new("skip_long_lines", "Skip longer ones").default("off");
    pub(super) TRUNCATE_LONG_LINES: Bool =
        Key::new("truncate_long_lines", "Cut longer ones off").default("off");
    pub(super) SKIP_EMPTY_LINES: Bool =
        Key::new("skip_empty_lines", "Skip empty ones").default("off");
    pub(super) TAG_REGEX: Option<Text> =
        Key::new("tag_regex", "Finds <name>s of the tag in the path");
    pub(super) IGNORE_OLDER: Time =
        Key::new("ignore_older", "Leave out older files and records").default("0");
    pub(super) IGNORE_ACTIVE_OLDER_FILES: Bool = Key::new(
        "ignore_active_older_files",
        "Leave out files that become older, too",
    )
    .default("off");
    pub(super) DB: Option<Text> = Key::new("db", "File that keeps the positions in files");
    DB_SYNC: Option<Choice<Sync>> = Key::new("db.sync", "").idle("positions are always safe");
    DB_LOCKING: Option<Bool> = Key::new("db.locking", "").idle("the file is always locked");
    DB_JOURNAL_MODE: Option<Choice<Journal>> =
        Key::new("db.journal_mode", "").idle("the file is of another kind");
    pub(super) DB_COMPARE_FILENAME: Bool =
        Key::new("db.compare_filename", "A new name, a new file").default("off");
    pub(super) MULTILINE_PARSER: Many<Text> =
        Key::new("multiline.parser", "Join lines: docker, cri, java").repeated();
    pub(super) MULTILINE: Bool = Key::new("multiline", "The old way to join lines").default("off");
    pub(super) MULTILINE_FLUSH: Time =
        Key::new("multiline_flush", "With multiline: time to wait").default("4");
    pub(super) PARSER_FIRSTLINE: Option<Text> =
        Key::new("parser_firstline", "With multiline: knows a first line");
    pub(super) PARSER_1: Option<Text> =
        Key::new("parser_1", "With multiline: parser of other lines");
    pub(super) PARSER_2: Option<Text> =
        Key::new("parser_2", "With multiline: parser of other lines");
    pub(super) PARSER_3: Option<Text> =
        Key::new("parser_3", "With multiline: parser of other lines");
    pub(super) PARSER_4: Option<Text> =
        Key::new("parser_4", "With multiline: parser of other lines");
    pub(super) PARSER_5: Option<Text> =
        Key::new("parser_5", "With multiline: parser of other lines");
    pub(super) PARSER_6: Option<Text> =
        Key::new("parser_6", "With multiline: parser of other lines");
    pub(super) PARSER_7: Option<Text> =
        Key::new("parser_7", "With multiline: parser of other lines");
    pub(super) PARSER_8: Option<Text> =
        Key::new("parser_8", "With multiline: parser of other lines");
    pub(super) PARSER_9: Option<Text> =
        Key::new("parser_9", "With multiline: parser of other lines");
    pub(super) DOCKER_MODE: Bool =
        Key::new("docker_mode", "As multiline.parser docker").default("off");
    pub(super) DOCKER_MODE_FLUSH: Time =
        Key::new("docker_mode_flush", "With docker_mode_parser: time to wait").default("4");
    pub(super) DOCKER_MODE_PARSER: Option<Text> =
        Key::new("docker_mode_parser", "With docker_mode: knows a first line");
    pub(super) INOTIFY_WATCHER: Bool =
        Key::new("inotify_watcher", "Have the system tell changes").default("on");
    WATCHER_INTERVAL: Option<Time> =
        Key::new("watcher_interval", "").idle("progress_check_interval says it");
    pub(super) PROGRESS_CHECK_INTERVAL: Time = Key::new(
        "progress_check_interval",
        "How often to look at files that the system watches",
    )
    .default("2");
    pub(super) PROGRESS_CHECK_INTERVAL_NSEC: Int =
        Key::new("progress_check_interval_nsec", "Nanoseconds of it").default("0");
    pub(super) STATIC_BATCH_SIZE: Size =
        Key::new("static_batch_size", "Bytes of a file's turn at start").default("8388608");
    pub(super) EVENT_BATCH_SIZE: Size =
        Key::new("event_batch_size", "Bytes of a file's turn later").default("8388608");
    FILE_CACHE_ADVISE: Option<Bool> =
        Key::new("file_cache_advise", "").idle("the system knows better");
    pub(super) UNICODE_ENCODING: Option<Text> = Key::new("unicode.encoding", "Not supported yet");
    pub(super) GENERIC_ENCODING: Option<Text> = Key::new("generic.encoding", "Not supported yet");
}

/// The options for further parsers of the old way to join lines.
pub(super) const PARSER_N: [Key<Option<Text>>; 9] =
    [PARSER_1, PARSER_2, PARSER_3, PARSER_4, PARSER_5, PARSER_6, PARSER_7, PARSER_8, PARSER_9];

/// How safe positions shall be, as another database has it.
#[derive(Debug, Clone, Copy)]
struct Sync;

impl Word for Sync {
    const ALL: &'static [(&'static str, Self)] =
        &[("extra", Self), ("full", Self), ("normal", Self), ("off", Self)];
}

/// The journal of another database.
#[derive(Debug, Clone, Copy)]
struct Journal;

impl Word for Journal {
    const ALL: &'static [(&'static str, Self)] = &[
        ("DELETE", Self),
        ("TRUNCATE", Self),
        ("PERSIST", Self),
        ("MEMORY", Self),
        ("WAL", Self),
        ("OFF", Self),
    ];
}
