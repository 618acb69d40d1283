//! Checks an artifact: whole, by whom, and, if wished, that its code is what the compiler makes of its module.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use flb_artifact::{Architecture, Artifact, Interruption, Sha256Hex, Slice, Target, Traps, Trust};
use flb_compiler::{CompileOptions, Compiler, ENGINES};
use flb_text::tame_line;

use crate::output::{Outcome, say};
use crate::{input, keys};

/// Where the header holds a signature: it is no part of what is rebuilt.
const SIGNATURE: Range<usize> = 64..160;

/// Check that an artifact is whole, and by whom and from what it was made
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc verify [options] FILE.aot")]
pub(crate) struct VerifyArgs {
    /// Require a signature by this key; may be given several times
    #[arg(long = "key", value_name = "FILE.pub", allow_hyphen_values = true)]
    keys: Vec<PathBuf>,
    /// Compile the module inside again, as it is recorded, and compare byte for byte
    #[arg(long)]
    rebuild: bool,
    /// Rebuild from this file, for an artifact without its module inside
    #[arg(long, value_name = "FILE.wasm", allow_hyphen_values = true)]
    wasm: Option<PathBuf>,
    #[arg(hide = true)]
    files: Vec<PathBuf>,
}

impl VerifyArgs {
    fn rebuilds(&self) -> bool {
        self.rebuild || self.wasm.is_some()
    }
}

/// The command `verify`.
pub(crate) fn run(args: &VerifyArgs) -> anyhow::Result<Outcome> {
    let file = input::only_file(&args.files)?;
    let artifact = input::artifact(file)?;
    let named = || file.display().to_string();
    let mut text = whole(&artifact).with_context(named)?;
    text.push_str(&signature(&artifact, args).with_context(named)?);
    if args.rebuilds() {
        text.push_str(&rebuild(&artifact, args.wasm.as_deref()).with_context(named)?);
    }
    let (shown, not_shown) = conclusion(args);
    say(&format!("{}: {shown}\n{text}{not_shown}", tame_line(&file.to_string_lossy())))?;
    Ok(Outcome::Done)
}

/// What all this has shown, and what nobody asked for.
fn conclusion(args: &VerifyArgs) -> (String, String) {
    let mut shown = vec!["whole"];
    let mut not_shown = Vec::new();
    if args.keys.is_empty() {
        not_shown.push("who made it (--key FILE.pub)");
    } else {
        shown.push("signed by one of the given keys");
    }
    if args.rebuilds() {
        shown.push("its code is what this compiler makes of its module");
    } else {
        not_shown.push("that its code comes from its module (--rebuild)");
    }
    let line = match not_shown.as_slice() {
        [] => String::new(),
        parts => format!("not shown:  {}\n", parts.join(", nor ")),
    };
    (shown.join(", "), line)
}

/// Parsing checked every byte as stored; this checks what unpacks from them.
fn whole(artifact: &Artifact) -> anyhow::Result<String> {
    let slices = &artifact.metadata().slices;
    for slice in slices {
        artifact.code(slice)?;
    }
    let held = if artifact.wasm()?.is_some() { "with" } else { "without" };
    Ok(format!(
        "checksums:  all hold ({} bytes, code for {}, {held} the module inside)\ndigest:     {}\n",
        artifact.bytes().len(),
        targets(slices),
        artifact.digest(),
    ))
}

fn targets(slices: &[Slice]) -> String {
    let names: Vec<&str> = slices.iter().map(|slice| slice.target.as_str()).collect();
    names.join(", ")
}

fn signature(artifact: &Artifact, args: &VerifyArgs) -> anyhow::Result<String> {
    let signer = artifact.signer();
    let release = match &artifact.metadata().release {
        Some(release) if signer.is_some() => {
            format!("release:    {release}, by the signer's word\n")
        }
        Some(release) => format!("release:    {release}, by nobody's word\n"),
        None => String::new(),
    };
    let shown = match signer {
        Some(key) => format!("{release}signature:  holds, by {key}"),
        None => format!("{release}signature:  none"),
    };
    if args.keys.is_empty() {
        let unknown = if signer.is_some() { ", whoever that is" } else { "" };
        return Ok(format!("{shown}{unknown}\n"));
    }
    let trusted: Vec<_> =
        args.keys.iter().map(|path| keys::public(path)).collect::<Result<_, _>>()?;
    match (Trust::only(trusted).accepts(signer), signer) {
        (true, _) => Ok(shown + ", which is one of the given keys\n"),
        (false, Some(key)) => anyhow::bail!("signed by {key}, which is none of the given keys"),
        (false, None) => {
            anyhow::bail!("not signed; help: sign it with flb-wamrc sign --key FILE x.aot")
        }
    }
}

