//! All cases of `tests/filter` through `Name aot`: what comes out must be what flb-agent prints, which the case says, and each
//! mistake must have its reason in the log. `crates/agent/tests/filter.rs` describes what a case holds.
//!
//! The agents print some texts and numbers of JSON differently, so values are compared.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use flb_testkit::Case;
use serde_json::Value;

use super::Bench;
use crate::run::root;

/// A case in which something else is Fluent Bit's own doing, before or behind the filter, or flb-agent's.
struct Otherwise {
    case: &'static str,
    /// In releases before this one.
    before: (u32, u32),
    /// Why. Nobody asks but readers.
    _reason: &'static str,
}

const fn otherwise(case: &'static str, before: (u32, u32), reason: &'static str) -> Otherwise {
    Otherwise { case, before, _reason: reason }
}

const ALWAYS: (u32, u32) = (u32::MAX, 0);
const EXPONENTS: &str = "the agent's inputs read 1e3 in JSON as 1";
const LARGE: &str =
    "the agent's inputs read large integers and pairs of surrogates in JSON as others";

const OTHERWISE: &[Otherwise] = &[
    otherwise("mpret_mp_trunc", ALWAYS, "flb-agent prints a key that is a number as JSON's text"),
    otherwise("nested_deep", ALWAYS, "the agent's stdout prints no record that is nested so deep"),
    otherwise("args", (5, 0), EXPONENTS),
    otherwise("args_msgpack", (5, 0), EXPONENTS),
    otherwise("echo", (5, 0), EXPONENTS),
    otherwise("text", (5, 0), EXPONENTS),
    otherwise("text_echo", (5, 0), EXPONENTS),
    otherwise("args_unicode", (4, 0), LARGE),
    otherwise("mpecho", (4, 0), LARGE),
    otherwise("none", (4, 0), LARGE),
];

/// So many at a time: they wait more than they work.
const AT_ONCE: usize = 4;
/// Who has not printed all by then never will.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn run(bench: &Bench) -> Result<String> {
    let mut paths: Vec<_> = fs::read_dir(root().join("tests/filter"))?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.extension() == Some("case".as_ref()));
    paths.sort();
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let is_otherwise = |path: &Path| {
        OTHERWISE.iter().any(|other| other.case == name(path) && bench.release < other.before)
    };
    let all = paths.len();
    paths.retain(|path| !is_otherwise(path));
    let (next, differing) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let name = name(path);
                    if let Err(error) = check(bench, &name, path) {
                        let mut differing = differing.lock().expect("nobody panics");
                        differing.push(format!("{name}: {error:#}"));
                    }
                }
            });
        }
    });
    let differing = differing.into_inner().expect("nobody panics");
    let same = paths.len() - differing.len();
    ensure!(
        differing.is_empty(),
        "{same} are the same, {} differ:\n{}",
        differing.len(),
        differing.join("\n")
    );
    Ok(format!("{same} of {all} are the same, the others differ without the filter"))
}

fn check(bench: &Bench, name: &str, path: &Path) -> Result<()> {
    const SETTINGS: &[&str] =
        &["module", "function", "record", "copies", "output", "filter", "service", "exit"];
    let case = Case::parse(&fs::read_to_string(path)?, SETTINGS, &["filters", "stdout", "stderr"]);
    let room = bench.room(&format!("cases/{name}"))?;
    let configuration = with_modules(bench, &room, configuration(&case))?;
    let agent = bench.start(&room, &configuration)?;
    let stdout = case.section("stdout").unwrap_or_default();
    let expected: Vec<&str> = stdout.lines().collect();
    let ended = match case.setting("exit") {
        Some(_) => {
            let ended = agent.ended()?;
            let refused = ended.status.code().is_some_and(|code| code != 0);
            ensure!(refused, "it is not refused ({}):\n{}", ended.status, ended.said);
            ended
        }
        None => {
            let begun = Instant::now();
            let printed = || fs::read_to_string(room.join("out")).unwrap_or_default();
            // Where nothing is to come, a little longer than something would take to.
            let patience = if expected.is_empty() { PATIENCE / 5 } else { PATIENCE };
            while begun.elapsed() < patience
                && (expected.is_empty() || printed().lines().count() < expected.len())
            {
                thread::sleep(Duration::from_millis(20));
            }
            agent.end()?.well()?
        }
    };
    let printed = fs::read_to_string(room.join("out")).unwrap_or_default();
    let printed: Vec<&str> = printed.lines().collect();
    for line in case.section("stderr").unwrap_or_default().lines().map(ours) {
        ensure!(ended.said.contains(&line), "not said: {line}\n{}", about_filters(&ended.said));
    }
    ensure!(
        printed.len() == expected.len()
            && printed.iter().zip(&expected).all(|(one, other)| is_same(one, other)),
        "expected:\n{}\nbut it is:\n{}\n{}",
        expected.join("\n"),
        printed.join("\n"),
        about_filters(&ended.said)
    );
    Ok(())
}

