//! On real files of the journal, which systemd-journal-remote writes. Where it is missing, they are skipped, with a word.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Stdio};

use flb_harness::net::{Desk, block_on};
use flb_harness::{build_in, options};
use flb_plugin::{Generation, Service};
use flb_testkit::servers::journal_remote;

use super::*;

/// Writes entries into a file of the journal, and has it open as journald would.
struct Writer(Child);

impl Writer {
    fn new(file: &Path) -> Self {
        let output = format!("--output={}", file.display());
        let mut command = journal_remote().unwrap();
        command.arg(output).arg("-").stdin(Stdio::piped()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Writes an entry of these fields, at so many seconds after 1970.
    fn write(&mut self, seconds: u64, fields: &[&[u8]]) {
        let micros = seconds * 1_000_000;
        let mut text = format!("__REALTIME_TIMESTAMP={micros}\n__MONOTONIC_TIMESTAMP={micros}\n");
        text.push_str("_BOOT_ID=11111111111111111111111111111111\n");
        let mut bytes = text.into_bytes();
        for field in fields {
            let equals = memchr::memchr(b'=', field).unwrap();
            if memchr::memchr2(b'\n', 0, field).is_none() {
                bytes.extend_from_slice(field);
            } else {
                let value = &field[equals + 1..];
                bytes.extend_from_slice(&field[..equals]);
                bytes.push(b'\n');
                bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
                bytes.extend_from_slice(value);
            }
            bytes.push(b'\n');
        }
        bytes.push(b'\n');
        self.0.stdin.as_mut().unwrap().write_all(&bytes).unwrap();
    }

    fn number(&mut self, number: u64) {
        let message = format!("MESSAGE={number}");
        self.write(1000 + number, &[message.as_bytes(), b"_SYSTEMD_UNIT=a.service"]);
    }

    /// Ends, when all is written.
    fn close(mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder for files of the journal; `None` if nobody here writes any.
fn folder() -> Option<tempfile::TempDir> {
    journal_remote()?;
    if Library::load(library::NAME).is_err() {
        eprintln!("SKIPPED: there is no libsystemd here");
        return None;
    }
    Some(tempfile::tempdir().unwrap())
}

/// A folder with these entries, a second apart.
fn journal(entries: &[&[&[u8]]]) -> Option<tempfile::TempDir> {
    let folder = folder()?;
    let mut writer = Writer::new(&folder.path().join("a.journal"));
    for (second, fields) in (1..).zip(entries) {
        writer.write(second, fields);
    }
    writer.close();
    Some(folder)
}

fn input(service: &Service, folder: &Path, more: &[(&str, &str)]) -> Result<Systemd, BuildError> {
    let given = [&[("path", folder.to_str().unwrap())], more].concat();
    build_in(service, &options(OPTIONS, &given), |options, build| {
        systemd(options, build, library::NAME)
    })
}

/// Runs an input until `enough` is over.
fn run<F: Future<Output = ()>>(input: Systemd, enough: impl FnOnce(Desk) -> F) -> Vec<String> {
    block_on(async {
        let desk = Desk::default();
        let stop = async {
            enough(desk.clone()).await;
            desk.stop();
        };
        let (end, ()) = tokio::join!(Box::new(input).run(&desk), stop);
        assert_eq!(end.unwrap(), End::Quiet);
        desk.so_far()
    })
}

/// Without what systemd-journal-remote adds.
fn without_boot(record: &str) -> String {
    let boot = r#""_BOOT_ID":"11111111111111111111111111111111""#;
    record.replace(&format!("{boot},"), "").replace(&format!(",{boot}"), "")
}

/// The records of these entries.
fn check(more: &[(&str, &str)], entries: &[&[&[u8]]], expected: &[&str]) {
    let Some(folder) = journal(entries) else { return };
    let input = input(&Service::default(), folder.path(), more).unwrap();
    let records = run(input, async |desk| {
        desk.records(expected.len()).await;
    });
    let records: Vec<String> = records.iter().map(|record| without_boot(record)).collect();
    assert_eq!(records, expected);
}

#[test]
fn an_entry_is_a_record_with_the_time_of_the_journal() {
    check(
        &[],
        &[&[b"MESSAGE=hello", b"PRIORITY=6"], &[b"MESSAGE=two\nlines\n", b"EMPTY="]],
        &[
            r#"t 1.000000000 {"MESSAGE":"hello","PRIORITY":"6"}"#,
            r#"t 2.000000000 {"MESSAGE":"two\nlines\n","EMPTY":""}"#,
        ],
    );
}

#[test]
fn fields_may_hold_any_bytes_and_come_several_times() {
    let long = format!("LONG={}", "x".repeat(1_000_000));
    let Some(folder) = journal(&[&[b"A=1", b"BINARY=\0\xff\n=", b"A=2", long.as_bytes()]]) else {
        return;
    };
    let input = input(&Service::default(), folder.path(), &[("lowercase", "on")]).unwrap();
    let records = run(input, async |desk| {
        desk.records(1).await;
    });
    assert!(records[0].contains(r#""binary":"\u0000�\n=""#), "{}", &records[0][..200]);
    assert!(records[0].contains(r#""a":["1","2"]"#));
    assert!(records[0].contains(&"x".repeat(1_000_000)), "it is compressed, and comes whole");
}

#[test]
fn names_are_as_the_options_say() {
    let options = [("lowercase", "on"), ("strip_underscores", "on"), ("max_fields", "2")];
    let Some(folder) = journal(&[&[b"_PID=1", b"MESSAGE=a", b"X=b"]]) else { return };
    let input = input(&Service::default(), folder.path(), &options).unwrap();
    let records = run(input, async |desk| {
        desk.records(1).await;
    });
    assert_eq!(records[0].matches("\":").count(), 2, "{}", records[0]);
    assert!(records[0].contains(r#""pid":"1""#) || records[0].contains(r#""boot_id":"#));
}

#[test]
fn one_filter_must_fit_or_all() {
    let entries: &[&[&[u8]]] = &[&[b"N=1", b"A=x"], &[b"N=2", b"B=y"], &[b"N=3", b"A=x", b"B=y"]];
    let records = |kind| {
        let folder = journal(entries)?;
        let given =
            [("systemd_filter", "A=x"), ("systemd_filter", "B=y"), ("systemd_filter_type", kind)];
        let input = input(&Service::default(), folder.path(), &given).unwrap();
        let count = if kind == "or" { 3 } else { 1 };
        Some(run(input, async |desk| {
            desk.records(count).await;
        }))
    };
    let Some(found) = records("or") else { return };
    assert_eq!(found.len(), 3);
    let found = records("And").unwrap();
    assert!(found.len() == 1 && found[0].contains(r#""N":"3""#), "{found:?}");
}

#[test]
fn a_star_in_the_tag_is_the_unit() {
    let entries: &[&[&[u8]]] = &[&[b"N=1", b"_SYSTEMD_UNIT=a.service"], &[b"N=2"]];
    let Some(folder) = journal(entries) else { return };
    let scene = flb_harness::Scene::new(0.0).tag("host.*.x");
    let given = [("path", folder.path().to_str().unwrap())];
    let input = scene
        .build(&SPEC, &given, |options, build| systemd(options, build, library::NAME))
        .unwrap();
    let records = run(input, async |desk| {
        desk.records(2).await;
    });
    assert!(records[0].starts_with("host.a.service.x "), "{records:?}");
    assert!(records[1].starts_with("host.unknown.x "), "{records:?}");
}

/// The numbers of records, in their order; a damaged one has none.
fn numbers(records: &[String]) -> Vec<u64> {
    let number = |record: &String| {
        let (_, text) = record.split_once(r#""MESSAGE":""#)?;
        text.split('"').next()?.parse().ok()
    };
    records.iter().filter_map(number).collect()
}

#[test]
fn the_journal_is_followed_through_rotation() {
    let Some(folder) = folder() else { return };
    let path = |name: &str| folder.path().join(name);
    let mut first = Writer::new(&path("a.journal"));
    (0..10).for_each(|number| first.number(number));
    let input = input(&Service::default(), folder.path(), &[("max_entries", "3")]).unwrap();
    let records = run(input, async |desk| {
        desk.records(10).await;
        (10..20).for_each(|number| first.number(number));
        desk.records(20).await;
        // As journald does: the file gets another name, and a new one comes in its place.
        first.close();
        fs::rename(path("a.journal"), path("a@1.journal")).unwrap();
        let mut second = Writer::new(&path("a.journal"));
        (20..30).for_each(|number| second.number(number));
        desk.records(30).await;
        fs::remove_file(path("a@1.journal")).unwrap();
        (30..40).for_each(|number| second.number(number));
        desk.records(40).await;
    });
    assert_eq!(numbers(&records), (0..40).collect::<Vec<_>>());
}

#[test]
fn reading_goes_on_after_a_reload_and_by_the_database() {
    let Some(folder) = folder() else { return };
    let (database, service) = (folder.path().join("positions"), Service::default());
    let database = database.to_str().unwrap();
    let mut writer = Writer::new(&folder.path().join("a.journal"));
    let mut from = 0;
    // A reload without and with a database, and an agent that comes later.
    for (service, more) in [
        (service.clone(), &[][..]),
        (Service { generation: Generation::default(), ..service.clone() }, &[]),
        (Service { generation: Generation::default(), ..service }, &[("db", database)]),
        (Service::default(), &[("db", database), ("read_from_tail", "on")]),
    ] {
        (from..from + 50).for_each(|number| writer.number(number));
        let input = input(&service, folder.path(), more).unwrap();
        let records = run(input, async |desk| {
            desk.records(50).await;
        });
        assert_eq!(numbers(&records), (from..from + 50).collect::<Vec<_>>());
        from += 50;
    }
    // One in which the input has another name.
    writer.number(from);
    let given = [("path", folder.path().to_str().unwrap()), ("db", database)];
    let scene = flb_harness::Scene::new(0.0);
    let input = scene
        .build(&SPEC, &given, |options, build| systemd(options, build, library::NAME))
        .unwrap();
    let records = run(input, async |desk| {
        desk.records(1).await;
    });
    assert_eq!(numbers(&records), [from]);
}

#[test]
fn reading_goes_on_behind_an_entry_that_is_gone() {
    let Some(folder) = folder() else { return };
    let path = |name: &str| folder.path().join(name);
    let database = path("positions");
    for (name, from) in [("a.journal", 0), ("b.journal", 10)] {
        let mut writer = Writer::new(&path(name));
        (from..from + 10).for_each(|number| writer.number(number));
        writer.close();
        let given = [("db", database.to_str().unwrap())];
        let input = input(&Service::default(), folder.path(), &given).unwrap();
        let records = run(input, async |desk| {
            desk.records(10).await;
        });
        assert_eq!(numbers(&records), (from..from + 10).collect::<Vec<_>>());
        fs::remove_file(path(name)).unwrap();
    }
}

#[test]
fn from_the_tail_comes_only_what_is_new() {
    let Some(folder) = folder() else { return };
    let path = folder.path().join("a.journal");
    let mut writer = Writer::new(&path);
    (0..500).for_each(|number| writer.number(number));
    writer.close();
    let database = folder.path().join("positions");
    let given = [("read_from_tail", "on"), ("db", database.to_str().unwrap())];
    let records = run(input(&Service::default(), folder.path(), &given).unwrap(), async |desk| {
        // Nothing tells that there is nothing.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(desk.so_far(), [""; 0]);
    });
    assert_eq!(records, [""; 0]);
    // What came in between is not passed over.
    let mut writer = Writer::new(&path);
    (500..510).for_each(|number| writer.number(number));
    let records = run(input(&Service::default(), folder.path(), &given).unwrap(), async |desk| {
        desk.records(10).await;
        (510..520).for_each(|number| writer.number(number));
        desk.records(20).await;
    });
    assert_eq!(numbers(&records), (500..520).collect::<Vec<_>>());
}

#[test]
fn ten_thousand_entries_come_once_each_while_the_pipeline_is_full_now_and_then() {
    let Some(folder) = folder() else { return };
    let mut writer = Writer::new(&folder.path().join("a.journal"));
    (0..10_000).for_each(|number| writer.number(number));
    writer.close();
    let input = input(&Service::default(), folder.path(), &[("max_entries", "1000")]).unwrap();
    let records = run(input, async |desk| {
        desk.records(1000).await;
        desk.set_full(true);
        tokio::task::yield_now().await;
        desk.set_full(false);
        desk.records(10_000).await;
    });
    assert_eq!(numbers(&records), (0..10_000).collect::<Vec<_>>());
}

#[test]
fn a_damaged_file_costs_its_own_entries() {
    let Some(folder) = folder() else { return };
    let path = |name: &str| folder.path().join(name);
    for (name, from) in [("a.journal", 0), ("b.journal", 1000), ("c.journal", 2000)] {
        let mut writer = Writer::new(&path(name));
        (from..from + 100).for_each(|number| writer.number(number));
        writer.close();
    }
    let mut bytes = fs::read(path("b.journal")).unwrap();
    let middle = memchr::memmem::find(&bytes, b"MESSAGE=1050").unwrap();
    bytes[middle..middle + 3000].fill(0xa5);
    fs::write(path("b.journal"), &bytes).unwrap();
    fs::write(path("c.journal"), "no journal at all").unwrap();
    let records = run(input(&Service::default(), folder.path(), &[]).unwrap(), async |desk| {
        desk.records(100).await;
        let mut writer = Writer::new(&path("d.journal"));
        writer.number(3000);
        let mut count = 101;
        while !desk.records(count).await.iter().any(|record| record.contains("\"3000\"")) {
            count += 1;
        }
    });
    let found = numbers(&records);
    assert!((0..100).all(|number| found.contains(&number)), "{found:?}");
}

#[test]
fn a_wrong_configuration_is_refused() {
    let refused = |given: &[(&str, &str)], library: &CStr| {
        let options = options(OPTIONS, given);
        build_in(&Service::default(), &options, |options, build| {
            systemd(options, build, library).err().unwrap().to_string()
        })
    };
    let error = refused(&[], c"libnobody.so.0");
    assert!(error.contains("libnobody.so.0"), "{error}");
    if Library::load(library::NAME).is_err() {
        return eprintln!("SKIPPED: there is no libsystemd here");
    }
    assert!(refused(&[("path", "/no/such/folder")], library::NAME).contains("it is no folder"));
    let error = refused(&[("path", "/"), ("systemd_filter", "ssh")], library::NAME);
    assert!(error.contains("systemd_filter 'ssh'"), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("positions.db");
    fs::write(&database, "SQLite format 3\0and more").unwrap();
    let error = refused(&[("path", "/"), ("db", database.to_str().unwrap())], library::NAME);
    assert!(error.contains("it is an SQLite database"), "{error}");
    assert!(fs::read(&database).unwrap().starts_with(b"SQLite"), "it is left as it is");
}
