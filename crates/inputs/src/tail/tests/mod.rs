//! What comes out of files that grow, move and vanish while the input runs. The time is 1000.0 when it starts.

mod database;
#[cfg(feature = "sqlite")]
mod switch;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flb_plugin::{End, LongLines};
use tempfile::TempDir;

use super::SPEC;
use flb_harness::Scene;

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// A directory to log into, and what the input reads in it.
struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::Builder::new().prefix("tail").tempdir().unwrap());
        for (name, text) in files {
            append(&folder.path(name), text);
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// What appends to a file later.
    fn appends(&self, name: &str, text: &'static str) -> impl FnOnce() + Send + use<> {
        let path = self.path(name);
        move || append(&path, text)
    }

    fn renames(&self, from: &str, to: &str) -> impl FnOnce() + Send + use<> {
        let (from, to) = (self.path(from), self.path(to));
        move || fs::rename(from, to).unwrap()
    }

    fn deletes(&self, name: &str) -> impl FnOnce() + Send + use<> {
        let path = self.path(name);
        move || fs::remove_file(path).unwrap()
    }

    /// Runs the input on `pattern`, reading from the head.
    fn run(&self, scene: &Scene, pattern: &str, given: &[(&str, &str)]) -> End {
        let path = self.text(pattern);
        let mut options = vec![
            ("path", path.as_str()),
            ("read_from_head", "on"),
            // The scene's time is not the system's.
            ("inotify_watcher", "off"),
        ];
        for (key, value) in given {
            options.retain(|(known, _)| known != key);
            options.push((key, value));
        }
        scene.run(&SPEC, &options).unwrap()
    }

    /// The bodies that `pattern` gives until all files are read.
    fn check(&self, pattern: &str, given: &[(&str, &str)], expected: &[&str]) -> Scene {
        let scene = Scene::new(1000.0);
        let given: Vec<_> = given.iter().copied().chain([("exit_on_eof", "on")]).collect();
        assert_eq!(self.run(&scene, pattern, &given), End::StopAgent { code: 0 });
        assert_eq!(scene.bodies(), expected);
        scene
    }
}

