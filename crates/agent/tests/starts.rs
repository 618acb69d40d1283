//! Every configuration of `tests/configurations`, written as people's are, starts. Those that name a plugin which is not here are refused
//! for that and nothing else, so this holds more as soon as a plugin comes; no list has to be kept.
//!
//! A test is a dry run in a copy of the folder, with the packaged parsers, certificates, a database of places and the variables that
//! are named.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flb_config::{Disk, Document, FileKind, Role, Section, SectionKind, read_file};
use flb_plugin::Spec;
use flb_plugins::REGISTRY;
use flb_testkit::{Program, Run};
use libtest_mimic::{Arguments, Failed, Trial};
use tempfile::TempDir;

const VARIABLES: &[(&str, &str)] = &[
    ("API_KEY", "key"),
    ("AWS_REGION", "eu-central-1"),
    ("CLUSTER_NAME", "shop"),
    ("HOST_NAME", "node-1"),
    ("HTTP_PORT", "2020"),
    ("HTTP_SERVER", "On"),
    ("OPENSEARCH_PASSWORD", "password"),
    ("OTLP_TOKEN", "token"),
    ("READ_FROM_HEAD", "Off"),
    ("READ_FROM_TAIL", "On"),
    ("RED_KEY", "red"),
    ("SHARED_KEY", "shared"),
    ("SPLUNK_TOKEN", "token"),
];

fn main() {
    let folder = root().join("tests/configurations");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    let trials = files.into_iter().map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        Trial::test(name.clone(), move || check(&name))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_owned()
}

fn check(name: &str) -> Result<(), Failed> {
    let copy = copy();
    let absent = absent(&copy.path().join(name))?;
    let run = dry_run(copy.path(), name);
    let refused: Vec<&str> =
        run.stderr.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    let expected: Vec<String> = absent
        .iter()
        .map(|name| {
            format!("[config] section '{name}' tried to instance a plugin name that doesn't exist")
        })
        .collect();
    // The order is that of the kinds of plugins.
    let sorted = |mut list: Vec<String>| {
        list.sort();
        list
    };
    let refused = sorted(refused.into_iter().map(str::to_owned).collect());
    if refused != sorted(expected) || absent.is_empty() != (run.code == Some(0)) {
        return Err(format!("absent plugins are {absent:?}, and it says\n{}", run.stderr).into());
    }
    Ok(())
}

/// The folder of configurations, with what they name.
fn copy() -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    let from = root().join("tests/configurations");
    for folder in ["", "parts"] {
        fs::create_dir_all(copy.path().join(folder)).unwrap();
        for entry in fs::read_dir(from.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.file_name().unwrap();
                // Not every machine has this folder.
                let text =
                    fs::read_to_string(&path).unwrap().replace("/var/log/journal", "journal");
                fs::write(copy.path().join(folder).join(name), text).unwrap();
            }
        }
    }
    for (from, to) in [
        ("packaging/parsers.conf", "parsers.conf"),
        ("crates/filters/tests/geoip2/GeoIP2-City-Test.mmdb", "parts/places.mmdb"),
    ] {
        fs::copy(root().join(from), copy.path().join(to)).unwrap();
    }
    fs::create_dir(copy.path().join("journal")).unwrap();
    let tls = copy.path().join("tls");
    fs::create_dir(&tls).unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    for (name, text) in [("ca.crt", &certificate), ("agent.crt", &certificate), ("agent.key", &key)]
    {
        fs::write(tls.join(name), text).unwrap();
    }
    copy
}

fn dry_run(folder: &Path, name: &str) -> Run {
    let mut agent = Command::new(env!("CARGO_BIN_EXE_flb-agent"));
    agent.args(["--dry-run", "-c", name]).current_dir(folder).env_clear();
    agent.envs(VARIABLES.iter().copied()).env("EXAMPLES", root().join("examples"));
    Program::start(&mut agent).finish()
}

/// The names of plugins that it asks for and that are not here, as often as it asks; all of them are known to be missing.
fn absent(path: &Path) -> Result<Vec<String>, Failed> {
    let mut document = Document::default();
    let found = read_file(&mut document, path, FileKind::Main, &Disk);
    assert!(!found.has_errors(), "{}", found.render(document.sources()));
    let mut absent = Vec::new();
    for role in [Role::Input, Role::Filter, Role::Output] {
        for section in document.sections_of(SectionKind::Plugin(role)) {
            if let Some(name) = missing(role, section)? {
                // Nobody looks at the processors of what is not here.
                absent.push(name);
                continue;
            }
            for processor in section.children_of(SectionKind::PROCESSOR) {
                absent.extend(missing(Role::Processor, processor)?);
            }
        }
    }
    Ok(absent)
}

fn missing(role: Role, section: &Section) -> Result<Option<String>, Failed> {
    let name = section.property("name").unwrap().value.text.clone();
    let is_here = match role {
        Role::Input => has(REGISTRY.inputs, &name),
        Role::Filter | Role::Processor => has(REGISTRY.filters, &name),
        Role::Output => has(REGISTRY.outputs, &name),
    };
    match (is_here, REGISTRY.absent(role, &name)) {
        (true, _) => Ok(None),
        (false, Some(_)) => Ok(Some(name)),
        (false, None) => Err(format!("nobody has heard of a {role} {name}").into()),
    }
}

fn has<T: ?Sized>(specs: &[Spec<T>], name: &str) -> bool {
    specs.iter().any(|spec| spec.name.eq_ignore_ascii_case(name))
}
