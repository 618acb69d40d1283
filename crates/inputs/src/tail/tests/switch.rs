//! What becomes of the positions that Fluent Bit kept, when this input comes to their database. The databases are made by SQLite
//! itself, with the table as Fluent Bit's releases make it.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rusqlite::{Connection, params};
use xxhash_rust::xxh3::xxh3_64;

use super::super::SPEC;
use super::super::database::look;
use super::{Folder, append};
use flb_harness::Scene;

/// The columns that all releases have, and those of newer ones.
const COLUMNS: &str = "id INTEGER PRIMARY KEY, name TEXT NOT NULL, offset INTEGER, inode INTEGER, created INTEGER, \
                       rotated INTEGER DEFAULT 0";
const MARKERS: &str = ", offset_marker INTEGER DEFAULT 0, offset_marker_size INTEGER DEFAULT 0";

/// Long after any file of a test was made.
const LATER: i64 = 4_000_000_000;

/// A database as Fluent Bit has it open.
struct Theirs(Connection);

impl Theirs {
    fn open(path: &Path, columns: &str) -> Self {
        let connection = Connection::open(path).unwrap();
        connection.execute(&format!("CREATE TABLE in_tail_files ({columns})"), []).unwrap();
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        Self(connection)
    }

    /// It has read the file up to there.
    fn read(&self, path: &Path, offset: u64, created: i64) {
        let inode = fs::metadata(path).unwrap().ino().cast_signed();
        let sql = "INSERT INTO in_tail_files (name, offset, inode, created) VALUES (?, ?, ?, ?)";
        let name = path.to_str().unwrap();
        self.0.execute(sql, params![name, offset.cast_signed(), inode, created]).unwrap();
    }

    /// It has marked this text as what stands before the position in the file added last.
    fn mark(&self, before: &[u8]) {
        let last = &before[before.len().saturating_sub(32)..];
        let sql = "UPDATE in_tail_files SET offset_marker = ?, offset_marker_size = ? \
                   WHERE id = (SELECT max(id) FROM in_tail_files)";
        let (marker, size) = (xxh3_64(last).cast_signed(), i64::try_from(last.len()).unwrap());
        self.0.execute(sql, params![marker, size]).unwrap();
    }
}

/// A folder with a log `a.log` and a database `flb.db` of which `known` says what Fluent Bit knew.
fn folder(log: &str, columns: &str, known: impl FnOnce(&Folder, &Theirs)) -> Folder {
    let folder = Folder::new(&[("a.log", log)]);
    known(&folder, &Theirs::open(&folder.path("flb.db"), columns));
    folder
}

/// What the input gives that finds the database; only new lines of files that it does not know.
fn lines(folder: &Folder, from: f64) -> (Vec<String>, String) {
    let db = folder.text("flb.db");
    let scene = Scene::new(from).until(from + 2.0);
    folder.run(&scene, "*.log*", &[("db", &db), ("read_from_head", "off")]);
    let lines = scene.bodies().iter().map(|body| body[8..body.len() - 2].to_owned()).collect();
    (lines, scene.log())
}

#[track_caller]
fn check(folder: &Folder, expected: &[&str]) {
    assert_eq!(lines(folder, 1000.0).0, expected);
    assert_eq!(lines(folder, 2000.0).0, [""; 0], "a second time");
}

#[test]
fn a_switch_from_fluent_bit_neither_skips_nor_doubles_a_line() {
    for (columns, mark) in [(COLUMNS.to_owned(), false), (format!("{COLUMNS}{MARKERS}"), true)] {
        let folder = folder("one\ntwo\nthree\n", &columns, |folder, theirs| {
            theirs.read(&folder.path("a.log"), 8, LATER);
            if mark {
                theirs.mark(b"one\ntwo\n");
            }
        });
        let (lines, log) = lines(&folder, 1000.0);
        assert_eq!(lines, ["three"]);
        let kept = folder.text("flb.db.fluent-bit");
        assert!(
            log.contains("the positions of 1 files were taken over from Fluent Bit")
                && log.contains(&format!("whose database is {kept} now")),
            "{log}"
        );
        check(&folder, &[]);
        // Whoever goes back finds it as it was.
        let kept = Connection::open(kept).unwrap();
        let offset: i64 =
            kept.query_row("SELECT offset FROM in_tail_files", [], |row| row.get(0)).unwrap();
        assert_eq!(offset, 8);
    }
}

#[test]
fn what_a_killed_fluent_bit_has_left_in_its_log_counts() {
    let folder = Folder::new(&[("a.log", "one\ntwo\n")]);
    let (from, to) = (folder.text("theirs.db"), folder.text("flb.db"));
    let theirs = Theirs::open(from.as_ref(), COLUMNS);
    theirs.read(&folder.path("a.log"), 0, LATER);
    theirs.0.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    theirs.0.execute("UPDATE in_tail_files SET offset = 4", []).unwrap();
    // As a kill leaves it: the newest position is in the log alone.
    for file in ["", "-shm", "-wal"] {
        fs::copy(format!("{from}{file}"), format!("{to}{file}")).unwrap();
    }
    assert!(fs::metadata(format!("{to}-wal")).unwrap().len() > 0);
    check(&folder, &["two"]);
    assert!(!folder.path("flb.db-wal").exists() && !folder.path("flb.db-shm").exists());
}

