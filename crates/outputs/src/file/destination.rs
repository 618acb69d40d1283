//! Which file records go to: one for all of a tag, or each where its fields and its time say.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{
    ENABLE_STRFTIME, FALLBACK_FILE, FALLBACK_PATH, FILE, MAX_DYNAMIC_FILES, ON_LIMIT_REACHED,
    ON_MISSING_FIELD, PATH, ROTATE,
};
use flb_event::{Chunk, ChunkBuilder, Event, Scene, Tag, Template, Timestamp};
use flb_plugin::keys::{Key, Text, Word};
use flb_plugin::{Build, BuildError, Options};

use super::rotation;
use flb_plugin::log::{Label, Mishaps};

/// What to do with a record that has no file of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Otherwise {
    /// It is refused.
    Error,
    /// It is dropped.
    Drop,
    /// It goes to the fallback file.
    Fallback,
}

impl Word for Otherwise {
    const ALL: &'static [(&'static str, Self)] =
        &[("error", Self::Error), ("drop", Self::Drop), ("fallback", Self::Fallback)];
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
    /// Files are put aside under names that records must not take.
    rotates: bool,
}

/// A chunk by files.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// Files and their records, in the order of their first ones.
    pub(super) parts: Vec<(PathBuf, Chunk)>,
    /// How many records are dropped.
    pub(super) dropped: usize,
    /// Records that are refused, and why the first of them is.
    pub(super) refused: Option<(Chunk, String)>,
}

/// What becomes of a record.
enum Way {
    To(PathBuf),
    Dropped,
    Refused(Homeless),
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
    #[error("it asks for a name that files have which are put aside")]
    Reserved,
}

