//! Shows an artifact's machine code, function by function.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use capstone::Capstone;
use capstone::arch::{
    BuildsCapstone as _, BuildsCapstoneExtraMode as _, BuildsCapstoneSyntax as _, arm64, riscv,
    sysz, x86,
};
use clap::Args;
use flb_artifact::{Architecture, Slice};
use flb_engine::image::{Function, Image};
use flb_text::{did_you_mean, tame_line};

use crate::input;
use crate::output::{Outcome, note, say};

/// Show an artifact's machine code, function by function
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc disasm [options] FILE.aot [FUNCTION]")]
pub(crate) struct DisasmArgs {
    /// Show the code for this target (default: all)
    #[arg(long, value_name = "TRIPLE", allow_hyphen_values = true)]
    target: Option<String>,
    #[arg(hide = true)]
    words: Vec<PathBuf>,
}

/// The command `disasm`.
pub(crate) fn run(args: &DisasmArgs) -> anyhow::Result<Outcome> {
    let (file, wanted) = match args.words.as_slice() {
        [file, function] => (file.as_path(), Some(function.to_string_lossy())),
        one => (input::only_file(one)?, None),
    };
    let artifact = input::artifact(file)?;
    let wanted_target = |slice: &&Slice| {
        args.target.as_ref().is_none_or(|target| slice.target.starts_with(target.as_str()))
    };
    let slices: Vec<&Slice> = artifact.metadata().slices.iter().filter(wanted_target).collect();
    if slices.is_empty() {
        let built: Vec<&str> =
            artifact.metadata().slices.iter().map(|slice| slice.target.as_str()).collect();
        anyhow::bail!("no code for that target; help: there is code for {}", built.join(", "));
    }
    let only = slices.len() == 1;
    for slice in slices {
        if !only && Architecture::of_target(&slice.target).is_some_and(Architecture::is_portable) {
            note(format_args!("the code for {} is portable: nothing to disassemble", slice.target));
            continue;
        }
        let code = artifact.code(slice)?;
        let text = disassemble(slice, &Image::read(slice, &code)?, wanted.as_deref())
            .with_context(|| file.display().to_string())?;
        say(&text)?;
    }
    Ok(Outcome::Done)
}

fn disassemble(slice: &Slice, image: &Image<'_>, wanted: Option<&str>) -> anyhow::Result<String> {
    let disassembler = disassembler(slice)?;
    let Some(functions) = &image.functions else {
        anyhow::bail!(
            "its tables of functions cannot be read; it was made by {} {}, this program knows {} {}; \
             help: use the flb-wamrc that made it",
            slice.engine.name,
            slice.engine.version,
            flb_compiler::ENGINES[0].0,
            flb_compiler::ENGINES[0].1
        );
    };
    let is_wanted = |function: &&Function| wanted.is_none_or(|wanted| function.name == wanted);
    let chosen: Vec<&Function> = functions.iter().filter(is_wanted).collect();
    if let (Some(wanted), true) = (wanted, chosen.is_empty()) {
        let names = functions.iter().map(|function| function.name.as_str());
        let help = match did_you_mean(wanted, names) {
            Some(near) => format!("did you mean '{near}'?"),
            None => "leave the name out to see them all".to_owned(),
        };
        anyhow::bail!("there is no function '{wanted}'; help: {help}");
    }
    let mut text = String::new();
    for function in chosen {
        add(&mut text, slice, function, image.code(function), &disassembler)?;
    }
    Ok(text)
}

fn disassembler(slice: &Slice) -> anyhow::Result<Capstone> {
    let architecture = Architecture::of_target(&slice.target);
    let builder = Capstone::new();
    let built = match architecture {
        Some(Architecture::X86_64) => {
            builder.x86().mode(x86::ArchMode::Mode64).syntax(x86::ArchSyntax::Intel).build()
        }
        Some(Architecture::Aarch64) => builder.arm64().mode(arm64::ArchMode::Arm).build(),
        Some(Architecture::Riscv64) => {
            let compressed = [riscv::ArchExtraMode::RiscVC];
            builder
                .riscv()
                .mode(riscv::ArchMode::RiscV64)
                .extra_mode(compressed.into_iter())
                .build()
        }
        Some(Architecture::S390x) => builder.sysz().mode(sysz::ArchMode::Default).build(),
        _ => anyhow::bail!(
            "the code for {} is portable: it is WebAssembly for an interpreter, not code for a machine; \
             help: choose native code with \
             --target",
            slice.target
        ),
    };
    let mut disassembler = built.map_err(|error| anyhow::anyhow!("no disassembler: {error}"))?;
    // Constants stand between instructions: they are shown as bytes instead of ending the listing.
    let _ = disassembler.set_skipdata(true);
    Ok(disassembler)
}

fn add(
    text: &mut String,
    slice: &Slice,
    function: &Function,
    code: &[u8],
    disassembler: &Capstone,
) -> anyhow::Result<()> {
    // Writing to a String cannot fail, here and below.
    let name = tame_line(&function.name);
    let _ = writeln!(text, "{name} ({}, {} bytes)", slice.target, code.len());
    let lines = disassembler
        .disasm_all(code, function.start as u64)
        .map_err(|error| anyhow::anyhow!("{}: {error}", function.name))?;
    for line in lines.iter() {
        let bytes: Vec<String> = line.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let (name, operands) = (line.mnemonic().unwrap_or("?"), line.op_str().unwrap_or(""));
        let shown = format!("{:8x}:  {:<30}  {name} {operands}", line.address(), bytes.join(" "));
        let _ = writeln!(text, "{}", shown.trim_end());
    }
    text.push('\n');
    Ok(())
}
