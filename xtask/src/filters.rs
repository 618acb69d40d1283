//! `cargo xtask filters [--check]`: the example modules, made anew from their sources.
//!
//! They are committed, so that nobody needs a compiler for WebAssembly to try the project. This
//! chore installs what it lacks: clang and wasi-libc by apt, Rust's library for WebAssembly by
//! rustup or, where rustup cannot have it, built from Debian's copy of its source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use sha2::{Digest, Sha256};

use crate::run::{command, metadata, output, root, run as run_command, target_dir, works};

const FOLDER: &str = "examples/filters";
/// The filters in C, a file each, and those in Rust, a crate each: in a folder of their name.
const C: &[&str] = &["c-enrich", "c-sha256"];
const RUST: &[&str] = &["rust-enrich", "rust-redact", "rust-sha256"];

/// What Debian calls the compiler, the linker and the two libraries that C filters need.
const C_PACKAGES: &str = "clang lld wasi-libc libclang-rt-dev-wasm32";

/// The source of Rust's library: of which release, in which suite, and the digest of the package.
const RUST_RELEASE: &str = "1.95.0";
const RUST_SUITE: &str = "trixie-backports";
const RUST_PACKAGE: &str = "rust-src=1.95.0+dfsg1-2~bpo13+1";
const RUST_DIGEST: &str = "7b76db5b880a77f9e52975d2baa6209d2f76d2c9c2789515c3088cb960e2c83b";

/// A module as it was made here.
struct Module {
    name: String,
    bytes: Vec<u8>,
    /// By which compiler: another one makes other bytes.
    by: String,
    /// Whether the same compiler makes the same bytes everywhere.
    reproducible: bool,
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    let check = match args {
        [] => false,
        [word] if word == "--check" => true,
        [word, ..] => bail!("unknown option '{word}': the only one is --check"),
    };
    let dir = target_dir()?.join("filters");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;

    let mut differ = Vec::new();
    install_c()?;
    let in_c = C.iter().map(|name| c(&dir, name));
    let in_rust = RUST.iter().map(|name| rust(&dir, name));
    for module in in_c.chain(in_rust) {
        let module = module?;
        check_paths(&module)?;
        let path = root().join(FOLDER).join(&module.name);
        let same = fs::read(&path).is_ok_and(|committed| committed == module.bytes);
        let Module { name, bytes, by, reproducible } = module;
        let size = bytes.len();
        match (same, check) {
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
fn c(dir: &Path, name: &str) -> Result<Module> {
    let out = dir.join(name).with_extension("wasm");
    let mut clang = command(
        "clang --target=wasm32-wasi -mexec-model=reactor -O2 -Wall -Wextra -Werror \
         -Wl,--strip-all -Wl,--export=malloc -Wl,--export=free -o",
    );
    clang.arg(&out).arg(format!("{name}.c")).current_dir(root().join(FOLDER).join(name));
    run_command(&mut clang)?;
    module(name, &out, first_line(&mut command("clang --version"))?, true)
}

pub(crate) fn install_c() -> Result<()> {
    let library = Path::new("/usr/lib/wasm32-wasi/libc.a");
    if works("clang --version") && works("wasm-ld --version") && library.exists() {
        return Ok(());
    }
    println!("== installing {C_PACKAGES}");
    let install = format!("apt-get install -y --no-install-recommends {C_PACKAGES}");
    run_command(&mut command(&install))
        .with_context(|| format!("C filters need {C_PACKAGES}: install them, or run this as root"))
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
        let source = library_source(dir)?;
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

/// The folder with the source of Rust's library, from Debian; apt's own lists stay as they are.
pub(crate) fn library_source(dir: &Path) -> Result<PathBuf> {
    let version = first_line(&mut command("rustc --version"))?;
    ensure!(
        version.contains(RUST_RELEASE),
        "rustup has no such library for {version}, and the source of the library is known for \
         {RUST_RELEASE} only"
    );
    let dir = dir.join("rust-src");
    let library = dir.join(format!("usr/src/rustc-{RUST_RELEASE}/library"));
    if library.join("std/Cargo.toml").exists() {
        return Ok(library);
    }
    println!("== rustup does not have the library: fetching {RUST_PACKAGE} from {RUST_SUITE}");
    for folder in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(dir.join(folder)).context("cannot create a folder for apt")?;
    }
    // Trusted without a signature, because the digest below says which package it must be.
    let list = format!("deb [trusted=yes] {} {RUST_SUITE} main\n", debian_mirror()?);
    fs::write(dir.join("sources.list"), list).context("cannot write a list for apt")?;
    run_command(apt(&dir).arg("update"))?;
    run_command(apt(&dir).args(["download", RUST_PACKAGE]))?;
    unpack(&dir)?;
    ensure!(library.exists(), "the package holds no {}", library.display());
    Ok(library)
}

/// `apt-get` with folders of its own, working in this one.
fn apt(dir: &Path) -> Command {
    let mut apt = command("apt-get -o Dir::Etc::sourceparts=- -o APT::Sandbox::User=root");
    let places = [
        ("Dir::Etc::sourcelist", "sources.list"),
        ("Dir::State::lists", "lists"),
        ("Dir::Cache", "cache"),
    ];
    for (option, place) in places {
        apt.arg("-o").arg(format!("{option}={}", dir.join(place).display()));
    }
    apt.current_dir(dir);
    apt
}

/// Where this machine gets Debian's packages from.
fn debian_mirror() -> Result<String> {
    let file = "/etc/apt/sources.list.d/debian.sources";
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
    let mirror =
        text.lines().find_map(|line| line.strip_prefix("URIs:")?.split_whitespace().next());
    Ok(mirror.with_context(|| format!("{file} names no mirror"))?.to_owned())
}

/// Unpacks the one package in the folder, if it is the one that we know.
fn unpack(dir: &Path) -> Result<()> {
    let entries = fs::read_dir(dir).context("cannot read apt's folder")?;
    let deb = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .context("apt-get has brought no package")?;
    let bytes = fs::read(&deb).with_context(|| format!("cannot read {}", deb.display()))?;
    let digest = hex(&Sha256::digest(&bytes));
    ensure!(
        digest == RUST_DIGEST,
        "{} is not what we know: its SHA-256 is {digest}",
        deb.display()
    );
    run_command(command("dpkg-deb --extract").arg(&deb).arg(dir))?;
    fs::remove_file(&deb).with_context(|| format!("cannot remove {}", deb.display()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn module(name: &str, path: &Path, by: String, reproducible: bool) -> Result<Module> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Module { name: format!("{name}.wasm"), bytes, by, reproducible })
}

fn first_line(command: &mut Command) -> Result<String> {
    Ok(output(command)?.lines().next().unwrap_or_default().to_owned())
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

    #[test]
    fn digests_are_written_in_hex() {
        assert_eq!(hex(&Sha256::digest(b""))[..8], *"e3b0c442");
        assert_eq!(RUST_DIGEST.len(), 64);
    }

    #[test]
    fn an_unknown_option_is_refused() {
        let error = run(&["--chek".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("--chek"));
    }
}
