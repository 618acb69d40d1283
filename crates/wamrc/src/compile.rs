//! The main job: reads a module, compiles it, writes the artifact whole or not at all.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use flb_artifact::{Artifact, ArtifactError, Target};
use flb_compiler::{CompileOptions, Compiler};
use indicatif::ProgressBar;
use serde_json::{Value, json};

use crate::compile_options::CompileArgs;
use crate::output::{self, Outcome, prove_writable, say, say_json, write_whole};
use crate::request::{Asked, Request, asked};
use crate::versions::PRODUCER;
use crate::{features, input};

/// Does what the command line asks the compiler for.
pub(crate) fn run(given: CompileArgs, notes: Vec<String>) -> anyhow::Result<Outcome> {
    match asked(given, notes)? {
        Asked::Show(text) => say(&text)?,
        Asked::Compile(request) => compile(&request)?,
    }
    Ok(Outcome::Done)
}

/// Compiles one module and says so in the lines that users know.
fn compile(request: &Request) -> anyhow::Result<()> {
    let lines = request.verbosity > 1 && !request.json;
    if request.verbosity > 0 {
        request.notes.iter().for_each(output::note);
    }
    let wasm = input::read(&request.input)?;
    prove_writable(&request.output)?;
    if lines {
        say(&announcement(request))?;
    }
    let started = Instant::now();
    let named = || request.input.display().to_string();
    let (bytes, remarks) = generate(request, &wasm).with_context(named)?;
    let took = started.elapsed();
    // Read before it takes the place of an older one.
    let artifact = read_back(bytes).context("the artifact just made is not sound")?;
    write_whole(&request.output, artifact.bytes())?;
    let notes = no_signals(request, &artifact);
    if request.verbosity > 0 {
        notes.iter().for_each(output::note);
    }
    if request.verbosity > 2 {
        details(&artifact, took, remarks).iter().for_each(output::aside);
    }
    if request.json {
        say_json(object(request, &artifact, &notes))?;
    } else if lines {
        let output = flb_text::tame_line(&request.output.display().to_string()).into_owned();
        say(&format!("Compile success, file {output} was generated.\n"))?;
    }
    Ok(())
}

/// Reads an artifact as whoever will load it does.
fn read_back(bytes: Vec<u8>) -> Result<Artifact, ArtifactError> {
    let artifact = Artifact::parse(bytes)?;
    for slice in &artifact.metadata().slices {
        artifact.code(slice)?;
    }
    artifact.wasm()?;
    Ok(artifact)
}

/// The artifact, and what was done otherwise than the levels say.
fn generate(request: &Request, wasm: &[u8]) -> anyhow::Result<(Vec<u8>, Vec<String>)> {
    features::refuse(wasm, &request.without)?;
    let progress = ProgressBar::new_spinner().with_message("compiling");
    progress.enable_steady_tick(Duration::from_millis(100));
    let compiler = Compiler::new(CompileOptions {
        targets: request.targets.clone(),
        levels: request.levels,
        embed_wasm: request.embed_wasm,
        producer: PRODUCER.to_owned(),
        jobs: request.jobs,
    })
    .interrupted_by(request.interruption.unwrap_or_default())
    .trapping(request.traps);
    let compiled = compiler.compile_with_notes(wasm);
    progress.finish_and_clear();
    Ok(compiled?)
}

/// For whom signals were asked for and cannot be, in whole sentences.
fn no_signals(request: &Request, artifact: &Artifact) -> Vec<String> {
    if request.interruption.is_none() {
        return Vec::new();
    }
    let slices = artifact.metadata().slices.iter();
    let reasons = slices.filter_map(|slice| Some((&slice.target, slice.no_signals.as_ref()?)));
    reasons
        .map(|(target, why)| format!("{target}: calls are ended by epochs, because {why}"))
        .collect()
}

fn announcement(request: &Request) -> String {
    let mut text = String::from("Create AoT compiler with:\n");
    for target in &request.targets {
        // Writing to a String cannot fail, here and below.
        let _ = write!(
            text,
            "  target:        {}\n  target cpu:    {}\n  target triple: {}\n  cpu features:  {}\n",
            target.name,
            target.cpu_name,
            target.slice_name(),
            switched_on(target),
        );
    }
    let _ = write!(
        text,
        "  opt level:     {}\n  size level:    {}\n  output format: AoT file\n",
        request.levels.opt_level, request.levels.size_level,
    );
    text
}

fn switched_on(target: &Target) -> String {
    let features: Vec<String> = target.features.iter().map(|name| format!("+{name}")).collect();
    features.join(",")
}

/// What higher verbosities say.
fn details(artifact: &Artifact, took: Duration, remarks: Vec<String>) -> Vec<String> {
    let mut lines = vec![format!("compiled in {} ms", took.as_millis())];
    lines.extend(remarks);
    for slice in &artifact.metadata().slices {
        lines.push(format!(
            "{}: {} bytes of code image, {} in the file",
            slice.target, slice.code.size, slice.code.length
        ));
        let ended = |why| format!("{}: calls are ended by epochs, because {why}", slice.target);
        lines.extend(slice.no_signals.as_ref().map(ended));
    }
    lines
}

/// What `--json` prints.
fn object(request: &Request, artifact: &Artifact, more: &[String]) -> Value {
    let metadata = artifact.metadata();
    let slices = metadata.slices.iter().map(|slice| {
        json!({
            "target": slice.target,
            "cpu": slice.cpu,
            "features": slice.features,
            "interruption": slice.engine.interruption.name(),
            "traps": slice.engine.traps().name(),
            "size": slice.code.size,
            "stored": slice.code.length,
        })
    });
    json!({
        "output": request.output.to_string_lossy(),
        "size": artifact.bytes().len(),
        "digest": artifact.digest().to_string(),
        "source": {
            "path": request.input.to_string_lossy(),
            "sha256": metadata.source.sha256.to_string(),
            "size": metadata.source.size,
            "embedded": metadata.source.embedded.is_some(),
        },
        "opt_level": request.levels.opt_level,
        "size_level": request.levels.size_level,
        "targets": slices.collect::<Vec<_>>(),
        "notes": request.notes.iter().chain(more).collect::<Vec<_>>(),
    })
}
