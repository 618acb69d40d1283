//! A file that has become large is put aside under a name with the time; the newest of those are kept.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use flb_plugin::{Build, BuildError, Options};
use jiff::Zoned;

use crate::log::Label;

pub(super) struct Rotation {
    label: Label,
    /// A file of so many bytes is put aside.
    large: u64,
    /// How many stay that were put aside.
    kept: usize,
    gzip: bool,
}

impl Rotation {
    /// None if it is not asked for.
    pub(super) fn new(options: &Options, build: &Build<'_>) -> Result<Option<Self>, BuildError> {
        if !options.bool("rotate") {
            return Ok(None);
        }
        let large = options.size("rotate_max_size").unwrap_or_default();
        if large == 0 {
            return Err(BuildError::new("rotate_max_size is 0").help("give it a size, as 100M"));
        }
        let kept = options.int("rotate_max_files").unwrap_or_default();
        let kept = usize::try_from(kept).ok().filter(|kept| *kept > 0).ok_or_else(|| {
            BuildError::new(format!("rotate_max_files is {kept}")).help("keep 1 or more")
        })?;
        let label = Label::output("file", build);
        Ok(Some(Self { label, large, kept, gzip: options.bool("rotate_gzip") }))
    }

    /// Puts the file aside if it is large. Where this fails the log says so, and the file grows on: nothing is lost.
    pub(super) fn look(&self, path: &Path, now: &Zoned) {
        let is_large = |file: fs::Metadata| file.is_file() && file.len() >= self.large;
        if !fs::symlink_metadata(path).is_ok_and(is_large) {
            return;
        }
        let aside = name_aside(path, now);
        if let Err(error) = fs::rename(path, &aside) {
            return self.warn("put aside", path, &error);
        }
        tracing::info!("{} {} is now {}", self.label, path.display(), aside.display());
        if self.gzip
            && let Err(error) = compress(&aside)
        {
            self.warn("compress", &aside, &error);
        }
        if let Err(error) = self.trim(path) {
            self.warn("clear away what is older than", path, &error);
        }
    }

    fn warn(&self, what: &str, path: &Path, error: &io::Error) {
        tracing::warn!("{} cannot {what} {}: {error}", self.label, path.display());
    }

