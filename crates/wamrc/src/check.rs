//! Proves before deploying that a filter fits the agent: its interface first, then a trial run.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use flb_artifact::contract::{MEMORY_LIMIT, PAGE};
use flb_artifact::{Arguments, Artifact, ArtifactError, Host, Interface, Trust};
use flb_runtime::Abi;
use flb_text::{did_you_mean, tame_line};
use serde_json::{Value, json};

use crate::call::{few, only_filter};
use crate::findings::{Finding, Level, size};
use crate::input::{self, Filter};
use crate::inspect::type_of;
use crate::module::{compile, measures};
use crate::output::{Outcome, say, say_json};
use crate::probe::{self, TrialArgs};

/// Prove that a filter fits the agent, by its interface and by a trial run
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc check [options] FILE.wasm|FILE.aot")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    trial: TrialArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[arg(hide = true)]
    files: Vec<PathBuf>,
}

/// The command `check`.
pub(crate) fn run(args: &CheckArgs) -> anyhow::Result<Outcome> {
    let file = input::only_file(&args.files)?;
    let findings = findings(file, args)?;
    let problems = findings.iter().filter(|one| one.level == Level::Problem).count();
    if args.json {
        say_json(object(file, &findings, problems))?;
    } else {
        say(&lines(file, &findings, problems))?;
    }
    Ok(if problems == 0 { Outcome::Done } else { Outcome::Problems })
}

fn findings(file: &Path, args: &CheckArgs) -> anyhow::Result<Vec<Finding>> {
    let bytes = match Filter::read(file)? {
        Filter::Wasm(wasm) => match compile(&wasm) {
            Ok(bytes) => bytes,
            Err(error) => {
                return Ok(vec![Finding::new(Level::Problem, "module", format!("{error:#}"))]);
            }
        },
        Filter::Aot(artifact) => artifact.bytes().to_vec(),
    };
    let artifact = Artifact::parse(bytes)?;
    let metadata = artifact.metadata();
    let size = metadata.source.size;
    let mut findings = vec![Finding::new(Level::Ok, "module", format!("{size} bytes, valid"))];
    let (finding, function) = function(&metadata.interface, args.trial.call.function.as_deref());
    findings.push(finding);
    findings.extend(imports(&metadata.interface)?);
    findings.extend(memory(&artifact)?);
    let (code, finding) = runnable(&artifact)?;
    findings.extend(finding);
    if let (Some(code), Some(function)) = (code, function) {
        findings.extend(probe::findings(code, file, function, &args.trial)?);
    }
    Ok(findings)
}

/// What can be tried here: the artifact itself, else the module inside. Code for other machines is no mistake, but somebody
/// should know. What is odd about code for this one, the runtime says.
fn runnable(artifact: &Artifact) -> anyhow::Result<(Option<Vec<u8>>, Option<Finding>)> {
    let itself = || Ok((Some(artifact.bytes().to_vec()), None));
    let fits = artifact.clone().verify(&Host::detect(), &flb_compiler::ENGINES, &Trust::anyone());
    let Err(misfit @ (ArtifactError::Target { .. } | ArtifactError::Cpu { .. })) = fits else {
        return itself();
    };
    let reason = misfit.to_string();
    // What to do about it is to try the module, as here.
    let reason = reason.split("; help: ").next().unwrap_or_default();
    let warning =
        |text: &str| Some(Finding::new(Level::Warning, "code", format!("{reason}; {text}")));
    Ok(match artifact.wasm()? {
        Some(wasm) if matches!(misfit, ArtifactError::Target { .. }) => {
            (Some(compile(&wasm)?), warning("the module inside is tried, compiled for this host"))
        }
        Some(_) => return itself(),
        None => (None, warning("it is not tried, as it does not hold its module")),
    })
}

/// The function must be exported with a filter's type.
fn function(interface: &Interface, wanted: Option<&str>) -> (Finding, Option<String>) {
    let problem = |text: String| (Finding::new(Level::Problem, "function", text), None);
    let name = match wanted {
        Some(name) => name.to_owned(),
        None => match only_filter(interface) {
            Ok(name) => name,
            Err(error) => return problem(error.to_string()),
        },
    };
    let Some(export) = interface.exports.iter().find(|export| export.name == name) else {
        return problem(missing(interface, &name));
    };
    let shown = format!("{name}: {}", type_of(export));
    if let Some(abi) = Abi::of(export, interface) {
        let shown = format!("{shown}, {abi}");
        return (Finding::new(Level::Ok, "function", shown), Some(name));
    }
    problem(format!(
        "{shown}; help: a filter has the type (i32, i32, i32, i32, i32, i32) -> i32: tag, \
         tag_len, sec, nsec, record, \
         record_len, each 32 bits wide (seconds too), and it returns a pointer; or, with ABI version 2, \
         an i64: length << 32 | pointer"
    ))
}

