//! What a database makes of files that come and go between agents, and of itself when it is broken.

use std::fs;

use super::super::SPEC;
use super::super::database::look;
use super::{Folder, append};
use flb_harness::Scene;

#[test]
fn a_database_keeps_the_position_from_one_agent_to_the_next() {
    let folder = Folder::new(&[("a.log", "one\ntwo\nunfin")]);
    let db = folder.text("positions.db");
    let given = [("db", db.as_str()), ("read_from_head", "off"), ("offset_key", "at")];
    let scene = Scene::new(1000.0).until(1002.0).at(1001.0, folder.appends("a.log", "ished\nno"));
    folder.run(&scene, "*.log", &[("db", &db), ("offset_key", "at")]);
    assert_eq!(scene.bodies().len(), 3);
    append(&folder.path("a.log"), "w\nlast\n");
    append(&folder.path("b.log"), "new\n");
    // What was written in between counts, also where only new lines do.
    let scene = Scene::new(2000.0).until(2002.0);
    folder.run(&scene, "*.log", &given);
    let written =
        [r#"{"at":19,"log":"now"}"#, r#"{"at":23,"log":"last"}"#, r#"{"at":0,"log":"new"}"#];
    assert_eq!(scene.bodies(), written);
    let scene = Scene::new(3000.0).until(3002.0);
    folder.run(&scene, "*.log", &given);
    assert_eq!(scene.bodies(), [""; 0]);
}

#[test]
fn a_file_that_is_not_the_one_of_the_database_is_read_from_its_start() {
    let folder = Folder::new(&[("a.log", "one\ntwo\n")]);
    let db = folder.text("positions.db");
    let given = [("db", db.as_str()), ("read_from_head", "off")];
    let run = |until| {
        let scene = Scene::new(until - 2.0).until(until);
        folder.run(&scene, "*.log", &given);
        scene.bodies()
    };
    assert_eq!(run(1002.0), [""; 0]);
    fs::write(folder.path("a.log"), "three\nfour\n").unwrap();
    assert_eq!(run(1004.0), [r#"{"log":"three"}"#, r#"{"log":"four"}"#]);
    fs::write(folder.path("a.log"), "five\n").unwrap();
    assert_eq!(run(1006.0), [r#"{"log":"five"}"#]);
}

#[test]
fn what_came_while_the_agent_was_down_is_read_from_its_head() {
    let folder = Folder::new(&[("a.log", "old\n")]);
    let db = folder.text("positions.db");
    let run = |from: f64, pattern: &str, later: &str| {
        let scene = Scene::new(from).until(from + 2.0);
        let later = ("read_newly_discovered_files_from_head", later);
        folder.run(&scene, pattern, &[("db", &db), ("read_from_head", "off"), later]);
        scene.bodies()
    };
    assert_eq!(run(1000.0, "[ab].log", "on"), [""; 0]);
    append(&folder.path("b.log"), "new\n");
    append(&folder.path("c.log"), "of another pattern\n");
    assert_eq!(run(1002.0, "[ab].log", "on"), [r#"{"log":"new"}"#]);
    // Where other files are wanted than before, those are new that were made since.
    assert_eq!(run(4_000_000_000.0, "[abc].log", "on"), [r#"{"log":"of another pattern"}"#]);
    append(&folder.path("d.log"), "was there\n");
    assert_eq!(run(4_000_000_002.0, "?.log", "on"), [""; 0]);
    append(&folder.path("e.log"), "not wanted\n");
    assert_eq!(run(4_000_000_004.0, "?.log", "off"), [""; 0]);
}

#[test]
fn a_folder_that_cannot_be_looked_at_has_lost_no_file() {
    let folder = Folder::new(&[]);
    fs::create_dir(folder.path("logs")).unwrap();
    append(&folder.path("logs/a.log"), "one\n");
    append(&folder.path("logs/b.log"), "two\n");
    let db = folder.text("positions.db");
    let (logs, aside) = (folder.path("logs"), folder.path("aside"));
    let (logs_again, aside_again) = (logs.clone(), aside.clone());
    let hidden = move || {
        fs::rename(&logs, &aside).unwrap();
        // A link to itself leads nowhere, and nobody knows what is behind it.
        std::os::unix::fs::symlink(&logs, &logs).unwrap();
    };
    let back = move || {
        fs::remove_file(&logs_again).unwrap();
        fs::rename(&aside_again, &logs_again).unwrap();
    };
    let scene = Scene::new(1000.0)
        .until(1020.0)
        .at(1001.0, hidden)
        .at(1010.0, back)
        .at(1011.0, folder.appends("logs/a.log", "three\n"));
    let given = [("db", db.as_str()), ("refresh_interval", "1")];
    folder.run(&scene, "logs/*.log", &given);
    let bodies = [r#"{"log":"one"}"#, r#"{"log":"two"}"#, r#"{"log":"three"}"#];
    assert_eq!(scene.bodies(), bodies);
    // At a start, too, positions stay.
    let (logs, aside) = (folder.path("logs"), folder.path("aside"));
    fs::rename(&logs, &aside).unwrap();
    std::os::unix::fs::symlink(&logs, &logs).unwrap();
    folder.run(&Scene::new(1020.0).until(1022.0), "logs/*.log", &given);
    fs::remove_file(&logs).unwrap();
    fs::rename(&aside, &logs).unwrap();
    let scene = Scene::new(1022.0).until(1024.0);
    folder.run(&scene, "logs/*.log", &given);
    assert_eq!(scene.bodies(), [""; 0]);
}

#[test]
fn a_file_that_comes_back_to_the_next_agent_is_not_read_again() {
    let folder = Folder::new(&[]);
    let db = folder.text("positions.db");
    fs::create_dir(folder.path("pod")).unwrap();
    append(&folder.path("pod/a.log"), "one\n");
    let scene = Scene::new(1000.0).until(1010.0).at(1001.0, folder.renames("pod", "away"));
    folder.run(&scene, "p*/a.log", &[("db", &db)]);
    assert_eq!(scene.bodies(), [r#"{"log":"one"}"#]);
    fs::rename(folder.path("away"), folder.path("pod")).unwrap();
    append(&folder.path("pod/a.log"), "two\n");
    let scene = Scene::new(1010.0).until(1012.0);
    folder.run(&scene, "p*/a.log", &[("db", &db)]);
    assert_eq!(scene.bodies(), [r#"{"log":"two"}"#]);
}

#[test]
fn the_database_knows_a_file_under_another_name_unless_names_count() {
    let folder = Folder::new(&[("a.log", "one\n")]);
    let db = folder.text("positions.db");
    let run = |names: &str| {
        let scene = Scene::new(1000.0).until(1002.0);
        folder.run(&scene, "*.log", &[("db", &db), ("db.compare_filename", names)]);
        scene.bodies()
    };
    assert_eq!(run("off"), [r#"{"log":"one"}"#]);
    fs::rename(folder.path("a.log"), folder.path("b.log")).unwrap();
    assert_eq!(run("off"), [""; 0]);
    append(&folder.path("b.log"), "two\n");
    assert_eq!(run("off"), [r#"{"log":"two"}"#]);
    fs::rename(folder.path("b.log"), folder.path("c.log")).unwrap();
    assert_eq!(run("on"), [r#"{"log":"one"}"#, r#"{"log":"two"}"#]);
}

#[test]
fn a_batch_that_nobody_took_is_read_again() {
    let folder = Folder::new(&[("a.log", "one\n")]);
    let db = folder.text("positions.db");
    let given = [("db", db.as_str())];
    folder.run(&Scene::new(1000.0).closed(), "*.log", &given);
    let scene = Scene::new(1000.0).until(1002.0);
    folder.run(&scene, "*.log", &given);
    assert_eq!(scene.bodies(), [r#"{"log":"one"}"#]);
}

#[test]
fn an_agent_that_is_killed_soon_after_its_start_gets_on() {
    let folder = Folder::new(&[("a.log", "one\n")]);
    let (db, left) = (folder.text("positions.db"), folder.text("left.db"));
    let (from, to) = (folder.path("positions.db"), folder.path("left.db"));
    // What a kill at this moment leaves behind.
    let killed = move || assert!(fs::copy(from, to).unwrap() > 0);
    folder.run(&Scene::new(1000.0).at(1000.1, killed).until(1000.2), "*.log", &[("db", &db)]);
    append(&folder.path("a.log"), "two\n");
    let scene = Scene::new(2000.0).until(2002.0);
    folder.run(&scene, "*.log", &[("db", &left)]);
    assert_eq!(scene.bodies(), [r#"{"log":"two"}"#]);
}

#[test]
fn lines_that_wait_for_others_are_not_lost_with_the_agent() {
    let folder = Folder::new(&[("a.log", "x\njava.lang.Error: y\n")]);
    let db = folder.text("positions.db");
    let given = [("db", db.as_str()), ("multiline.parser", "java")];
    let scene = Scene::new(1000.0).until(1002.0);
    folder.run(&scene, "*.log", &given);
    assert_eq!(scene.bodies(), [r#"{"log":"x\n"}"#]);
    append(&folder.path("a.log"), "\tat z\n");
    let scene = Scene::new(2000.0).until(2010.0);
    folder.run(&scene, "*.log", &given);
    assert_eq!(scene.bodies(), [r#"{"log":"java.lang.Error: y\n\tat z\n"}"#]);
    // Without a database there is no second time.
    let scene = Scene::new(1000.0).until(1002.0);
    folder.run(&scene, "*.log", &[("multiline.parser", "java")]);
    assert_eq!(scene.bodies().len(), 2);
}

#[test]
fn a_database_that_is_no_file_is_refused() {
    let folder = Folder::new(&[("a.log", "one\n")]);
    let path = folder.text("a.log");
    let pipe = folder.text("pipe.db");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let given = [("path", path.as_str()), ("db", &pipe)];
    let error = Scene::new(1000.0).build(&SPEC, &given, SPEC.build).err().unwrap();
    assert!(error.message.contains("pipe.db: it is not a file"), "{error}");
    let error = look(pipe.as_ref()).err().unwrap();
    assert!(error.message.contains("pipe.db: it is not a file"), "{error}");
    let nowhere = folder.text("no/where.db");
    let given = [("path", path.as_str()), ("db", &nowhere)];
    let error = Scene::new(1000.0).build(&SPEC, &given, SPEC.build).err().unwrap();
    assert!(error.message.contains("no/where.db"), "{error}");
}

#[test]
fn a_broken_database_is_moved_aside_and_told() {
    let folder = Folder::new(&[("a.log", "one\n")]);
    let db = folder.text("positions.db");
    for (round, bytes) in [&b"not a database at all"[..], &[7; 10_000]].into_iter().enumerate() {
        fs::write(&db, bytes).unwrap();
        let scene = Scene::new(1000.0).until(1002.0);
        // What was written before the first agent is wanted now: nobody knows what of it was read.
        folder.run(&scene, "*.log", &[("db", &db), ("read_from_head", "off")]);
        assert_eq!(scene.bodies(), [r#"{"log":"one"}"#]);
        let aside = format!("{db}.corrupt{}", ["", ".2"][round]);
        assert!(
            scene.log().contains(&format!("It was moved to {aside}, and all files are read from"))
        );
        assert_eq!(fs::read(aside).unwrap(), bytes);
    }
}

#[test]
fn a_database_that_was_not_finished_is_no_broken_one() {
    let folder = Folder::new(&[("a.log", "one\n")]);
    let db = folder.text("positions.db");
    fs::write(folder.path("positions.db.new"), [0; 4096]).unwrap();
    let scene = Scene::new(1000.0).until(1002.0);
    folder.run(&scene, "*.log", &[("db", &db)]);
    assert_eq!(scene.bodies(), [r#"{"log":"one"}"#]);
    assert!(!scene.log().contains("ERROR"), "{}", scene.log());
    let mut files: Vec<_> =
        fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["a.log", "positions.db"]);
}

#[test]
fn wherever_a_database_is_damaged_nothing_is_lost() {
    let folder = Folder::new(&[("a.log", "one\n")]);
    let db = folder.text("positions.db");
    let run = || {
        let scene = Scene::new(1000.0).until(1002.0);
        folder.run(&scene, "*.log", &[("db", &db)]);
        scene.bodies()
    };
    run();
    let whole = fs::read(&db).unwrap();
    for place in (0..16).map(|part| whole.len() / 16 * part + 40) {
        let mut damaged = whole.clone();
        for byte in &mut damaged[place..place + 24] {
            *byte ^= 0x5a;
        }
        fs::write(&db, &damaged).unwrap();
        let bodies = run();
        assert!(bodies.is_empty() || bodies == [r#"{"log":"one"}"#], "{bodies:?}");
        fs::write(&db, &whole[..place]).unwrap();
        let bodies = run();
        assert!(bodies.is_empty() || bodies == [r#"{"log":"one"}"#], "{bodies:?}");
    }
}

#[test]
fn a_database_is_one_agent_s_but_all_its_inputs_share_it() {
    let folder = Folder::new(&[("a.log", "one\n")]);
    let (path, db) = (folder.text("*.log"), folder.text("positions.db"));
    let given = [("path", path.as_str()), ("db", db.as_str())];
    let first = Scene::new(1000.0);
    let _input = first.build(&SPEC, &given, SPEC.build).unwrap();
    let other = Scene::new(1000.0).build(&SPEC, &given, SPEC.build).err().unwrap();
    assert!(other.help.unwrap().contains("no other agent uses the file"), "{}", other.message);
    let scene = Scene::new(1000.0).until(1001.0).reloaded(&first);
    folder.run(&scene, "*.log", &[("db", &db)]);
    assert_eq!(scene.bodies(), [r#"{"log":"one"}"#]);
}

#[test]
fn after_a_reload_reading_goes_on_where_it_was() {
    let folder = Folder::new(&[("a.log", "one\nunfin")]);
    let first = Scene::new(1000.0).until(1001.0);
    folder.run(&first, "*.log", &[]);
    append(&folder.path("a.log"), "ished\n");
    append(&folder.path("b.log"), "new\n");
    let second = Scene::new(1001.0).until(1002.0).reloaded(&first);
    folder.run(&second, "*.log", &[("read_from_head", "off")]);
    assert_eq!(second.bodies(), [r#"{"log":"unfinished"}"#, r#"{"log":"new"}"#]);
}