impl Destination {
    pub(super) fn new(options: &Options, build: &Build<'_>) -> Result<Self, BuildError> {
        let has_time = options.get(ENABLE_STRFTIME);
        let pattern = |key: Key<Option<Text>>| {
            let text = options.get(key);
            text.map(|text| Pattern::new(key.name(), text, has_time)).transpose()
        };
        let (folder, name) = (pattern(PATH)?, pattern(FILE)?);
        if folder.as_ref().is_some_and(|folder| folder.text.starts_with('$')) {
            return Err(BuildError::new("path begins with what a record says")
                .help("begin it with a directory that all of them are in: logs/$key"));
        }
        let fallback = options.get(FALLBACK_FILE).map(|file| {
            options.get(FALLBACK_PATH).map(PathBuf::from).unwrap_or_default().join(file)
        });
        let is_dynamic = [&folder, &name].into_iter().flatten().any(Pattern::is_dynamic);
        let without_field = options.get(ON_MISSING_FIELD);
        let over_limit = options.get(ON_LIMIT_REACHED);
        let needs_fallback =
            is_dynamic || [without_field, over_limit].contains(&Otherwise::Fallback);
        if needs_fallback && fallback.is_none() {
            return Err(BuildError::new("records name their files, and there is no fallback_file")
                .help("name one for records that can't: Fallback_File other"));
        }
        let most = options.get(MAX_DYNAMIC_FILES);
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
            rotates: options.get(ROTATE),
        })
    }

    fn patterns(&self) -> impl Iterator<Item = &Pattern> {
        self.folder.iter().chain(&self.name)
    }

    /// Splits a chunk by files.
    pub(super) fn split(&self, chunk: &Chunk) -> Split {
        let tag = chunk.tag();
        if !self.patterns().any(Pattern::is_dynamic) {
            let text = |pattern: &Pattern| PathBuf::from(&pattern.text);
            let folder = self.folder.as_ref().map(text).unwrap_or_default();
            let name = self.name.as_ref().map_or_else(|| file_name(tag).into(), text);
            return Split { parts: vec![(folder.join(name), chunk.clone())], ..Split::default() };
        }
        let mut parts: Vec<(PathBuf, ChunkBuilder)> = Vec::new();
        let mut places: HashMap<PathBuf, usize> = HashMap::new();
        let mut dropped = 0;
        let mut refused: Option<(ChunkBuilder, Homeless)> = None;
        for event in chunk.records() {
            // All come from one chunk, so they fit into one.
            let _ = match self.way(tag, &event) {
                Way::To(path) => {
                    let at = *places.entry(path).or_insert_with_key(|path| {
                        parts.push((path.clone(), ChunkBuilder::new(tag.clone())));
                        parts.len() - 1
                    });
                    parts[at].1.push(event)
                }
                Way::Dropped => {
                    dropped += 1;
                    Ok(())
                }
                Way::Refused(why) => {
                    let (records, _) =
                        refused.get_or_insert_with(|| (ChunkBuilder::new(tag.clone()), why));
                    records.push(event)
                }
            };
        }
        Split {
            parts: parts.into_iter().map(|(path, records)| (path, records.build())).collect(),
            dropped,
            refused: refused
                .map(|(records, why)| (records.build(), format!("a record has no file: {why}"))),
        }
    }

    fn way(&self, tag: &Tag, event: &Event<'_>) -> Way {
        let homeless = match self.own_path(tag, event) {
            Ok(path) => return Way::To(path),
            Err(homeless) => homeless,
        };
        let otherwise =
            if homeless == Homeless::TooMany { self.over_limit } else { self.without_field };
        if let (Otherwise::Fallback, Some(fallback)) = (otherwise, &self.fallback) {
            return Way::To(fallback.clone());
        }
        let label = &self.label;
        match (otherwise, self.mishaps.another()) {
            (Otherwise::Drop, Some(total)) => {
                tracing::warn!("{label} a record is dropped: {homeless} ({total} so far)");
            }
            (_, Some(total)) => {
                tracing::error!("{label} a record is refused: {homeless} ({total} so far)");
            }
            (_, None) => {}
        }
        match otherwise {
            Otherwise::Drop => Way::Dropped,
            Otherwise::Error | Otherwise::Fallback => Way::Refused(homeless),
        }
    }

    /// A file that could not be written is none of those that there may be.
    pub(super) fn forget(&self, path: &Path) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }

    fn own_path(&self, tag: &Tag, event: &Event<'_>) -> Result<PathBuf, Homeless> {
        let scene = Scene { tag, body: event.body, captures: &[] };
        let fill = |pattern: &Pattern| pattern.fill(&scene, event.time);
        let folder = self.folder.as_ref().map(fill).transpose()?;
        let name = self.name.as_ref().map(fill).transpose()?.unwrap_or_else(|| file_name(tag));
        if self.name.as_ref().is_some_and(Pattern::is_dynamic) {
            if !is_name(&name) {
                return Err(Homeless::Unsafe);
            }
            if self.rotates && rotation::is_reserved(&name) {
                return Err(Homeless::Reserved);
            }
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
    template: Arc<Template>,
    /// The text with the time of the last record in it.
    dated: Mutex<Option<(u32, Arc<Template>)>>,
}

impl Pattern {
    fn new(option: &str, text: &str, has_time: bool) -> Result<Self, BuildError> {
        let template = Template::parse(text)
            .map_err(|error| BuildError::new(format!("{option}: {error}")).help(error.hint()))?;
        let pattern = Self {
            text: text.to_owned(),
            has_time: has_time && text.contains('%'),
            template: Arc::new(template),
            dated: Mutex::default(),
        };
        if pattern.has_time {
            pattern.format(0).map_err(|error| {
                BuildError::new(format!("{option} '{text}': {error}"))
                    .help("use what strftime knows, as %Y-%m-%d, or Enable_Strftime off")
            })?;
        }
        Ok(pattern)
    }

    fn is_dynamic(&self) -> bool {
        self.has_time || self.template.as_text().is_none()
    }

    /// The text with a time in it, which is UTC.
    fn format(&self, sec: u32) -> Result<String, jiff::Error> {
        let moment = jiff::Timestamp::from_second(sec.into())?;
        jiff::fmt::strtime::format(&self.text, &moment.to_zoned(jiff::tz::TimeZone::UTC))
    }

    /// What records of a second fill in. A date is formatted once a second, not for each record.
    fn template(&self, sec: u32) -> Result<Arc<Template>, Homeless> {
        if !self.has_time {
            return Ok(Arc::clone(&self.template));
        }
        let mut dated = self.dated.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, template)) = &*dated
            && *of == sec
        {
            return Ok(Arc::clone(template));
        }
        let text = self.format(sec).map_err(|_| Homeless::Unsafe)?;
        let template = Arc::new(Template::parse(&text).map_err(|_| Homeless::Unsafe)?);
        *dated = Some((sec, Arc::clone(&template)));
        Ok(template)
    }

    fn fill(&self, scene: &Scene<'_>, time: Timestamp) -> Result<String, Homeless> {
        if !self.is_dynamic() {
            return Ok(self.text.clone());
        }
        let template = self.template(time.sec)?;
        if template.fields().any(|field| field.find(scene.body).is_none()) {
            return Err(Homeless::NoField);
        }
        let mut filled = Vec::new();
        template.write(scene, &mut filled);
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

    use crate::file::SPEC;
    use flb_harness as testing;
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
        SPEC.options.names().find(|known| *known == name).unwrap()
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
        assert!(matches!(dropped, Flush::Partly { left_out: 5, refused: None }), "{dropped:?}");
        let fallback = [("on_missing_field", "fallback"), ("fallback_path", "rest")];
        check(&with(&fallback), &homeless, &[there, ("rest/other", "1 2 3 4 5")]);
        let refused = check(&with(&[]), &homeless, &[there]);
        assert_eq!(refusals(&refused), Some(5), "{refused:?}");
        let failed = check(&with(&[]), &homeless[..5], &[]);
        let Flush::Fail(error) = failed else { panic!("all are refused: {failed:?}") };
        assert_eq!(error.0, "a record has no file: a field is missing that 'path' or 'file' names");
    }

    /// How many records were refused, and nothing else left out.
    fn refusals(flush: &Flush) -> Option<usize> {
        match flush {
            Flush::Partly { left_out, refused: Some(refused) } if refused.len() == *left_out => {
                Some(*left_out)
            }
            _ => None,
        }
    }

    #[test]
    fn a_record_whose_file_cannot_be_written_is_refused_alone() {
        let long = "x".repeat(300);
        let names = ["a", "folder", &long, "b"];
        let bodies = names.map(|name| format!(r#"{{"m":1,"app":"{name}"}}"#));
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let given =
            [("path", "."), ("file", "$app"), ("fallback_file", "x"), ("max_dynamic_files", "3")];
        // The folder comes to be with the first record of another output.
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("folder")).unwrap();
        let root = folder.path().display().to_string();
        let given = [&given[1..], &[("path", root.as_str())]].concat();
        let output = testing::build(&SPEC, &given).unwrap();
        let records: Vec<(u32, u32, &str)> = bodies.iter().map(|body| (1, 0, *body)).collect();
        for _ in 0..2 {
            let flush = testing::block_on(output.flush(&testing::chunk("t", &records[..3])));
            assert_eq!(refusals(&flush), Some(2), "{flush:?}");
        }
        let flush = testing::block_on(output.flush(&testing::chunk("t", &records[3..])));
        assert!(
            matches!(flush, Flush::Done),
            "what could not be written takes no place: {flush:?}"
        );
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
        let refused = check(&[BY_NAMESPACE, &more[..1]].concat(), &bodies, &expected[..2]);
        assert_eq!(refusals(&refused), Some(1), "only what does not fit: {refused:?}");
    }

    #[test]
    fn a_date_is_formatted_once_a_second() {
        let pattern = Pattern::new("file", "$k-%H%M%S", true).unwrap();
        let [first, same, next] = [5, 5, 6].map(|sec| pattern.template(sec).unwrap());
        assert!(Arc::ptr_eq(&first, &same) && !Arc::ptr_eq(&first, &next));
    }

    #[test]
    fn a_record_cannot_name_what_was_put_aside() {
        let bodies = [".a.rotated", "a.20261130_000000", "a.20261130_000000_0000000f.gz", "a"]
            .map(|name| format!(r#"{{"m":1,"n":"{name}"}}"#));
        let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
        let given = [("path", "d"), ("file", "$n"), ("fallback_file", "x")];
        let refused = check(&[&given[..], &[("rotate", "on")]].concat(), &bodies, &[("d/a", "1")]);
        assert_eq!(refusals(&refused), Some(3), "{refused:?}");
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
