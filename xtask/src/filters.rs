//! `cargo xtask filters [--check]`: the example modules, made anew from their sources.
//!
//! They are committed, so that nobody needs a compiler for WebAssembly to try the project. This
//! chore installs the compilers that it lacks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::run::{command, first_line, metadata, root, run as run_command, target_dir, works};
use crate::toolchains::{self, install_c, library_source};

const FOLDER: &str = "examples/filters";
/// The filters in C and in Zig, a file each, and those in Rust, a crate each: in a folder of their name.
const C: &[&str] = &["c-enrich", "c-sha256"];
/// Filters in C that import what they call, a file each.
const PLAIN_C: &[&str] = &["c-plain"];
const RUST: &[&str] = &["rust-enrich", "rust-redact", "rust-sha256"];
const ZIG: &[&str] = &["zig-enrich"];

/// A module as it was made here.
struct Module {
    name: String,
    bytes: Vec<u8>,
    /// By which compiler: another one makes other bytes.
    by: String,
    /// Whether the same compiler makes the same bytes everywhere.
    reproducible: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only compare
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let dir = target_dir()?.join("filters");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;

    let mut differ = Vec::new();
    install_c()?;
    let whole = "-mexec-model=reactor -O2 -Wl,--export=malloc -Wl,--export=free";
    let plain = "-O3 -nostdlib -Wl,--no-entry -Wl,--allow-undefined";
    let in_c = C.iter().map(|name| c(&dir, name, whole));
    let in_c = in_c.chain(PLAIN_C.iter().map(|name| c(&dir, name, plain)));
    let in_rust = RUST.iter().map(|name| rust(&dir, name));
    let in_zig = ZIG.iter().map(|name| zig(&dir, name));
    for module in in_c.chain(in_rust).chain(in_zig) {
        let module = module?;
        check_paths(&module)?;
        let path = root().join(FOLDER).join(&module.name);
        let same = fs::read(&path).is_ok_and(|committed| committed == module.bytes);
        let Module { name, bytes, by, reproducible } = module;
        let size = bytes.len();
        match (same, args.check) {
            (true, _) => println!("== {name}: {size} bytes, as committed"),
            (false, false) => {
                fs::write(&path, bytes).with_context(|| format!("cannot write {name}"))?;
                println!("== {name}: {size} bytes by {by}, replaced");
            }
            (false, true) if !reproducible => {
                println!("== {name}: {size} bytes by {by}: it builds, but cannot be compared");
            }
            (false, true) => {
                println!("== {name}: {size} bytes by {by}, DIFFERENT from the committed one");
                differ.push(name);
            }
        }
    }
    ensure!(
        differ.is_empty(),
        "not what their sources make with the compilers above: {}; if the sources are right, \
         replace them by `cargo xtask filters`",
        differ.join(", ")
    );
    Ok(())
}

/// A module says where its panics are, but not on whose machine it was made.
fn check_paths(module: &Module) -> Result<()> {
    let text = String::from_utf8_lossy(&module.bytes);
    let root = root().to_string_lossy();
    ensure!(!text.contains(&*root), "{} names {root}", module.name);
    ensure!(!text.contains("registry/src"), "{} names the registry's folder", module.name);
    Ok(())
}

/// A filter in C.
fn c(dir: &Path, name: &str, flags: &str) -> Result<Module> {
    let out = dir.join(name).with_extension("wasm");
    let line =
        format!("clang --target=wasm32-wasi {flags} -Wall -Wextra -Werror -Wl,--strip-all -o");
    let mut clang = command(&line);
    clang.arg(&out).arg(format!("{name}.c")).current_dir(root().join(FOLDER).join(name));
    run_command(&mut clang)?;
    module(name, &out, first_line(&mut command("clang --version"))?, true)
}

/// A filter in Rust; its own tests are run as well, natively.
fn rust(dir: &Path, name: &str) -> Result<Module> {
    let manifest = format!("--locked --manifest-path {FOLDER}/{name}/Cargo.toml --target-dir");
    run_command(command(&format!("cargo test --quiet {manifest}")).arg(dir))?;

    let mut cargo =
        command(&format!("cargo build --release --target wasm32-unknown-unknown {manifest}"));
    cargo.arg(dir);
    let mut renamed = renamed_paths(name)?;
    let mut by = first_line(&mut command("rustc --version"))?;
    let ready_made = works("rustup target add wasm32-unknown-unknown");
    if !ready_made {
        let source = library_source()?;
        cargo
            .arg("-Zbuild-std=std,panic_abort")
            .env("RUSTC_BOOTSTRAP", "1")
            .env("__CARGO_TESTS_ONLY_SRC_ROOT", &source);
        renamed.push((source, "/rustc/library".into()));
        by += " with its library built here";
    }
    let flags: Vec<_> = renamed
        .iter()
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .collect();
    run_command(cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")))?;

    let file = format!("wasm32-unknown-unknown/release/{}.wasm", name.replace('-', "_"));
    module(name, &dir.join(file), by, ready_made)
}

/// The folders of the filter and of its dependencies, and what a module shall call them.
fn renamed_paths(name: &str) -> Result<Vec<(PathBuf, String)>> {
    let metadata = metadata(&format!("--locked --manifest-path {FOLDER}/{name}/Cargo.toml"))?;
    let mut renamed = Vec::new();
    for package in metadata["packages"].as_array().context("cargo names no packages")? {
        let manifest = package["manifest_path"].as_str().context("a package has no manifest")?;
        let folder = Path::new(manifest).parent().context("a manifest lies in a folder")?;
        let rename = if package["source"].is_null() {
            (folder.to_owned(), format!("/{name}"))
        } else {
            (folder.parent().unwrap_or(folder).to_owned(), "/rust/deps".to_owned())
        };
        if !renamed.contains(&rename) {
            renamed.push(rename);
        }
    }
    Ok(renamed)
}

/// A filter in Zig; its own tests are run as well, natively.
fn zig(dir: &Path, name: &str) -> Result<Module> {
    let source = root().join(FOLDER).join(name).join(format!("{name}.zig"));
    run_command(toolchains::zig()?.arg("test").arg(&source))?;

    let out = dir.join(name).with_extension("wasm");
    let mut build = toolchains::zig()?;
    build.args("build-exe -target wasm32-freestanding -fno-entry -rdynamic".split(' '));
    build.args(["-O", "ReleaseFast", "-fstrip"]).arg(&source);
    run_command(build.arg(format!("-femit-bin={}", out.display())))?;
    let by = format!("zig {}", first_line(toolchains::zig()?.arg("version"))?);
    module(name, &out, by, true)
}

fn module(name: &str, path: &Path, by: String, reproducible: bool) -> Result<Module> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Module { name: format!("{name}.wasm"), bytes, by, reproducible })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_may_not_name_this_machine() {
        let module = |text: String| Module {
            name: "x.wasm".to_owned(),
            bytes: text.into(),
            by: "hand".into(),
            reproducible: true,
        };
        check_paths(&module("/rust/deps/serde_json/src/de.rs".into())).unwrap();
        check_paths(&module(format!("..{}/examples", root().display()))).unwrap_err();
        check_paths(&module("~/.cargo/registry/src/x".into())).unwrap_err();
    }
}
