//! The main job: reads a module, compiles it, writes the artifact whole or not at all.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use flb_compiler::{CompileOptions, Compiler};
use indicatif::ProgressBar;

use crate::options::Request;

/// Compiles one module and says so in the lines that users know.
pub(crate) fn run(request: &Request) -> anyhow::Result<()> {
    for note in &request.notes {
        eprintln!("note: {note}");
    }
    let wasm = std::fs::read(&request.input).with_context(|| {
        format!("Read file to buffer failed: open file {} failed", request.input.display())
    })?;
    if request.verbosity > 0 {
        print!("{}", announcement(request));
    }
    let progress = ProgressBar::new_spinner().with_message("compiling");
    progress.enable_steady_tick(Duration::from_millis(100));
    let compiler = Compiler::new(CompileOptions {
        targets: vec![request.target.clone()],
        levels: request.levels,
        embed_wasm: true,
        producer: concat!("flb-wamrc ", env!("CARGO_PKG_VERSION")).to_owned(),
    });
    let artifact = compiler.compile(&wasm).with_context(|| request.input.display().to_string());
    progress.finish_and_clear();
    write(&request.output, &artifact?)?;
    if request.verbosity > 0 {
        println!("Compile success, file {} was generated.", request.output.display());
    }
    Ok(())
}

fn announcement(request: &Request) -> String {
    let target = &request.target;
    let features: Vec<String> = target.features.iter().map(|name| format!("+{name}")).collect();
    format!(
        "Create AoT compiler with:\n  target:        {}\n  target cpu:    {}\n  target triple: {}\n  cpu features:  {}\n  \
         opt level:     {}\n  size level:    {}\n  output format: AoT file\n",
        target.name,
        target.cpu_name,
        target.triple,
        features.join(","),
        request.levels.opt_level,
        request.levels.size_level,
    )
}

/// Writes beside the output and renames, so that nobody ever sees half an artifact.
fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let failed = || format!("open or create aot file failed: {}", path.display());
    anyhow::ensure!(
        !path.is_dir(),
        "{}: it is a directory; help: give a file name to -o",
        failed()
    );
    let temporary = temporary(path);
    let written = std::fs::File::create(&temporary)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        // The reason for the failure is worth more than that of the clean-up.
        let _ = std::fs::remove_file(&temporary);
    }
    written.with_context(failed)
}

/// A name in the same directory that no other run uses.
fn temporary(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}", std::process::id()));
    path.with_file_name(name)
}