#[test]
fn a_line_is_a_record_under_the_key_log() {
    let folder = Folder::new(&[("a.log", "one\r\n\ntwo\n")]);
    let scene =
        folder.check("a.log", &[], &[r#"{"log":"one"}"#, r#"{"log":""}"#, r#"{"log":"two"}"#]);
    assert_eq!(scene.records()[0], r#"t 1000.000000000 {"log":"one"}"#);
    assert_eq!(scene.batches(), [3], "a read is a batch");
}

#[test]
fn the_key_may_be_another_and_empty_lines_may_be_skipped() {
    let folder = Folder::new(&[("a.log", "one\n\n\r\ntwo\n")]);
    folder.check(
        "a.log",
        &[("key", "line"), ("skip_empty_lines", "on")],
        &[r#"{"line":"one"}"#, r#"{"line":"two"}"#],
    );
}

#[test]
fn path_and_offset_stand_before_the_line() {
    let folder = Folder::new(&[("a.log", "one\ntwo\n")]);
    let path = folder.text("a.log");
    folder.check(
        "a.log",
        &[("path_key", "file"), ("offset_key", "at")],
        &[
            &format!(r#"{{"file":"{path}","at":0,"log":"one"}}"#),
            &format!(r#"{{"file":"{path}","at":4,"log":"two"}}"#),
        ],
    );
}

#[test]
fn a_parser_makes_the_record_and_path_and_offset_stand_behind_it() {
    let folder = Folder::new(&[("a.log", "{\"a\":1}\nno json\r\n{\"b\":2}")]);
    let path = folder.text("a.log");
    folder.check(
        "a.log",
        &[("parser", "json"), ("path_key", "file"), ("offset_key", "at")],
        &[
            &format!(r#"{{"a":1,"file":"{path}","at":0}}"#),
            &format!(r#"{{"file":"{path}","at":8,"log":"no json"}}"#),
            &format!(r#"{{"b":2,"file":"{path}","at":17}}"#),
        ],
    );
}

#[test]
fn at_exit_on_eof_a_last_line_needs_no_newline() {
    let folder = Folder::new(&[("a.log", "one\ntwo")]);
    folder.check("a.log", &[], &[r#"{"log":"one"}"#, r#"{"log":"two"}"#]);
}

#[test]
fn exit_on_eof_without_a_file_is_an_error_line() {
    let folder = Folder::new(&[]);
    let scene = folder.check("*.log", &[], &[]);
    assert!(scene.log().contains("ERROR [input:tail:tail.0] exit_on_eof, and there is no file"));
}

#[test]
fn a_star_in_the_tag_becomes_the_path() {
    let folder = Folder::new(&[("a.log", "one\n"), ("b.log", "two\n")]);
    let scene = Scene::new(1000.0).tag("x.*");
    folder.run(&scene, "*.log", &[("exit_on_eof", "on")]);
    let tag = format!("x{}", folder.0.path().display()).replace('/', ".");
    let records = scene.records();
    assert!(records[0].starts_with(&format!("{tag}.a.log ")), "{records:?}");
    assert!(records[1].starts_with(&format!("{tag}.b.log ")), "{records:?}");
}

#[test]
fn excluded_files_are_left_out() {
    let folder = Folder::new(&[("a.log", "one\n"), ("b.log", "two\n")]);
    let excluded = folder.text("a*");
    folder.check("*.log", &[("exclude_path", &excluded)], &[r#"{"log":"two"}"#]);
}

#[test]
fn without_read_from_head_only_new_lines_count() {
    let folder = Folder::new(&[("a.log", "old\n")]);
    let scene = Scene::new(1000.0).until(1002.0).at(1001.0, folder.appends("a.log", "new\n"));
    assert_eq!(folder.run(&scene, "a.log", &[("read_from_head", "off")]), End::Quiet);
    assert_eq!(scene.records(), [r#"t 1001.000000000 {"log":"new"}"#]);
}

#[test]
fn a_line_is_whole_only_with_its_newline() {
    let folder = Folder::new(&[("a.log", "on")]);
    let scene = Scene::new(1000.0)
        .until(1003.0)
        .at(1001.0, folder.appends("a.log", "e"))
        .at(1002.0, folder.appends("a.log", "\nunfinished"));
    folder.run(&scene, "a.log", &[("offset_key", "at")]);
    assert_eq!(scene.records(), [r#"t 1002.000000000 {"at":0,"log":"one"}"#]);
}

#[test]
fn a_new_file_is_found_at_the_next_search_and_read_from_its_head() {
    let folder = Folder::new(&[]);
    let scene = Scene::new(1000.0).until(1002.0).at(1000.1, folder.appends("a.log", "one\n"));
    let given = [("refresh_interval", "0.5"), ("read_from_head", "off")];
    folder.run(&scene, "*.log", &given);
    assert_eq!(scene.records(), [r#"t 1000.500000000 {"log":"one"}"#]);
}

#[test]
fn a_new_file_may_be_read_from_its_end() {
    let folder = Folder::new(&[]);
    let scene = Scene::new(1000.0)
        .until(1002.0)
        .at(1000.1, folder.appends("a.log", "old\n"))
        .at(1001.0, folder.appends("a.log", "new\n"));
    let given = [("refresh_interval", "0.5"), ("read_newly_discovered_files_from_head", "off")];
    folder.run(&scene, "*.log", &given);
    assert_eq!(scene.bodies(), [r#"{"log":"new"}"#]);
}

/// What a rotation by renaming does: the writer goes on in the old file for a while.
fn rotated(folder: &Folder) -> Scene {
    Scene::new(1000.0)
        .until(1010.0)
        .at(1001.0, folder.appends("a.log", "two\n"))
        .at(1001.0, folder.renames("a.log", "a.log.1"))
        .at(1001.0, folder.appends("a.log", "four\n"))
        .at(1002.0, folder.appends("a.log.1", "three\nlast"))
        .at(1009.0, folder.appends("a.log.1", "too late\n"))
        .at(1009.0, folder.appends("a.log", "five\n"))
}

#[test]
fn a_renamed_file_is_read_to_its_end_and_the_new_one_from_its_start() {
    let folder = Folder::new(&[("a.log", "one\n")]);
    let scene = rotated(&folder);
    folder.run(&scene, "a.log", &[]);
    assert_eq!(
        scene.records(),
        [
            r#"t 1000.000000000 {"log":"one"}"#,
            r#"t 1001.000000000 {"log":"two"}"#,
            r#"t 1001.000000000 {"log":"four"}"#,
            r#"t 1002.000000000 {"log":"three"}"#,
            r#"t 1006.000000000 {"log":"last"}"#,
            r#"t 1009.000000000 {"log":"five"}"#,
        ]
    );
    assert!(scene.log().contains("a.log was renamed or deleted"), "{}", scene.log());
}

#[test]
fn rotate_wait_says_how_long_a_renamed_file_is_read() {
    let folder = Folder::new(&[("a.log", "one\n")]);
    let scene = rotated(&folder);
    folder.run(&scene, "a.log", &[("rotate_wait", "0")]);
    let bodies = scene.bodies();
    assert_eq!(
        bodies,
        [r#"{"log":"one"}"#, r#"{"log":"two"}"#, r#"{"log":"four"}"#, r#"{"log":"five"}"#]
    );
}

/// A folder that is renamed, and has its old name again after `Rotate_Wait`; meanwhile this is done.
fn away(folder: &Folder, meanwhile: impl FnOnce() + Send + 'static) -> Scene {
    fs::create_dir(folder.path("pod")).unwrap();
    append(&folder.path("pod/a.log"), "one\nunfin");
    Scene::new(1000.0)
        .until(1025.0)
        .at(1001.0, folder.renames("pod", "away"))
        .at(1002.0, folder.appends("away/a.log", "ished\ntwo\n"))
        .at(1010.0, meanwhile)
        .at(1015.0, folder.renames("away", "pod"))
        .at(1020.0, folder.appends("pod/a.log", "four\n"))
}

#[test]
fn a_file_that_comes_back_after_rotate_wait_is_not_read_again() {
    let bodies = |numbers: &[&str]| -> Vec<String> {
        numbers.iter().map(|number| format!(r#"{{"log":"{number}"}}"#)).collect()
    };
    for read_new in ["on", "off"] {
        let folder = Folder::new(&[]);
        let scene = away(&folder, folder.appends("away/a.log", "three\n"));
        let given =
            [("refresh_interval", "1"), ("read_newly_discovered_files_from_head", read_new)];
        folder.run(&scene, "p*/a.log", &given);
        assert_eq!(scene.bodies(), bodies(&["one", "unfinished", "two", "three", "four"]));
    }
    // It is another one under its number.
    let folder = Folder::new(&[]);
    let path = folder.path("away/a.log");
    let scene =
        away(&folder, move || fs::write(path, "another file, as long as before\n").unwrap());
    folder.run(&scene, "p*/a.log", &[("refresh_interval", "1")]);
    let expected = ["one", "unfinished", "two", "another file, as long as before", "four"];
    assert_eq!(scene.bodies(), bodies(&expected));
}

#[test]
fn a_file_renamed_to_a_name_that_is_followed_too_is_not_read_again() {
    let folder = Folder::new(&[("a.log", "one\n")]);
    let scene = rotated(&folder);
    let given = [("refresh_interval", "1"), ("read_newly_discovered_files_from_head", "off")];
    folder.run(&scene, "a.log*", &given);
    assert_eq!(
        scene.bodies(),
        [
            r#"{"log":"one"}"#,
            r#"{"log":"two"}"#,
            r#"{"log":"four"}"#,
            r#"{"log":"three"}"#,
            r#"{"log":"lasttoo late"}"#,
            r#"{"log":"five"}"#,
        ]
    );
    assert!(scene.log().contains("handle rotation(): "), "{}", scene.log());
}

#[test]
fn a_truncated_file_is_read_from_its_start() {
    let folder = Folder::new(&[("a.log", "one\nunfinished")]);
    let path = folder.path("a.log");
    let scene = Scene::new(1000.0)
        .until(1003.0)
        .at(1001.0, move || fs::write(path, "two\n").unwrap())
        .at(1002.0, folder.appends("a.log", "three\n"));
    folder.run(&scene, "a.log", &[("offset_key", "at")]);
    assert_eq!(
        scene.bodies(),
        [
            r#"{"at":0,"log":"one"}"#,
            r#"{"at":4,"log":"unfinished"}"#,
            r#"{"at":0,"log":"two"}"#,
            r#"{"at":4,"log":"three"}"#,
        ]
    );
    assert!(scene.log().contains("file truncated"), "{}", scene.log());
}

#[test]
fn a_hole_before_a_line_is_passed_over() {
    let folder = Folder::new(&[("a.log", "\0\0\0\0one\n\0two\n")]);
    folder.check(
        "a.log",
        &[("offset_key", "at")],
        &[r#"{"at":4,"log":"one"}"#, r#"{"at":8,"log":"\u0000two"}"#],
    );
}

#[test]
fn a_deleted_file_gives_its_last_line_and_a_new_one_is_found() {
    let folder = Folder::new(&[("a.log", "one\nlast")]);
    let scene = Scene::new(1000.0)
        .until(1010.0)
        .at(1001.0, folder.deletes("a.log"))
        .at(1002.0, folder.appends("a.log", "new\n"));
    folder.run(&scene, "a.log", &[]);
    assert_eq!(
        scene.records(),
        [
            r#"t 1000.000000000 {"log":"one"}"#,
            r#"t 1002.000000000 {"log":"new"}"#,
            r#"t 1006.000000000 {"log":"last"}"#,
        ]
    );
}

#[test]
fn files_that_go_together_give_their_last_lines_and_the_others_are_followed_on() {
    let files: Vec<(String, &str)> =
        (0..6).map(|at| (format!("{at}.log"), "first\nlast")).collect();
    let files: Vec<(&str, &str)> =
        files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
    let folder = Folder::new(&files);
    let gone = [1, 2, 5].map(|at| folder.path(&format!("{at}.log")));
    let scene = Scene::new(1000.0)
        .until(1010.0)
        .at(1001.0, move || gone.iter().for_each(|path| fs::remove_file(path).unwrap()))
        .at(1008.0, folder.appends("4.log", "more\n"));
    folder.run(&scene, "*.log", &[]);
    let bodies = scene.bodies();
    let count = |text: &str| bodies.iter().filter(|body| body.contains(text)).count();
    assert_eq!([count("first"), count(r#""last""#), count("lastmore")], [6, 3, 1], "{bodies:?}");
}

#[test]
fn a_link_that_comes_to_name_another_file_is_a_rotation() {
    let folder = Folder::new(&[("0.txt", "one\n"), ("1.txt", "two\n")]);
    let (first, second, link) = (folder.path("0.txt"), folder.path("1.txt"), folder.path("a.log"));
    std::os::unix::fs::symlink(first, &link).unwrap();
    let scene = Scene::new(1000.0).until(1003.0).at(1001.0, move || {
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(second, &link).unwrap();
    });
    folder.run(&scene, "*.log", &[]);
    assert_eq!(scene.bodies(), [r#"{"log":"one"}"#, r#"{"log":"two"}"#]);
}

#[test]
fn two_names_of_one_file_are_read_once() {
    let folder = Folder::new(&[("a.log", "one\n")]);
    fs::hard_link(folder.path("a.log"), folder.path("b.log")).unwrap();
    folder.check("*.log", &[], &[r#"{"log":"one"}"#]);
}

#[test]
fn a_line_that_is_too_long_ends_the_file_and_spares_the_others() {
    let folder = Folder::new(&[("a.log", "one\n123456789\ntwo\n"), ("b.log", "three\n")]);
    let given = [("buffer_max_size", "8"), ("buffer_chunk_size", "5")];
    let scene = folder.check("*.log", &given, &[r#"{"log":"one"}"#, r#"{"log":"three"}"#]);
    let log = scene.log();
    assert!(log.contains("requires a larger buffer size, lines are too long. Skipping file."));
    assert!(log.contains("(offset 4, buffer_max_size 8)"), "{log}");
}

#[test]
fn a_refused_file_is_read_again_when_it_was_truncated() {
    let folder = Folder::new(&[("a.log", "123456789\ntwo\n")]);
    let path = folder.path("a.log");
    let scene =
        Scene::new(1000.0).until(1003.0).at(1001.0, move || fs::write(path, "three\n").unwrap());
    folder.run(&scene, "a.log", &[("buffer_max_size", "8")]);
    assert_eq!(scene.bodies(), [r#"{"log":"three"}"#]);
}

#[test]
fn skip_long_lines_skips_the_line_alone() {
    let folder = Folder::new(&[("a.log", "one\n123456789\ntwo\n12345678\n1234567\n")]);
    let given = [("buffer_max_size", "8"), ("skip_long_lines", "on"), ("offset_key", "at")];
    let scene = folder.check(
        "a.log",
        &given,
        &[r#"{"at":0,"log":"one"}"#, r#"{"at":14,"log":"two"}"#, r#"{"at":27,"log":"1234567"}"#],
    );
    assert!(scene.log().contains("have long lines. Skipping long lines. (offset 4, 1 so far)"));
    assert!(scene.log().contains("(offset 18, 2 so far)"), "{}", scene.log());
    assert_eq!(scene.long_lines(), LongLines { skipped: 2, truncated: 0 });
}

#[test]
fn lines_longer_than_a_read_are_put_together() {
    let line = "x".repeat(1000);
    let folder = Folder::new(&[("a.log", &format!("{line}\n{line}\n"))]);
    let expected = format!(r#"{{"log":"{line}"}}"#);
    folder.check("a.log", &[("buffer_chunk_size", "64")], &[&expected, &expected]);
}

#[test]
fn a_file_that_cannot_be_opened_is_told_once_and_tried_again() {
    let folder = Folder::new(&[]);
    let path = folder.path("a.log");
    std::os::unix::fs::symlink(&path, &path).unwrap();
    let scene = Scene::new(1000.0).until(1005.0).at(1003.0, move || {
        fs::remove_file(&path).unwrap();
        append(&path, "one\n");
    });
    folder.run(&scene, "*.log", &[("refresh_interval", "1")]);
    assert_eq!(scene.bodies(), [r#"{"log":"one"}"#]);
    assert_eq!(scene.log().matches("ERROR [input:tail:tail.0] cannot read").count(), 1);
}

#[test]
fn a_link_to_no_file_is_no_error_line() {
    let folder = Folder::new(&[]);
    std::os::unix::fs::symlink(folder.path("nothing"), folder.path("a.log")).unwrap();
    let scene = Scene::new(1000.0).until(1003.0).at(1001.5, folder.appends("nothing", "one\n"));
    folder.run(&scene, "*.log", &[("refresh_interval", "1")]);
    assert_eq!(scene.bodies(), [r#"{"log":"one"}"#]);
    assert!(!scene.log().contains("ERROR"), "{}", scene.log());
}

#[test]
fn no_file_starves_the_others() {
    const LINES: usize = 10_000;
    let folder = Folder::new(&[("b.log", "two\n")]);
    append(&folder.path("a.log"), &format!("{}\n", "x".repeat(1000)).repeat(LINES));
    let scene = Scene::new(1000.0);
    folder.run(&scene, "*.log", &[("exit_on_eof", "on")]);
    let bodies = scene.bodies();
    let second = bodies.iter().position(|body| body == r#"{"log":"two"}"#).unwrap();
    assert!((1..LINES).contains(&second), "it came as number {second} of {}", bodies.len());
}

#[test]
fn a_wrong_configuration_is_refused() {
    let refused = |given: &[(&str, &str)]| {
        Scene::new(1000.0).build(&SPEC, given, SPEC.build).err().unwrap().message
    };
    assert_eq!(refused(&[]), "no input 'path' was given");
    let path = ("path", "/x");
    assert_eq!(
        refused(&[path, ("refresh_interval", "0")]),
        "invalid 'refresh_interval' config value (0)"
    );
    assert_eq!(
        refused(&[path, ("buffer_max_size", "1k"), ("buffer_chunk_size", "2k")]),
        "buffer_max_size (1000) is below buffer_chunk_size (2000)"
    );
    assert_eq!(refused(&[path, ("parser", "nope")]), "parser 'nope' is not known");
}

fn packed(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_packed_file_is_read_as_its_text() {
    let folder = Folder::new(&[]);
    let text = format!("one\n{}\n", "x".repeat(5000));
    fs::write(folder.path("a.gz"), [packed(&text), packed("three\nfour")].concat()).unwrap();
    let db = folder.text("positions.db");
    let given = [("db", db.as_str()), ("buffer_chunk_size", "512"), ("offset_key", "at")];
    let long = format!(r#"{{"at":4,"log":"{}"}}"#, "x".repeat(5000));
    let last = r#"{"at":5011,"log":"four"}"#;
    let all = [r#"{"at":0,"log":"one"}"#, &long, r#"{"at":5005,"log":"three"}"#, last];
    let scene = Scene::new(1000.0).until(1002.0);
    folder.run(&scene, "*.gz", &given);
    assert_eq!(scene.bodies(), all);
    folder.check("*.gz", &given, &[]);
}

#[test]
fn a_damaged_packed_file_is_told_and_spares_the_others() {
    let folder = Folder::new(&[("b.log", "two\n")]);
    let whole = packed(&"one\n".repeat(100_000));
    fs::write(folder.path("a.gz"), &whole[..whole.len() / 2]).unwrap();
    let path = format!("{},{}", folder.text("a.gz"), folder.text("b.log"));
    let scene = Scene::new(1000.0);
    scene.run(&SPEC, &[("path", &path), ("read_from_head", "on"), ("exit_on_eof", "on")]).unwrap();
    assert!(scene.bodies().contains(&r#"{"log":"two"}"#.to_owned()));
    assert!(scene.log().contains("cannot read"), "{}", scene.log());
}

#[test]
fn truncate_long_lines_keeps_what_there_may_be() {
    let folder = Folder::new(&[("a.log", "one\n123456789abc\ntwo\n")]);
    let given = [("buffer_max_size", "8"), ("truncate_long_lines", "on")];
    let scene = folder.check(
        "a.log",
        &given,
        &[r#"{"log":"one"}"#, r#"{"log":"12345678"}"#, r#"{"log":"two"}"#],
    );
    assert_eq!(scene.long_lines(), LongLines { skipped: 0, truncated: 1 });
    assert!(scene.log().contains("Truncating long lines"), "{}", scene.log());
}

#[test]
fn files_that_are_too_old_are_left_out() {
    let folder = Folder::new(&[("a.log", "old\n"), ("b.log", "new\n")]);
    let age = |name: &str, seconds: u64| {
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        OpenOptions::new()
            .append(true)
            .open(folder.path(name))
            .unwrap()
            .set_modified(time)
            .unwrap();
    };
    age("a.log", 800);
    age("b.log", 950);
    let scene = Scene::new(1000.0).until(1100.0).at(1030.0, folder.appends("b.log", "too late\n"));
    // The next write makes a file new again; reading goes on where it was.
    age("b.log", 950);
    let given =
        [("ignore_older", "1m"), ("ignore_active_older_files", "on"), ("refresh_interval", "5")];
    folder.run(&scene, "*.log", &given);
    assert_eq!(scene.bodies(), [r#"{"log":"new"}"#, r#"{"log":"too late"}"#]);
}

#[test]
fn records_that_are_too_old_are_left_out() {
    let lines = "2024-01-01T00:00:00Z stdout F old\n2024-01-01T00:00:50Z stdout F new\n";
    let folder = Folder::new(&[("a.log", lines)]);
    let scene = Scene::new(1_704_067_260.0).until(1_704_067_262.0);
    folder.run(&scene, "*.log", &[("ignore_older", "30"), ("multiline.parser", "cri")]);
    let bodies = scene.bodies();
    assert_eq!(bodies.len(), 1);
    assert!(bodies[0].contains("new"), "{bodies:?}");
}

#[test]
fn the_tag_may_have_what_a_pattern_finds_in_the_path() {
    let folder = Folder::new(&[("web_default.log", "one\n"), ("odd.txt", "two\n")]);
    let scene = Scene::new(1000.0).tag("kube.<namespace>.<pod>");
    let regex = ("tag_regex", r"(?<pod>[a-z]+)_(?<namespace>[a-z]+)\.log$");
    folder.run(&scene, "*", &[regex, ("exit_on_eof", "on")]);
    assert_eq!(scene.records(), [r#"kube.default.web 1000.000000000 {"log":"one"}"#]);
    assert!(scene.log().contains("tag_regex does not match the path"), "{}", scene.log());
}

#[test]
fn the_pieces_of_container_lines_are_joined() {
    let folder = Folder::new(&[(
        "a.log",
        "2024-01-01T00:00:00Z stdout P one \n2024-01-01T00:00:01Z stdout F two\n",
    )]);
    let path = folder.text("a.log");
    let scene = folder.check(
        "a.log",
        &[("multiline.parser", "docker, cri"), ("path_key", "file"), ("offset_key", "at")],
        &[&format!(
            r#"{{"time":"2024-01-01T00:00:00Z","stream":"stdout","_p":"P","log":"one two","file":"{path}","at":0}}"#
        )],
    );
    assert!(scene.records()[0].starts_with("t 1704067200.000000000 "));
}

#[test]
fn joined_lines_wait_for_so_long() {
    let folder = Folder::new(&[("a.log", "java.lang.Error: x\n")]);
    let scene = Scene::new(1000.0).until(1010.0).at(1003.0, folder.appends("a.log", "\tat y\n"));
    folder.run(&scene, "a.log", &[("multiline.parser", "java")]);
    assert_eq!(scene.records(), [r#"t 1000.000000000 {"log":"java.lang.Error: x\n\tat y\n"}"#]);
}

#[test]
fn the_old_way_to_join_lines_works() {
    let folder = Folder::new(&[("a.log", "{\"a\":\"x\"}\n  more\n{\"a\":\"y\"}\n")]);
    let given = [("multiline", "on"), ("parser_firstline", "json"), ("multiline_flush", "2")];
    folder.check("a.log", &given, &[r#"{"a":"x\n  more"}"#, r#"{"a":"y"}"#]);
}

#[test]
fn docker_mode_is_the_multiline_parser_docker() {
    let folder = Folder::new(&[("a.log", "{\"log\":\"one \"}\n{\"log\":\"two\\n\"}\n")]);
    let given = [("docker_mode", "on"), ("parser", "json")];
    folder.check("a.log", &given, &[r#"{"log":"one two\n"}"#]);
}

#[test]
fn the_parser_of_docker_mode_sees_all_of_a_line() {
    let text = r#"no docker's line
{"log":"before any first one\n","stream":"stdout"}
{"log":"{\"n\":","stream":"stdout"}
{"log":"1}\n","stream":"stdout"}
{"log":"  goes on\n","stream":"stdout"}
{"log":"{\"n\":2}\n","stream":"stdout"}
"#;
    let folder = Folder::new(&[("a.log", text)]);
    let given = [("docker_mode", "on"), ("docker_mode_parser", "json")];
    folder.check(
        "a.log",
        &given,
        &[
            r#"{"log":"no docker's line"}"#,
            r#"{"log":"before any first one\n","stream":"stdout"}"#,
            r#"{"log":"{\"n\":1}\n","stream":"stdout"}"#,
            r#"{"log":"  goes on\n","stream":"stdout"}"#,
            r#"{"log":"{\"n\":2}\n","stream":"stdout"}"#,
        ],
    );
}

#[test]
fn ways_to_join_lines_exclude_each_other() {
    let refused = |given: &[(&str, &str)]| {
        let given = [&[("path", "/x")], given].concat();
        Scene::new(1000.0).build(&SPEC, &given, SPEC.build).err().unwrap().message
    };
    let both = [("multiline.parser", "cri"), ("docker_mode", "on")];
    assert!(refused(&both).ends_with("exclude each other"));
    assert_eq!(refused(&[("multiline", "on")]), "multiline needs a 'parser_firstline'");
    assert_eq!(refused(&[("multiline.parser", "cry")]), "multiline parser 'cry' is not known");
    assert!(refused(&[("generic.encoding", "Big5")]).ends_with("not supported yet"));
    assert!(refused(&[("docker_mode_parser", "x")]).ends_with("without docker_mode"));
    let unknown = [("docker_mode", "on"), ("docker_mode_parser", "x")];
    assert_eq!(refused(&unknown), "parser 'x' is not known");
    assert!(refused(&[("tag_regex", "(")]).starts_with("tag_regex: "));
}