fn rebuild(artifact: &Artifact, path: Option<&Path>) -> anyhow::Result<String> {
    let wasm = source(artifact, path)?;
    let again = Artifact::parse(compile(artifact, &wasm)?)?;
    let again = again.released(artifact.metadata().release.clone())?;
    let mut text = String::new();
    let slices = artifact.metadata().slices.iter().zip(&again.metadata().slices);
    for (old, new) in slices {
        anyhow::ensure!(
            artifact.code(old)? == again.code(new)?,
            "the code for {} is not what this compiler makes of the module; help: don't run it",
            old.target
        );
        anyhow::ensure!(
            old.engine == new.engine && old.no_signals == new.no_signals,
            "what the artifact says of how its code for {} is to be run is not so; help: don't run it",
            old.target
        );
        // Writing to a String cannot fail.
        let _ = writeln!(text, "rebuilt:    {}: the same {} bytes", old.target, old.code.size);
    }
    anyhow::ensure!(
        artifact.metadata().interface == again.metadata().interface,
        "what the artifact says of its module's interface is not so; help: don't run it"
    );
    anyhow::ensure!(
        artifact.metadata().sources == again.metadata().sources,
        "what the artifact says of its module's sources is not so; help: don't run it"
    );
    text.push_str(if unsigned(artifact) == unsigned(&again) {
        "rebuilt:    the whole file is the same\n"
    } else {
        "rebuilt:    the file is packed otherwise, with the same in it\n"
    });
    Ok(text)
}

/// The module, from the artifact or from the file that is said to be its.
fn source<'a>(artifact: &'a Artifact, path: Option<&Path>) -> anyhow::Result<Cow<'a, [u8]>> {
    let Some(path) = path else {
        return artifact
            .wasm()?
            .context("the artifact does not hold its module; help: give it with --wasm FILE.wasm");
    };
    let wasm = input::read(path)?;
    let expected = artifact.metadata().source.sha256;
    let found = Sha256Hex::of(&[&wasm]);
    anyhow::ensure!(
        found == expected,
        "the artifact was compiled from another module: its SHA-256 is {expected}, that of {} is \
         {found}",
        path.display()
    );
    Ok(wasm.into())
}

fn compile(artifact: &Artifact, wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    let metadata = artifact.metadata();
    let first = &metadata.slices[0];
    for slice in &metadata.slices {
        let engine = &slice.engine;
        anyhow::ensure!(
            ENGINES.contains(&(engine.name.as_str(), engine.version.as_str())),
            "made by engine {} {}, this program has {}; help: verify it with the flb-wamrc \
             that made it",
            engine.name,
            engine.version,
            ENGINES.map(|(name, version)| format!("{name} {version}")).join(" and ")
        );
        anyhow::ensure!(
            slice.options == first.options,
            "its slices were compiled with different levels"
        );
    }
    let compiler = Compiler::new(CompileOptions {
        targets: metadata.slices.iter().map(target).collect::<anyhow::Result<_>>()?,
        levels: first.options,
        embed_wasm: metadata.source.embedded.is_some(),
        producer: metadata.producer.clone(),
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
    })
    .interrupted_by(asked(&metadata.slices))
    .trapping(traps(&metadata.slices));
    Ok(compiler.compile(wasm)?)
}

/// The interruption that was asked for: signals, where one slice has them or says why it has not.
fn asked(slices: &[Slice]) -> Interruption {
    let is_signal = |slice: &Slice| {
        slice.engine.interruption == Interruption::Signal || slice.no_signals.is_some()
    };
    if slices.iter().any(is_signal) { Interruption::Signal } else { slices[0].engine.interruption }
}

/// The traps that were asked for. Portable code has explicit ones in any case.
fn traps(slices: &[Slice]) -> Traps {
    let is_native = |slice: &&Slice| {
        Architecture::of_target(&slice.target).is_some_and(|known| !known.is_portable())
    };
    slices.iter().find(is_native).map_or(Traps::Signal, |slice| slice.engine.traps())
}

/// What a slice was compiled for, as it is recorded.
fn target(slice: &Slice) -> anyhow::Result<Target> {
    let target = Target::parse(&slice.target, None, None)?;
    Ok(Target { cpu_name: slice.cpu.clone(), features: slice.features.clone(), ..target })
}

fn unsigned(artifact: &Artifact) -> Vec<u8> {
    let mut bytes = artifact.bytes().to_vec();
    if let Some(area) = bytes.get_mut(SIGNATURE) {
        area.fill(0);
    }
    bytes
}
