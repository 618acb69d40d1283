//! Every folder of `tests/agent` is a configuration as people have it, run whole: real files, sockets, processes.
//!
//! A folder holds `agent.conf` and `agent.yaml`, which say the same and must give the same; where a thing can be said in one
//! syntax only, there is one. Beside them: what they name, what they are fed, a file `steps` that says what is done, and in
//! `expected` what comes of it. The runner copies the folder and works in the copy, once for each syntax.
//!
//! `steps` opens with the fact, as comment; then each line is a step:
//!
//! | step | what it does |
//! |---|---|
//! | `port NAME` | finds a free port, which configurations know as `${NAME}` |
//! | `env NAME VALUE` | sets a variable for all agents |
//! | `receiver NAME` | an HTTP server at a free port, `${NAME}`; what it was sent is compared with `expected/NAME.requests` |
//! | `cluster NAME FOLDER TOKEN` | an API server of Kubernetes at a free port, `${NAME}`, with the pods in the folder |
//! | `start AGENT [< FILE]` | runs `AGENT.conf` or `AGENT.yaml` |
//! | `until AGENT TEXT` | waits for this text in the agent's log |
//! | `lines AGENT N`, `lines FILE N` | waits for so many lines in `AGENT.out`, its standard output, or another file |
//! | `post NAME PATH TYPE FILE STATUS` | posts a file to the port, and expects the status |
//! | `send NAME FILE` | writes a file to the port by TCP |
//! | `append FILE FROM` | appends a file to another one |
//! | `rotate FILE` | renames it to `FILE.1` |
//! | `signal AGENT NAME` | sends a signal |
//! | `warns AGENT TEXT` | lets the agent warn or complain about this, which it must |
//! | `ends AGENT CODE` | waits for the agent's end, and expects the exit code |
//!
//! In the end each file of `expected` must be equal to its namesake in the copy, and no agent may have warned without leave.
//! `BLESS=1` writes the files of `expected` anew: look at the difference.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod protobuf;
mod receiver;
mod steps;

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};

use self::steps::World;

fn main() {
    let mut trials = Vec::new();
    for case in entries(&tests()) {
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        for syntax in ["conf", "yaml"] {
            if case.join("agent").with_extension(syntax).exists() {
                let case = case.clone();
                trials.push(Trial::test(format!("{name}.{syntax}"), move || check(&case, syntax)));
            }
        }
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn tests() -> PathBuf {
    root().join("tests/agent")
}

fn check(case: &Path, syntax: &'static str) -> Result<(), Failed> {
    let copy = tempfile::tempdir().unwrap();
    copy_folder(case, copy.path());
    let steps = fs::read_to_string(case.join("steps")).unwrap();
    assert!(steps.starts_with("# "), "'steps' begins with '# ' and the fact that it is about");
    let mut world = World::new(copy.path(), syntax, &root().join("examples"));
    for step in steps.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        world.take(step)?;
    }
    world.end()?;
    compare(&case.join("expected"), copy.path())
}

/// The folder's entries, sorted.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut entries: Vec<PathBuf> = entries.collect();
    entries.sort();
    entries
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for path in entries(from).into_iter().filter(|path| !path.ends_with("expected")) {
        let copy = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_folder(&path, &copy),
            false => drop(fs::copy(&path, &copy).unwrap()),
        }
    }
}

/// Every file of `expected` against its namesake in `found`.
fn compare(expected: &Path, found: &Path) -> Result<(), Failed> {
    for path in entries(expected) {
        let other = found.join(path.file_name().unwrap());
        if path.is_dir() {
            compare(&path, &other)?;
            continue;
        }
        let got = fs::read(&other).map_err(|error| format!("{}: {error}", other.display()))?;
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &got).unwrap();
        } else if fs::read(&path).unwrap() != got {
            let expected = fs::read_to_string(&path).unwrap_or_default();
            let got = String::from_utf8_lossy(&got);
            let name = path.file_name().unwrap().display();
            return Err(format!("{name} is\n{got}\nand should be\n{expected}").into());
        }
    }
    Ok(())
}