fn missing(interface: &Interface, name: &str) -> String {
    let names: Vec<&str> = interface.exports.iter().map(|export| export.name.as_str()).collect();
    let mangled = names.iter().find(|known| is_mangled(known, name));
    let near = mangled.copied().or_else(|| did_you_mean(name, names.iter().copied()));
    let advice = match (mangled, near) {
        (Some(mangled), _) => format!(
            "'{mangled}' is '{name}' with its name mangled: add #[unsafe(no_mangle)] in Rust, \
             extern \"C\" in C++"
        ),
        (None, Some(near)) => format!("did you mean '{near}'?"),
        (None, None) => {
            "export it: #[unsafe(no_mangle)] pub extern \"C\" fn in Rust, //go:wasmexport in Go, \
             __attribute__((export_name(\"..\"))) in C"
                .to_owned()
        }
    };
    format!("'{name}' is not exported; exported functions: {}; help: {advice}", few(&names))
}

/// Whether `known` is how Rust or C++ write `name` when it keeps its module's path and types.
fn is_mangled(known: &str, name: &str) -> bool {
    (known.starts_with("_Z") || known.starts_with("_R"))
        && known.contains(&format!("{}{name}", name.len()))
}

fn imports(interface: &Interface) -> anyhow::Result<Vec<Finding>> {
    let names = interface.imports.iter();
    let names = names.map(|import| (import.module.as_str(), import.name.as_str()));
    let unknown = flb_runtime::unprovided(names)?;
    let all = interface.imports.len();
    let known = match all - unknown.len() {
        0 => "none but those below".to_owned(),
        count => format!("{count} that the agent provides"),
    };
    let known = if all == 0 { "none".to_owned() } else { known };
    let mut findings = vec![Finding::new(Level::Ok, "imports", known)];
    if !unknown.is_empty() {
        findings.push(Finding::new(
            Level::Warning,
            "imports",
            format!(
                "nobody provides {}; calling one traps; help: link it into the module",
                unknown.join(", ")
            ),
        ));
    }
    Ok(findings)
}

fn memory(artifact: &Artifact) -> anyhow::Result<Vec<Finding>> {
    let Some(wasm) = artifact.wasm()? else {
        return Ok(vec![Finding::new(
            Level::Warning,
            "memory",
            "not known: the artifact does not hold its module",
        )]);
    };
    let measures = measures(&wasm);
    let bytes =
        |pages: Option<u64>, default| pages.map_or(default, |pages| pages.saturating_mul(PAGE));
    let starts = bytes(measures.initial_pages, 0);
    let grows = bytes(measures.maximum_pages, MEMORY_LIMIT).min(MEMORY_LIMIT);
    let arguments = match artifact.metadata().interface.arguments {
        Arguments::Malloc => "its own malloc and free",
        Arguments::New => "its own __new and __unpin",
        Arguments::Pages { .. } => "pages of the host",
    };
    let text = format!(
        "starts with {}, may grow to {}; records come through {arguments}",
        size(starts),
        size(grows)
    );
    if starts <= MEMORY_LIMIT {
        return Ok(vec![Finding::new(Level::Ok, "memory", text)]);
    }
    let text =
        format!("{text}; help: the agent grants {}: lower --initial-memory", size(MEMORY_LIMIT));
    Ok(vec![Finding::new(Level::Problem, "memory", text)])
}

fn object(file: &Path, findings: &[Finding], problems: usize) -> Value {
    let each = findings
        .iter()
        .map(|one| json!({ "level": one.level.name(), "about": one.about, "text": one.text }));
    let each: Vec<_> = each.collect();
    json!({ "file": file.to_string_lossy(), "problems": problems, "findings": each })
}

fn lines(file: &Path, findings: &[Finding], problems: usize) -> String {
    let mut text = format!("{}\n", tame_line(&file.to_string_lossy()));
    for Finding { level, about, text: found } in findings {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:<8} {about:<9} {}", level.name(), tame_line(found));
    }
    text.push_str(&match problems {
        0 => "no problems\n".to_owned(),
        1 => "1 problem\n".to_owned(),
        several => format!("{several} problems\n"),
    });
    text
}