    /// Removes the oldest of those that were put aside, and what is left of a compression that was cut off.
    fn trim(&self, path: &Path) -> io::Result<()> {
        let name = path.file_name().unwrap_or_default();
        let mut aside = Vec::new();
        for entry in fs::read_dir(folder(path))? {
            let entry = entry?;
            match State::of(&entry.file_name(), name) {
                Some(State::Part) => fs::remove_file(entry.path())?,
                Some(State::Whole) => aside.push((entry.metadata()?.modified()?, entry.path())),
                None => {}
            }
        }
        aside.sort();
        let surplus = aside.len().saturating_sub(self.kept);
        aside[..surplus].iter().try_for_each(|(_, path)| fs::remove_file(path))
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// `out.log.20261123_101502_0a1b2c3d`: local time and, to tell those of one second apart, its nanoseconds in hexadecimal.
fn name_aside(path: &Path, now: &Zoned) -> PathBuf {
    let mut number = now.subsec_nanosecond();
    loop {
        let aside = with_suffix(path, &format!(".{}_{number:08x}", now.strftime("%Y%m%d_%H%M%S")));
        if !aside.exists() && !with_suffix(&aside, ".gz").exists() {
            return aside;
        }
        number += 1;
    }
}

/// Compresses the file to one with `.gz` behind its name. It goes when the other one is whole.
fn compress(path: &Path) -> io::Result<()> {
    let (part, whole) = (with_suffix(path, PART), with_suffix(path, GZ));
    let compressed = || {
        let mut out = GzEncoder::new(File::create(&part)?, Compression::default());
        io::copy(&mut File::open(path)?, &mut out)?;
        out.finish()?.sync_data()?;
        fs::rename(&part, &whole)
    };
    if let Err(error) = compressed() {
        // It may never have come to be.
        let _ = fs::remove_file(&part);
        return Err(error);
    }
    fs::remove_file(path)
}

const GZ: &str = ".gz";
const PART: &str = ".gz.part";

/// What a file in the folder is.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// One that was put aside, compressed or not.
    Whole,
    /// One that is not compressed to its end.
    Part,
}

impl State {
    /// None if `file` was not put aside from `name`. The eight digits may be missing.
    fn of(file: &OsStr, name: &OsStr) -> Option<Self> {
        let suffix = file.as_encoded_bytes().strip_prefix(name.as_encoded_bytes())?;
        let suffix = suffix.strip_prefix(b".")?;
        let (state, suffix) = if let Some(part) = suffix.strip_suffix(PART.as_bytes()) {
            (Self::Part, part)
        } else {
            (Self::Whole, suffix.strip_suffix(GZ.as_bytes()).unwrap_or(suffix))
        };
        let (time, number) = suffix.split_at_checked(15)?;
        let is_time = time.iter().enumerate().all(|(at, letter)| match at {
            8 => *letter == b'_',
            _ => letter.is_ascii_digit(),
        });
        let is_number = match number {
            [] => true,
            [b'_', digits @ ..] => digits.len() == 8 && digits.iter().all(u8::is_ascii_hexdigit),
            _ => false,
        };
        (is_time && is_number).then_some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    use crate::outputs::file::SPEC;
    use crate::testing;
    use flate2::read::GzDecoder;

    fn flush(folder: &Path, given: &[(&str, &str)], text: &str) {
        let path = folder.display().to_string();
        let mut all = vec![("path", path.as_str()), ("file", "x.log"), ("format", "template")];
        all.extend([("template", "{m}"), ("rotate", "on"), ("rotate_max_size", "10")]);
        all.extend(given);
        let output = testing::build(&SPEC, &all).unwrap();
        let body = format!(r#"{{"m":"{text}"}}"#);
        let flush = testing::block_on(output.flush(&testing::chunk("t", &[(1, 0, &body)])));
        assert!(matches!(flush, flb_plugin::Flush::Done), "{flush:?}");
    }

    /// What each file in the folder says, oldest name first, the one that is written last.
    fn texts(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.rotate_left(1);
        let text = |path: &PathBuf| {
            let mut text = String::new();
            let file = File::open(path).unwrap();
            match path.extension().is_some_and(|extension| extension == "gz") {
                true => GzDecoder::new(file).read_to_string(&mut text).unwrap(),
                false => (&file).read_to_string(&mut text).unwrap(),
            };
            text
        };
        paths.iter().map(text).collect()
    }

    #[test]
    fn a_large_file_is_put_aside_before_the_next_chunk() {
        for gzip in ["on", "off"] {
            let folder = tempfile::tempdir().unwrap();
            for text in ["one", "two", "three", "four", "five"] {
                flush(folder.path(), &[("rotate_gzip", gzip)], text);
            }
            assert_eq!(texts(folder.path()), ["one\ntwo\nthree\n", "four\nfive\n"], "{gzip}");
        }
    }

    #[test]
    fn the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..6 {
            let text = format!("number {number} of six");
            flush(folder.path(), &[("rotate_max_files", "2")], &text);
        }
        let expected = [3, 4, 5].map(|number| format!("number {number} of six\n"));
        assert_eq!(texts(folder.path()), expected);
    }

    #[test]
    fn others_files_are_not_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let others = ["x.log.1", "x.log.20260101_000000_xyz", "x.log.gz", "y.log.20260101_000000"];
        for name in others {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let part = folder.path().join("x.log.20260101_000000_00000000.gz.part");
        fs::write(&part, "cut off").unwrap();
        for _ in 0..3 {
            flush(folder.path(), &[("rotate_max_files", "1")], "long enough for it");
        }
        for name in others {
            assert!(folder.path().join(name).exists(), "{name}");
        }
        assert!(!part.exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), others.len() + 2);
    }

    #[test]
    fn a_file_that_cannot_be_put_aside_grows_on() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = folder.path().join("elsewhere");
        fs::write(&elsewhere, "").unwrap();
        std::os::unix::fs::symlink(&elsewhere, folder.path().join("x.log")).unwrap();
        for _ in 0..3 {
            flush(folder.path(), &[], "long enough");
        }
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), "long enough\n".repeat(3));
    }

    #[test]
    fn names_of_one_moment_differ() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let now: Zoned = "2026-11-23T10:15:02.000000255+00:00[UTC]".parse().unwrap();
        let names = ["x.20261123_101502_000000ff", "x.20261123_101502_00000100"];
        for name in names {
            let aside = name_aside(&path, &now);
            assert_eq!(aside, folder.path().join(name));
            assert_eq!(State::of(OsStr::new(name), OsStr::new("x")), Some(State::Whole));
            fs::write(aside, "").unwrap();
        }
    }

    #[test]
    fn bounds_that_make_no_sense_are_refused() {
        for (name, value, says) in [
            ("rotate_max_size", "0", "rotate_max_size is 0"),
            ("rotate_max_files", "0", "rotate_max_files is 0"),
        ] {
            let error = testing::build(&SPEC, &[("rotate", "on"), (name, value)]).err().unwrap();
            assert_eq!(error.message, says);
        }
        testing::build(&SPEC, &[("rotate", "off"), ("rotate_max_size", "0")]).unwrap();
    }
}
