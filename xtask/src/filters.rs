//! `cargo xtask filters [--check] [c|rust|zig|as|go ...]`: the modules that are kept beside their sources, made anew: the examples, and the
//! conformance suite of the SDKs.
//!
//! They are committed, so that nobody needs a compiler for WebAssembly to try the project, but for Go's, which are large and go to the
//! target folder. This chore installs the compilers that it lacks. Without a language it takes all but Go.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::builder::PossibleValuesParser;

use crate::run::{command, first_line, metadata, root, run as run_command, target_dir, works};
use crate::toolchains::{self, RUST_RELEASE, install_c, library_source};

/// A module: where it is kept, and what it is made from. The module has its folder's name.
struct Filter {
    folder: &'static str,
    name: &'static str,
    language: &'static Language,
}

/// How modules are made in a language.
struct Language {
    word: &'static str,
    /// Brings the compiler.
    compiler: fn() -> Result<()>,
    make: fn(&Path, &Filter) -> Result<Made>,
}

/// What came of it: the file, by which compiler, because another one makes other bytes, and whether it is the one that made the file
/// that is kept, and makes the same bytes everywhere.
struct Made {
    path: PathBuf,
    by: String,
    reproducible: bool,
}

const WASI_C: Language = Language { word: "c", compiler: install_c, make: wasi_c };
const PLAIN_C: Language = Language { word: "c", compiler: install_c, make: plain_c };
const C: Language = Language { word: "c", compiler: install_c, make: c };
const RUST: Language = Language { word: "rust", compiler: library, make: rust };
const ZIG: Language = Language { word: "zig", compiler: || toolchains::zig().map(drop), make: zig };
const ZIG_ALONE: Language =
    Language { word: "zig", compiler: || toolchains::zig().map(drop), make: zig_alone };
const ASSEMBLYSCRIPT: Language = Language {
    word: "as",
    compiler: || toolchains::assemblyscript().map(drop),
    make: assemblyscript,
};
const GO: Language = Language { word: "go", compiler: || toolchains::go().map(drop), make: go };

/// The clang that made the modules that are kept. Another one makes other bytes, as does another Rust.
const CLANG: &str = "clang version 14.";

const WORDS: [&str; 5] = ["c", "rust", "zig", "as", "go"];

const EXAMPLES: &str = "examples/filters";
const SDK_EXAMPLES: &str = "examples/sdk";
const CONFORMANCE: &str = "sdk/conformance";

const FILTERS: &[Filter] = &[
    Filter { folder: EXAMPLES, name: "c-enrich", language: &WASI_C },
    Filter { folder: EXAMPLES, name: "c-sha256", language: &WASI_C },
    Filter { folder: EXAMPLES, name: "c-plain", language: &PLAIN_C },
    Filter { folder: EXAMPLES, name: "rust-enrich", language: &RUST },
    Filter { folder: EXAMPLES, name: "rust-redact", language: &RUST },
    Filter { folder: EXAMPLES, name: "rust-sha256", language: &RUST },
    Filter { folder: EXAMPLES, name: "zig-enrich", language: &ZIG_ALONE },
    Filter { folder: SDK_EXAMPLES, name: "emit-rust", language: &RUST },
    Filter { folder: SDK_EXAMPLES, name: "enrich-as", language: &ASSEMBLYSCRIPT },
    Filter { folder: SDK_EXAMPLES, name: "enrich-c", language: &C },
    Filter { folder: SDK_EXAMPLES, name: "enrich-go", language: &GO },
    Filter { folder: SDK_EXAMPLES, name: "enrich-rust", language: &RUST },
    Filter { folder: SDK_EXAMPLES, name: "enrich-zig", language: &ZIG },
    Filter { folder: SDK_EXAMPLES, name: "redact-rust", language: &RUST },
    Filter { folder: SDK_EXAMPLES, name: "sha256-c", language: &C },
    Filter { folder: SDK_EXAMPLES, name: "sha256-rust", language: &RUST },
    Filter { folder: SDK_EXAMPLES, name: "wrap-c", language: &C },
    Filter { folder: CONFORMANCE, name: "c", language: &C },
    Filter { folder: CONFORMANCE, name: "rust", language: &RUST },
    Filter { folder: CONFORMANCE, name: "zig", language: &ZIG },
    Filter { folder: CONFORMANCE, name: "as", language: &ASSEMBLYSCRIPT },
    Filter { folder: CONFORMANCE, name: "go", language: &GO },
];

impl Filter {
    /// The folder of its source.
    fn source(&self) -> PathBuf {
        root().join(self.folder).join(self.name)
    }

    /// Where the module is kept.
    fn kept(&self) -> PathBuf {
        self.source().with_extension("wasm")
    }

