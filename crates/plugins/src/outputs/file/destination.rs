//! Which file records go to: one for all of a tag, or each where its fields and its time say.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use flb_event::{Chunk, ChunkBuilder, Event, Scene, Tag, Template, Timestamp};
use flb_plugin::{Build, BuildError, Options};

use crate::log::{Label, Mishaps};

/// What to do with a record that has no file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    /// Its whole chunk fails.
    Error,
    /// It is dropped.
    Drop,
    /// It goes to the fallback file.
    Fallback,
}

/// The names of what to do, as options have them.
pub(super) const OTHERWISE: &[&str] = &["error", "drop", "fallback"];

impl Otherwise {
    fn named(name: Option<&str>) -> Self {
        match name {
            Some("drop") => Self::Drop,
            Some("fallback") => Self::Fallback,
            _ => Self::Error,
        }
    }
}

/// Where records go.
pub(super) struct Destination {
    label: Label,
    folder: Option<Pattern>,
    /// Without, the tag is the name.
    name: Option<Pattern>,
    fallback: Option<PathBuf>,
    /// How many files there may be that records name.
    most: usize,
    /// Those that were written to.
    known: Mutex<HashSet<PathBuf>>,
    without_field: Otherwise,
    over_limit: Otherwise,
    mishaps: Mishaps,
}

/// A chunk by files.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// Files and their records, in the order of their first ones.
    pub(super) parts: Vec<(PathBuf, Chunk)>,
    /// Records that are dropped.
    pub(super) left_out: usize,
}

/// Why a record has no file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum Homeless {
    #[error("a field is missing that 'path' or 'file' names")]
    NoField,
    #[error("what a field holds can be no part of a path")]
    Unsafe,
    #[error("there are 'max_dynamic_files' files already")]
    TooMany,
}

impl Destination {
    pub(super) fn new(options: &Options, build: &Build<'_>) -> Result<Self, BuildError> {
        let has_time = options.bool("enable_strftime");
        let pattern = |option: &str| {
            options.text(option).map(|text| Pattern::new(option, text, has_time)).transpose()
        };
        let (folder, name) = (pattern("path")?, pattern("file")?);
        if folder.as_ref().is_some_and(|folder| folder.text.starts_with('$')) {
            return Err(BuildError::new("path begins with what a record says")
                .help("begin it with a directory that all of them are in: logs/$key"));
        }
        let fallback = options.text("fallback_file").map(|file| {
            options.text("fallback_path").map(PathBuf::from).unwrap_or_default().join(file)
        });
        let is_dynamic = [&folder, &name].into_iter().flatten().any(Pattern::is_dynamic);
        let without_field = Otherwise::named(options.text("on_missing_field"));
        let over_limit = Otherwise::named(options.text("on_limit_reached"));
        let needs_fallback =
            is_dynamic || [without_field, over_limit].contains(&Otherwise::Fallback);
        if needs_fallback && fallback.is_none() {
            return Err(BuildError::new("records name their files, and there is no fallback_file")
                .help("name one for records that can't: Fallback_File other"));
        }
        let most = options.int("max_dynamic_files").unwrap_or_default();
        let most = usize::try_from(most).map_err(|_| {
            BuildError::new(format!("max_dynamic_files is {most}")).help("0 is without a limit")
        })?;
        Ok(Self {
            label: Label::output("file", build),
            folder,
            name,
            fallback,
            most: if most == 0 { usize::MAX } else { most },
            known: Mutex::default(),
            without_field,
            over_limit,
            mishaps: Mishaps::default(),
        })
    }

    fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.folder.iter().chain(&self.name)
    }

    /// Splits a chunk by files. An error says why the chunk fails.
    pub(super) fn split(&self, chunk: &Chunk) -> Result<Split, String> {
        let tag = chunk.tag();
        if !self.patterns().any(Pattern::is_dynamic) {
            let text = |pattern: &Pattern| PathBuf::from(&pattern.text);
            let folder = self.folder.as_ref().map(text).unwrap_or_default();
            let name = self.name.as_ref().map_or_else(|| file_name(tag).into(), text);
            return Ok(Split { parts: vec![(folder.join(name), chunk.clone())], left_out: 0 });
        }
        let mut parts: Vec<(PathBuf, ChunkBuilder)> = Vec::new();
        let mut places: HashMap<PathBuf, usize> = HashMap::new();
        let mut left_out = 0;
        for event in chunk.records() {
            let Some(path) = self.path(tag, &event)? else {
                left_out += 1;
                continue;
            };
            let at = *places.entry(path).or_insert_with_key(|path| {
                parts.push((path.clone(), ChunkBuilder::new(tag.clone())));
                parts.len() - 1
            });
            parts[at].1.push(event).map_err(|error| error.to_string())?;
        }
        let parts = parts.into_iter().map(|(path, records)| (path, records.build())).collect();
        Ok(Split { parts, left_out })
    }

    /// The file of a record, nothing if it is dropped.
    fn path(&self, tag: &Tag, event: &Event<'_>) -> Result<Option<PathBuf>, String> {
        let homeless = match self.own_path(tag, event) {
            Ok(path) => return Ok(Some(path)),
            Err(homeless) => homeless,
        };
        let otherwise =
            if homeless == Homeless::TooMany { self.over_limit } else { self.without_field };
        match (otherwise, &self.fallback) {
            (Otherwise::Fallback, Some(fallback)) => Ok(Some(fallback.clone())),
            (Otherwise::Drop, _) => {
                if let Some(total) = self.mishaps.another() {
                    tracing::warn!(
                        "{} a record is dropped: {homeless} ({total} so far)",
                        self.label
                    );
                }
                Ok(None)
            }
            (Otherwise::Error | Otherwise::Fallback, _) => {
                Err(format!("a record has no file: {homeless}"))
            }
        }
    }

    fn own_path(&self, tag: &Tag, event: &Event<'_>) -> Result<PathBuf, Homeless> {
        let scene = Scene { tag, body: event.body, captures: &[] };
        let fill = |pattern: &Pattern| pattern.fill(&scene, event.time);
        let folder = self.folder.as_ref().map(fill).transpose()?;
        let name = self.name.as_ref().map(fill).transpose()?.unwrap_or_else(|| file_name(tag));
        if self.name.as_ref().is_some_and(Pattern::is_dynamic) && !is_name(&name) {
            return Err(Homeless::Unsafe);
        }
        let path = folder.map(PathBuf::from).unwrap_or_default().join(name);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.contains(&path) {
            if known.len() >= self.most {
                return Err(Homeless::TooMany);
            }
            known.insert(path.clone());
        }
        Ok(path)
    }
}

/// A directory or a name with parts that a record fills in.
struct Pattern {
    text: String,
    /// Conversions as of strftime are filled in first.
    has_time: bool,
    /// The text, if it has no time.
    template: Template,
}

impl Pattern {
    fn new(option: &str, text: &str, has_time: bool) -> Result<Self, BuildError> {
        let template = Template::parse(text)
            .map_err(|error| BuildError::new(format!("{option}: {error}")).help(error.hint()))?;
        let pattern =
            Self { text: text.to_owned(), has_time: has_time && text.contains('%'), template };
        if pattern.has_time {
            pattern.dated(Timestamp::default()).map_err(|error| {
                BuildError::new(format!("{option} '{text}': {error}"))
                    .help("use what strftime knows, as %Y-%m-%d, or Enable_Strftime off")
            })?;
        }
        Ok(pattern)
    }

    fn is_dynamic(&self) -> bool {
        self.has_time || self.template.as_text().is_none()
    }

    /// The text with the time in it, which is UTC.
    fn dated(&self, time: Timestamp) -> Result<String, jiff::Error> {
        let moment = jiff::Timestamp::from_second(time.sec.into())?;
        jiff::fmt::strtime::format(&self.text, &moment.to_zoned(jiff::tz::TimeZone::UTC))
    }

    fn fill(&self, scene: &Scene<'_>, time: Timestamp) -> Result<String, Homeless> {
        if !self.is_dynamic() {
            return Ok(self.text.clone());
        }
        let dated = match self.has_time {
            true => {
                let text = self.dated(time).map_err(|_| Homeless::Unsafe)?;
                &Template::parse(&text).map_err(|_| Homeless::Unsafe)?
            }
            false => &self.template,
        };
        if dated.fields().any(|field| field.find(scene.body).is_none()) {
            return Err(Homeless::NoField);
        }
        let mut filled = Vec::new();
        dated.write(scene, &mut filled);
        let filled = String::from_utf8(filled).map_err(|_| Homeless::Unsafe)?;
        let own = &filled[self.fixed_part().len()..];
        let leads_out = |part: &str| matches!(part, "." | "..");
        if own.contains(|letter: char| letter.is_control()) || own.split(['/', '\\']).any(leads_out)
        {
            return Err(Homeless::Unsafe);
        }
        Ok(filled)
    }