#[test]
fn what_came_after_fluent_bit_is_read_from_its_head_and_what_it_left_out_is_not() {
    let folder = folder("one\n", COLUMNS, |folder, theirs| {
        append(&folder.path("left-out.log"), "not wanted\n");
        theirs.read(&folder.path("a.log"), 4, LATER);
    });
    let db = fs::File::options().write(true).open(folder.path("flb.db")).unwrap();
    let made = fs::metadata(folder.path("left-out.log")).unwrap().created().unwrap();
    db.set_modified(made + std::time::Duration::from_secs(1)).unwrap();
    drop(db);
    // File systems tell the second in which a file was made.
    let second = std::time::Duration::from_secs(1);
    while made.elapsed().unwrap() < 3 * second {
        std::thread::sleep(second / 10);
    }
    append(&folder.path("later.log"), "wanted\n");
    check(&folder, &["wanted"]);
}

#[test]
fn a_file_that_was_renamed_meanwhile_is_read_on() {
    let folder = folder("one\ntwo\n", COLUMNS, |folder, theirs| {
        theirs.read(&folder.path("a.log"), 4, LATER);
    });
    fs::rename(folder.path("a.log"), folder.path("a.log.1")).unwrap();
    append(&folder.path("b.log"), "");
    check(&folder, &["two"]);
}

#[test]
fn a_file_that_is_not_what_fluent_bit_read_is_read_from_its_head() {
    // Shorter than what was read.
    let shorter = folder("new\n", COLUMNS, |folder, theirs| {
        theirs.read(&folder.path("a.log"), 1000, LATER);
    });
    check(&shorter, &["new"]);
    // Made after Fluent Bit had found a file of this number.
    let younger = folder("new\nnewer\n", COLUMNS, |folder, theirs| {
        theirs.read(&folder.path("a.log"), 4, 1_000_000_000);
    });
    check(&younger, &["new", "newer"]);
    // Truncated and written anew, which only the marker shows.
    let columns = format!("{COLUMNS}{MARKERS}");
    let anew = folder("new\nnewer\n", &columns, |folder, theirs| {
        theirs.read(&folder.path("a.log"), 4, LATER);
        theirs.mark(b"old\n");
    });
    let (lines, log) = lines(&anew, 1000.0);
    assert_eq!(lines, ["new", "newer"]);
    assert!(log.contains("Of these files 1 are not what it read"), "{log}");
}

#[test]
fn a_line_of_which_a_part_was_read_is_read_whole() {
    let folder = folder("one\ntwo\n", COLUMNS, |folder, theirs| {
        theirs.read(&folder.path("a.log"), 6, LATER);
    });
    check(&folder, &["two"]);
}

#[test]
fn a_database_in_doubt_is_refused_and_left_as_it_is() {
    let damaged = folder("one\n", COLUMNS, |folder, theirs| {
        for _ in 0..500 {
            theirs.read(&folder.path("a.log"), 4, LATER);
        }
    });
    let mut bytes = fs::read(damaged.path("flb.db")).unwrap();
    bytes[4096..].fill(0xa5);
    let foreign = Folder::new(&[("a.log", "one\n")]);
    let others = Connection::open(foreign.path("flb.db")).unwrap();
    others.execute("CREATE TABLE in_systemd_cursor (cursor TEXT)", []).unwrap();
    drop(others);
    let half = Folder::new(&[("a.log", "one\n"), ("flb.db", "SQLite format 3\0rest")]);
    fs::write(damaged.path("flb.db"), bytes).unwrap();
    for (folder, told) in [
        (&damaged, "it is a damaged SQLite database"),
        (&foreign, "none in which Fluent Bit's input tail keeps positions"),
        (&half, "it is a damaged SQLite database"),
    ] {
        let before = fs::read(folder.path("flb.db")).unwrap();
        let (path, db) = (folder.text("a.log"), folder.text("flb.db"));
        let given = [("path", path.as_str()), ("db", &db)];
        let error = Scene::new(1000.0).build(&SPEC, &given, SPEC.build).err().unwrap();
        assert!(error.message.contains(told), "{error}");
        assert!(
            error.help.as_ref().unwrap().contains("left as it is")
                || error.help.unwrap().contains("left as it was")
        );
        assert_eq!(fs::read(folder.path("flb.db")).unwrap(), before);
        let files = fs::read_dir(folder.path("")).unwrap().count();
        assert_eq!(files, 2, "{told}");
    }
}

#[test]
fn a_database_that_fluent_bit_still_uses_is_refused() {
    let folder = Folder::new(&[("a.log", "one\n")]);
    let theirs = Theirs::open(&folder.path("flb.db"), COLUMNS);
    theirs.read(&folder.path("a.log"), 4, LATER);
    let (path, db) = (folder.text("a.log"), folder.text("flb.db"));
    let given = [("path", path.as_str()), ("db", &db)];
    let error = Scene::new(1000.0).build(&SPEC, &given, SPEC.build).err().unwrap();
    assert!(error.message.contains("Fluent Bit, or another program, uses it"), "{error}");
    drop(theirs);
    check(&folder, &[]);
}

#[test]
fn a_dry_run_takes_nothing_over() {
    let folder = folder("one\n", COLUMNS, |folder, theirs| {
        theirs.read(&folder.path("a.log"), 4, LATER);
    });
    let before = fs::read(folder.path("flb.db")).unwrap();
    look(&folder.path("flb.db")).unwrap();
    assert_eq!(fs::read(folder.path("flb.db")).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 2);
}

#[test]
fn an_agent_that_is_killed_as_it_takes_over_does_so_again() {
    let folder = folder("one\ntwo\n", COLUMNS, |folder, theirs| {
        theirs.read(&folder.path("a.log"), 4, LATER);
    });
    // What a kill leaves before the last step.
    fs::write(folder.path("flb.db.new"), [7; 5000]).unwrap();
    fs::hard_link(folder.path("flb.db"), folder.path("flb.db.fluent-bit")).unwrap();
    check(&folder, &["two"]);
    assert!(folder.path("flb.db.fluent-bit.2").exists());
}