    /// Where it is made: names come twice.
    fn made(&self, dir: &Path) -> PathBuf {
        dir.join(self.folder.replace('/', "-")).join(self.name).with_extension("wasm")
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only compare
    #[arg(long)]
    check: bool,

    /// Skip a module rather than fail for want of its compiler
    #[arg(long)]
    if_possible: bool,

    /// The languages to build in; all but Go's, unless they are named
    #[arg(value_name = "LANGUAGE", value_parser = PossibleValuesParser::new(WORDS))]
    languages: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let is_meant = |language: &Language| match &*args.languages {
        [] => language.word != GO.word,
        words => words.iter().any(|word| word == language.word),
    };
    let dir = target_dir()?.join("filters");
    let mut differ = Vec::new();
    for filter in FILTERS.iter().filter(|filter| is_meant(filter.language)) {
        let to = filter.made(&dir);
        let folder = to.parent().context("a module lies in a folder")?;
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        if args.if_possible
            && let Err(why) = (filter.language.compiler)()
        {
            println!("== {}: SKIPPED, its compiler cannot be had here: {why:#}", filter.name);
            continue;
        }
        let made = (filter.language.make)(&dir, filter)?;
        if !keep(filter, made, args.check)? {
            differ.push(format!("{}/{}", filter.folder, filter.name));
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

/// Puts the module in its place, or compares: false if it ought to be the same and is not.
fn keep(filter: &Filter, made: Made, check: bool) -> Result<bool> {
    let Made { path, by, reproducible } = made;
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = format!("{}/{}.wasm", filter.folder, filter.name);
    check_paths(&name, &bytes)?;
    let size = bytes.len();
    if filter.language.word == GO.word {
        println!("== {name}: {size} bytes by {by}, in {}", path.display());
        return Ok(true);
    }
    let same = fs::read(filter.kept()).is_ok_and(|kept| kept == bytes);
    match (same, check) {
        (true, _) => println!("== {name}: {size} bytes, as committed"),
        (false, false) => {
            fs::write(filter.kept(), bytes).with_context(|| format!("cannot write {name}"))?;
            println!("== {name}: {size} bytes by {by}, replaced");
        }
        (false, true) if !reproducible => {
            println!("== {name}: {size} bytes by {by}: it builds, but cannot be compared");
        }
        (false, true) => {
            println!("== {name}: {size} bytes by {by}, DIFFERENT from the committed one");
            return Ok(false);
        }
    }
    Ok(true)
}

/// A module says where its panics are, but not on whose machine it was made.
fn check_paths(name: &str, bytes: &[u8]) -> Result<()> {
    let text = String::from_utf8_lossy(bytes);
    let root = root().to_string_lossy();
    ensure!(!text.contains(&*root), "{name} names {root}");
    ensure!(!text.contains("registry/src"), "{name} names the registry's folder");
    Ok(())
}

/// A filter in C with WASI's library.
fn wasi_c(dir: &Path, filter: &Filter) -> Result<Made> {
    clang(dir, filter, "-mexec-model=reactor -O2 -Wl,--export=malloc -Wl,--export=free")
}

/// A filter in C that imports what it calls.
fn plain_c(dir: &Path, filter: &Filter) -> Result<Made> {
    clang(dir, filter, "-O3 -nostdlib -Wl,--no-entry -Wl,--allow-undefined")
}

fn clang(dir: &Path, filter: &Filter, flags: &str) -> Result<Made> {
    let line =
        format!("clang --target=wasm32-wasi {flags} -Wall -Wextra -Werror -Wl,--strip-all -o");
    install_c()?;
    let path = filter.made(dir);
    let source = format!("{}.c", filter.name);
    run_command(command(&line).arg(&path).arg(source).current_dir(filter.source()))?;
    by_clang(path)
}

fn by_clang(path: PathBuf) -> Result<Made> {
    let by = first_line(&mut command("clang --version"))?;
    Ok(Made { path, reproducible: by.contains(CLANG), by })
}

/// A filter in C with the SDK's header, and no library; as C++ it must be right as well.
fn c(dir: &Path, filter: &Filter) -> Result<Made> {
    install_c()?;
    let (path, source) = (filter.made(dir), "filter.c");
    let object = path.with_extension("o");
    let flags = "--target=wasm32 -O2 -mbulk-memory -ffreestanding -Wall -Wextra -Werror -c -o";
    let here = |command: &mut Command| {
        let header = root().join("sdk/c");
        run_command(command.arg("-I").arg(header).arg(source).current_dir(filter.source()))
    };
    here(command(&format!("clang++ -x c++ -fno-exceptions {flags}")).arg(&object))?;
    here(command(&format!("clang {flags}")).arg(&object))?;
    // By itself, for clang would run an optimizer that it finds on the PATH.
    let mut link = command("wasm-ld --no-entry --strip-all --stack-first -o");
    run_command(link.arg(&path).arg(&object))?;
    by_clang(path)
}

/// A filter in Rust; its own tests are run as well, natively.
fn rust(dir: &Path, filter: &Filter) -> Result<Made> {
    let (folder, name) = (filter.folder, filter.name);
    let manifest = format!("--locked --manifest-path {folder}/{name}/Cargo.toml --target-dir");
    run_command(command(&format!("cargo test --quiet {manifest}")).arg(dir))?;

    let mut cargo =
        command(&format!("cargo build --release --target wasm32-unknown-unknown {manifest}"));
    cargo.arg(dir);
    let (package, mut renamed) = renamed_paths(filter)?;
    let mut by = first_line(&mut command("rustc --version"))?;
    let ready_made = is_library_ready_made();
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
    let file = format!("wasm32-unknown-unknown/release/{}.wasm", package.replace('-', "_"));
    let reproducible = ready_made && by.contains(RUST_RELEASE);
    Ok(Made { path: dir.join(file), by, reproducible })
}

fn is_library_ready_made() -> bool {
    works("rustup target add wasm32-unknown-unknown")
}

/// Brings Rust's library for WebAssembly, or what it is made from.
fn library() -> Result<()> {
    if is_library_ready_made() { Ok(()) } else { library_source().map(drop) }
}

/// The package's name; and the folders of the filter and of its dependencies, and what a module shall call them.
fn renamed_paths(filter: &Filter) -> Result<(String, Vec<(PathBuf, String)>)> {
    let manifest = filter.source().join("Cargo.toml");
    let metadata = metadata(&format!("--locked --manifest-path {}", manifest.display()))?;
    let mut renamed = Vec::new();
    let mut own = None;
    for package in metadata["packages"].as_array().context("cargo names no packages")? {
        let name = package["name"].as_str().context("a package has no name")?;
        let path = package["manifest_path"].as_str().context("a package has no manifest")?;
        if Path::new(path) == manifest {
            own = Some(name.to_owned());
        }
        let folder = Path::new(path).parent().context("a manifest lies in a folder")?;
        let rename = if package["source"].is_null() {
            (folder.to_owned(), format!("/{name}"))
        } else {
            (folder.parent().unwrap_or(folder).to_owned(), "/rust/deps".to_owned())
        };
        if !renamed.contains(&rename) {
            renamed.push(rename);
        }
    }
    Ok((own.context("cargo does not name the filter's package")?, renamed))
}

/// A filter in Zig without the SDK; its own tests are run as well, natively.
fn zig_alone(dir: &Path, filter: &Filter) -> Result<Made> {
    let source = filter.source().join(filter.name).with_extension("zig");
    run_command(toolchains::zig()?.arg("test").arg(&source))?;
    zig_build(filter.made(dir), &[source.display().to_string()])
}

/// A filter in Zig, and the SDK's tests, natively.
fn zig(dir: &Path, filter: &Filter) -> Result<Made> {
    let sdk = root().join("sdk/zig/flb_filter.zig");
    run_command(toolchains::zig()?.arg("test").arg(&sdk))?;
    let source = filter.source().join("filter.zig");
    let words = [
        "--dep".to_owned(),
        "flb_filter".to_owned(),
        format!("-Mroot={}", source.display()),
        format!("-Mflb_filter={}", sdk.display()),
    ];
    zig_build(filter.made(dir), &words)
}

fn zig_build(path: PathBuf, sources: &[String]) -> Result<Made> {
    let mut build = toolchains::zig()?;
    build.args("build-exe -target wasm32-freestanding -fno-entry -rdynamic".split(' '));
    build.args(["-O", "ReleaseFast", "-fstrip"]).args(sources);
    run_command(build.arg(format!("-femit-bin={}", path.display())))?;
    let by = format!("zig {}", first_line(toolchains::zig()?.arg("version"))?);
    Ok(Made { path, by, reproducible: true })
}

/// A filter in AssemblyScript.
fn assemblyscript(dir: &Path, filter: &Filter) -> Result<Made> {
    let (path, sdk) = (filter.made(dir), "../../../sdk/assemblyscript/flb_filter/flbAbort");
    let mut asc = toolchains::assemblyscript()?;
    asc.args(["filter.ts", "-O3", "--runtime", "stub", "--use", &format!("abort={sdk}"), "-o"]);
    run_command(asc.arg(&path).current_dir(filter.source()))?;
    let by = first_line(toolchains::assemblyscript()?.arg("--version"))?;
    Ok(Made { path, by: format!("asc {by}"), reproducible: true })
}

/// A filter in Go; the SDK's own tests are run as well, natively.
fn go(dir: &Path, filter: &Filter) -> Result<Made> {
    let mut test = toolchains::go()?;
    test.env_remove("GOOS").env_remove("GOARCH").args(["test", "."]);
    run_command(test.current_dir(root().join("sdk/go")))?;
    let path = filter.made(dir);
    let mut go = toolchains::go()?;
    go.args("build -buildmode=c-shared -trimpath -ldflags=-s -o".split(' ')).arg(&path).arg(".");
    run_command(go.current_dir(filter.source()))?;
    let by = first_line(toolchains::go()?.arg("version"))?;
    Ok(Made { path, by, reproducible: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_may_not_name_this_machine() {
        let check = |text: String| check_paths("x.wasm", text.as_bytes());
        check("/rust/deps/serde_json/src/de.rs".into()).unwrap();
        check(format!("..{}/examples", root().display())).unwrap_err();
        check("~/.cargo/registry/src/x".into()).unwrap_err();
    }

    #[test]
    fn every_filter_is_in_a_language_that_can_be_named() {
        let mut words = FILTERS.iter().map(|filter| filter.language.word);
        assert!(words.all(|word| WORDS.contains(&word)));
    }
}
