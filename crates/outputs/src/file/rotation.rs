//! A file that has become large is put aside under a name with the time; the newest of those are kept.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use flb_files::{Unfinished, with_suffix};
use flb_plugin::{Build, BuildError, Options};
use jiff::Zoned;

use super::aside::{self, Aside, GZ, PART};
use super::{ROTATE, ROTATE_GZIP, ROTATE_MAX_FILES, ROTATE_MAX_SIZE};
use flb_plugin::log::Label;

pub(super) struct Rotation {
    label: Label,
    /// A file of so many bytes is put aside.
    large: u64,
    /// How many stay that were put aside.
    kept: usize,
    gzip: bool,
}

impl Rotation {
    /// `None` if it is not asked for.
    pub(super) fn new(options: &Options, build: &Build<'_>) -> Result<Option<Self>, BuildError> {
        if !options.get(ROTATE) {
            return Ok(None);
        }
        let large = options.get(ROTATE_MAX_SIZE);
        if large == 0 {
            return Err(BuildError::new("rotate_max_size is 0").help("give it a size, as 100M"));
        }
        let kept = options.get(ROTATE_MAX_FILES);
        let kept = usize::try_from(kept).ok().filter(|kept| *kept > 0).ok_or_else(|| {
            BuildError::new(format!("rotate_max_files is {kept}")).help("keep 1 or more")
        })?;
        let label = Label::output("file", build);
        Ok(Some(Self { label, large, kept, gzip: options.get(ROTATE_GZIP) }))
    }

    /// Puts the file aside if it is large. Where this fails the log says so, and the file grows on: nothing is lost.
    pub(super) fn look(&self, path: &Path, now: &Zoned) {
        let is_large = |file: fs::Metadata| file.is_file() && file.len() >= self.large;
        if !fs::symlink_metadata(path).is_ok_and(is_large) {
            return;
        }
        let aside = name_aside(path, now);
        let renamed = Aside::of(path).and_then(|mut list| {
            // First the list: what is not in it is never removed.
            list.add(&aside)?;
            fs::rename(path, &aside)?;
            Ok(list)
        });
        let mut list = match renamed {
            Ok(list) => list,
            Err(error) => return self.warn("put aside", path, &error),
        };
        tracing::info!("{} {} is now {}", self.label, path.display(), aside.display());
        if self.gzip
            && let Err(error) = compress(&aside)
        {
            self.warn("compress", &aside, &error);
        }
        if let Err(error) = list.trim(self.kept) {
            self.warn("clear away what is older than", path, &error);
        }
    }

    fn warn(&self, what: &str, path: &Path, error: &io::Error) {
        tracing::warn!("{} cannot {what} {}: {error}", self.label, path.display());
    }
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
    let mut unfinished = Unfinished::named(part)?;
    let mut out = GzEncoder::new(unfinished.file(), Compression::default());
    io::copy(&mut File::open(path)?, &mut out)?;
    out.finish()?.sync_data()?;
    unfinished.take(&whole)?;
    fs::remove_file(path)
}

/// Whether files that are put aside, or lists of them, have names like this.
pub(super) fn is_reserved(name: &str) -> bool {
    let plain = [PART, GZ].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
    aside::is_list(name) || is_aside(plain)
}

/// Whether this is a name, a dot and a time, with or without the eight digits behind it.
fn is_aside(name: &str) -> bool {
    let without_number = match name.rsplit_once('_') {
        Some((before, digits))
            if digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) =>
        {
            before
        }
        _ => name,
    };
    let time = without_number.rsplit_once('.').map_or("", |(_, time)| time);
    time.len() == 15
        && time.bytes().enumerate().all(|(at, letter)| match at {
            8 => letter == b'_',
            _ => letter.is_ascii_digit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    use crate::file::SPEC;
    use flate2::read::GzDecoder;
    use flb_harness as testing;

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
        paths.retain(|path| !path.ends_with(".x.log.rotated"));
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
    fn only_what_was_put_aside_is_cleared_away_whatever_others_are_called() {
        let folder = tempfile::tempdir().unwrap();
        let others = [
            "x.log.1",
            "x.log.20260101_000000_xyz",
            "x.log.gz",
            "x.log.20260101_000000_00000000.gz",
            "x.log.20990101_000000",
            "y.log.20260101_000000",
        ];
        for name in others {
            fs::write(folder.path().join(name), name).unwrap();
        }
        for _ in 0..4 {
            flush(folder.path(), &[("rotate_max_files", "1")], "long enough for it");
        }
        for name in others {
            assert!(folder.path().join(name).exists(), "{name}");
        }
        // The file itself, the one put aside and the list.
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), others.len() + 3);
    }

    #[test]
    fn a_compression_that_was_cut_off_goes_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        flush(folder.path(), &[("rotate_gzip", "off")], "long enough for it");
        flush(folder.path(), &[("rotate_gzip", "off")], "long enough for it");
        let list = fs::read_to_string(folder.path().join(".x.log.rotated")).unwrap();
        let part = folder.path().join(format!("{}.gz.part", list.trim_end()));
        fs::write(&part, "cut off").unwrap();
        flush(folder.path(), &[("rotate_max_files", "1")], "long enough for it");
        assert!(!part.exists());
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
            assert!(is_reserved(name), "{name}");
            fs::write(aside, "").unwrap();
        }
    }

    #[test]
    fn names_of_what_is_put_aside_are_told_from_others() {
        for (name, expected) in [
            (".x.rotated", true),
            ("x.20261123_101502", true),
            ("x.20261123_101502.gz", true),
            ("x.20261123_101502_000000ff.gz.part", true),
            ("x.rotated", false),
            ("x.20261123-101502", false),
            ("20261123_101502", false),
            ("x.20261123_101502_000000fg", false),
            ("x.log", false),
        ] {
            assert_eq!(is_reserved(name), expected, "{name}");
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