    /// The directories in front of all that is filled in.
    fn fixed_part(&self) -> &str {
        let specials = if self.has_time { &['$', '%'][..] } else { &['$'][..] };
        let fixed = self.text.split(specials).next().unwrap_or_default();
        &fixed[..fixed.rfind('/').map_or(0, |slash| slash + 1)]
    }
}

/// Whether a text can be the name of a file, here and elsewhere.
fn is_name(text: &str) -> bool {
    let is_bad = |letter: char| letter.is_control() || "/\\:*?\"<>|".contains(letter);
    !matches!(text, "" | "." | "..") && !text.contains(is_bad)
}

/// A file name made of a tag: it names one file in the directory, whatever the tag says.
fn file_name(tag: &Tag) -> String {
    let plain = |letter: char| {
        let is_plain = letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
        if is_plain { letter } else { '_' }
    };
    let name: String = tag.as_str().chars().map(plain).collect();
    if name.bytes().all(|byte| byte == b'.') { "_".repeat(name.len().max(1)) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    use crate::outputs::file::SPEC;
    use crate::testing;
    use flb_plugin::Flush;

    const TIME: u32 = 1_700_000_000; // 14 November 2023

    /// Writes records with these bodies, a second apart, and shows the files: their names below the folder and what `m` says.
    fn check(given: &[(&str, &str)], bodies: &[&str], expected: &[(&str, &str)]) -> Flush {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display().to_string();
        let under_root = |(name, value): &(&'static str, &str)| match *name {
            "path" | "fallback_path" => (*name, format!("{root}/{value}")),
            _ => (*name, (*value).to_owned()),
        };
        // Names of options are of the tests, and live for ever.
        let given: Vec<(&'static str, &str)> = given.iter().map(|(n, v)| (option(n), *v)).collect();
        let mut all: Vec<(&str, String)> = given.iter().map(under_root).collect();
        all.extend([
            ("format", "template".into()),
            ("template", "{m}".into()),
            ("mkdir", "on".into()),
        ]);
        let all: Vec<(&str, &str)> =
            all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let output = testing::build(&SPEC, &all).unwrap();
        let records: Vec<(u32, u32, &str)> =
            (TIME..).zip(bodies).map(|(time, body)| (time, 0, *body)).collect();
        let flush = testing::block_on(output.flush(&testing::chunk("app.web", &records)));
        let mut found = Vec::new();
        list(folder.path(), folder.path(), &mut found);
        found.sort();
        let found: Vec<(&str, &str)> =
            found.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(found, expected, "{given:?}");
        flush
    }

    fn option(name: &str) -> &'static str {
        SPEC.options.iter().find(|option| option.name == name).unwrap().name
    }

    fn list(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                list(root, &path, found);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let text = fs::read_to_string(&path).unwrap().trim_end().replace('\n', " ");
            found.push((name, text));
        }
    }

    const BY_NAMESPACE: &[(&str, &str)] =
        &[("path", "logs/$k['ns']"), ("file", "$app.log"), ("fallback_file", "other")];

    #[test]
    fn records_go_where_their_fields_say() {
        let bodies = [
            r#"{"m":1,"k":{"ns":"a"},"app":"x"}"#,
            r#"{"m":2,"k":{"ns":"b"},"app":"x"}"#,
            r#"{"m":3,"k":{"ns":"a"},"app":"x"}"#,
            r#"{"m":4,"k":{"ns":"a/b"},"app":"y"}"#,
        ];
        let expected = [("logs/a/b/y.log", "4"), ("logs/a/x.log", "1 3"), ("logs/b/x.log", "2")];
        assert!(matches!(check(BY_NAMESPACE, &bodies, &expected), Flush::Done));
    }

    #[test]
    fn tags_and_dates_are_filled_in() {
        let given = [
            ("path", "%Y"),
            ("file", "$TAG[1]-%m-%d"),
            ("enable_strftime", "on"),
            ("fallback_file", "x"),
        ];
        check(&given, &[r#"{"m":1}"#], &[("2023/web-11-14", "1")]);
        check(&[("path", "a"), ("file", "100%")], &[r#"{"m":1}"#], &[("a/100%", "1")]);
    }

    #[test]
    fn a_directory_that_no_record_fills_in_is_taken_as_it_is() {
        let given = [("path", "."), ("file", "$m"), ("fallback_file", "x")];
        let flush = check(&given, &[r#"{"m":1}"#], &[("1", "1")]);
        assert!(matches!(flush, Flush::Done), "{flush:?}");
    }

    #[test]
    fn a_record_that_cannot_name_its_file_goes_as_it_is_told() {
        let homeless = [
            r#"{"m":1,"app":"x"}"#,
            r#"{"m":2,"k":{"ns":".."},"app":"x"}"#,
            r#"{"m":3,"k":{"ns":"a/../../b"},"app":"x"}"#,
            r#"{"m":4,"k":{"ns":"a"},"app":"x/y"}"#,
            r#"{"m":5,"k":{"ns":"a\u0001"},"app":"x"}"#,
            r#"{"m":6,"k":{"ns":"a"},"app":"x"}"#,
        ];
        let with = |more: &[(&'static str, &'static str)]| [BY_NAMESPACE, more].concat();
        let there = ("logs/a/x.log", "6");
        let dropped = check(&with(&[("on_missing_field", "drop")]), &homeless, &[there]);
        assert!(matches!(dropped, Flush::Partly { left_out: 5 }), "{dropped:?}");
        let fallback = [("on_missing_field", "fallback"), ("fallback_path", "rest")];
        check(&with(&fallback), &homeless, &[there, ("rest/other", "1 2 3 4 5")]);
        let failed = check(&with(&[]), &homeless, &[]);
        assert!(matches!(failed, Flush::Fail(_)), "{failed:?}");
    }

    #[test]
    fn there_are_only_so_many_files() {
        let bodies =
            ["a", "b", "c", "a"].map(|ns| format!(r#"{{"m":1,"k":{{"ns":"{ns}"}},"app":"x"}}"#));
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let more =
            [("max_dynamic_files", "2"), ("on_limit_reached", "fallback"), ("fallback_path", "r")];
        let expected = [("logs/a/x.log", "1 1"), ("logs/b/x.log", "1"), ("r/other", "1")];
        check(&[BY_NAMESPACE, &more].concat(), &bodies, &expected);
    }

    #[test]
    fn a_chunk_that_fails_at_one_file_leaves_nothing_in_the_others() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "before\n").unwrap();
        std::os::unix::fs::symlink("/dev/full", folder.path().join("b")).unwrap();
        let root = folder.path().display().to_string();
        let given = [("path", root.as_str()), ("file", "$n"), ("fallback_file", "x")];
        let output = testing::build(&SPEC, &given).unwrap();
        let records = [(1, 0, r#"{"n":"a"}"#), (2, 0, r#"{"n":"b"}"#)];
        let flush = testing::block_on(output.flush(&testing::chunk("t", &records)));
        assert!(matches!(flush, Flush::Retry { .. }), "{flush:?}");
        assert_eq!(fs::read_to_string(folder.path().join("a")).unwrap(), "before\n");
    }

    #[test]
    fn what_cannot_work_is_refused_at_start() {
        for (given, says) in [
            (&[("path", "$a"), ("fallback_file", "x")][..], "path begins with what a record says"),
            (&[("file", "$a")], "records name their files, and there is no fallback_file"),
            (
                &[("file", "a"), ("on_limit_reached", "fallback")],
                "records name their files, and there is no fallback_file",
            ),
            (&[("max_dynamic_files", "-1")], "max_dynamic_files is -1"),
            (&[("file", "$a['b")], "file: a bracket at byte 2 of '$a['b' holds neither"),
            (&[("file", "%!"), ("enable_strftime", "on"), ("fallback_file", "x")], "file '%!': "),
        ] {
            let error = testing::build(&SPEC, given).err().unwrap();
            assert!(error.message.starts_with(says), "{}", error.message);
        }
    }

    #[test]
    fn a_tag_never_leads_out_of_the_directory() {
        for (tag, name) in [
            ("a.b-c_D9", "a.b-c_D9"),
            ("../etc/x y", ".._etc_x_y"),
            ("..", "__"),
            (".", "_"),
            ("", "_"),
            ("é", "_"),
        ] {
            assert_eq!(file_name(&Tag::new(tag).unwrap()), name, "{tag}");
        }
    }
}