/// Lines that say something of filters, or are errors.
fn about_filters(said: &str) -> String {
    let lines = said.lines().filter(|line| line.contains("[filter") || line.contains("[error]"));
    lines.map(|line| format!("  {line}\n")).collect()
}

/// What flb-agent says of its filter, as the plugin says it.
fn ours(line: &str) -> String {
    line.replace("[filter:wasm:wasm.", "[filter:aot:aot.").replace("filter wasm.", "filter aot.")
}

/// The case's configuration, with placeholders for modules.
fn configuration(case: &Case) -> String {
    let records: Vec<&str> = case.settings("record").collect();
    let records =
        if records.is_empty() { "{\"message\":\"hello\"}".to_owned() } else { records.join(" ") };
    // What flb-agent has in its service the plugin has in its filter.
    let (own, service): (Vec<&str>, Vec<&str>) = case
        .settings("service")
        .partition(|property| property.starts_with("wasm.") || property.starts_with("json."));
    let own: Vec<&str> = own
        .into_iter()
        .map(|property| property.strip_prefix("wasm.").unwrap_or(property))
        .collect();
    format!(
        "[SERVICE]\n Flush 0.1\n Grace 1\n Log_Level debug\n{}[INPUT]\n Name dummy\n Tag dummy.local\n Samples 1\n \
         Interval_Sec 0\n Interval_NSec 50000000\n Copies {}\n Start_time_sec 1700000000\n Start_time_nsec 123456789\n Fixed_timestamp On\n \
         Dummy {records}\n{}[OUTPUT]\n Name stdout\n Match *\n Format {}\n",
        properties(&service),
        case.setting("copies").unwrap_or("1"),
        case.section("filters").map_or_else(|| filter(case, &own), filters),
        case.setting("output").unwrap_or("json_lines"),
    )
}

/// The filters' sections, as a case says them itself.
fn filters(text: &str) -> String {
    let lines = text.replace("Name wasm", "Name aot");
    let lines = lines.lines().map(str::trim);
    lines
        .map(|line| if line.starts_with('[') { format!("{line}\n") } else { format!(" {line}\n") })
        .collect()
}

/// The filter's section. The case's own properties replace those that every case has.
fn filter(case: &Case, own: &[&str]) -> String {
    let given: Vec<&str> = case.settings("filter").collect();
    let module = case.setting("module");
    if module.is_none() && given.is_empty() {
        return String::new();
    }
    let key = |property: &str| property.split(' ').next().unwrap_or_default().to_lowercase();
    let usual = [
        Some("Match dummy.*".to_owned()),
        module.map(|module| format!("WASM_Path {{{module}}}")),
        Some(format!("Function_Name {}", case.setting("function").unwrap_or("filter"))),
    ];
    let usual: Vec<String> = usual.into_iter().flatten().collect();
    let usual = usual.iter().filter(|usual| given.iter().all(|given| key(given) != key(usual)));
    let all: Vec<&str> =
        usual.map(String::as_str).chain(given.iter().copied()).chain(own.iter().copied()).collect();
    format!("[FILTER]\n Name aot\n{}", properties(&all))
}

fn properties(all: &[&str]) -> String {
    all.iter().map(|property| format!(" {property}\n")).collect()
}

/// Puts modules in their placeholders' places: `{echo.wat}`.
fn with_modules(bench: &Bench, room: &Path, mut configuration: String) -> Result<String> {
    for folder in ["tests/filter/modules", "examples/filters", "examples/sdk"] {
        for entry in fs::read_dir(root().join(folder))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let placeholder = format!("{{{name}}}");
            if configuration.contains(&placeholder) {
                let file = Path::new(&name).with_extension("wasm");
                fs::copy(bench.module(&name)?, room.join(&file)).context("the module")?;
                configuration = configuration.replace(&placeholder, &file.display().to_string());
            }
        }
    }
    Ok(configuration)
}

/// Whether two lines of JSON say the same.
fn is_same(one: &str, other: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<Value>(text).ok();
    one == other
        || read(one).zip(read(other)).is_some_and(|(one, other)| is_same_value(&one, &other))
}

fn is_same_value(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let near = |one: f64, other: f64| (one - other).abs() <= one.abs() * 1e-6;
            one == other
                || one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| near(one, other))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one.iter().zip(other).all(|(one, other)| is_same_value(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|((key, one), (name, other))| key == name && is_same_value(one, other))
        }
        _ => one == other,
    }
}
