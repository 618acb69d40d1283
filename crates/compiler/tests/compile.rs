//! Compiles every `tests/compile/*.wat` as the `;;!` lines at its top say, and checks what they say of the result.
//!
//! What to do: `target`, `cpu`, `features`, `opt` and `size`. What to expect: either `error`, the whole message, or any of
//! `exports`, `imports` and `arguments` (as the artifact's metadata has them), `triple`, `uses` (the CPU features), `below` (a bound for
//! the file's size, in bytes). One file is one case; each line is `;;! name = "value"`.

#![expect(clippy::unwrap_used, reason = "helpers of a test panic as the test does")]

use std::fs;
use std::path::{Path, PathBuf};

use flb_artifact::{Arguments as By, Artifact, Interface, Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/compile");
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wat"));
    files.sort();
    let trials = files.into_iter().map(|path| {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        Trial::test(name, move || run(&path))
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit();
}

fn run(path: &Path) -> Result<(), Failed> {
    let text = fs::read_to_string(path)?;
    let directives = directives(&text)?;
    let wasm = wat::parse_str(&text)?;
    let produced = compile(&wasm, &directives);
    for (name, expected) in &directives {
        let found = match (name.as_str(), &produced) {
            ("target" | "cpu" | "features" | "opt" | "size", _) => continue,
            ("error", Ok(_)) => "no error".to_owned(),
            ("error", Err(error)) => error.clone(),
            (_, Err(error)) => return Err(error.into()),
            (name, Ok(bytes)) => facts(name, expected, bytes)?,
        };
        if found != *expected {
            return Err(format!("{name}\n   found: {found}\nexpected: {expected}").into());
        }
    }
    if let Err(error) = produced
        && !directives.iter().any(|(name, _)| name == "error")
    {
        return Err(error.into());
    }
    Ok(())
}

type Directives = Vec<(String, String)>;

fn directives(text: &str) -> Result<Directives, Failed> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(";;!"));
    let parsed = lines.map(|line| {
        let (name, value) = line.split_once('=').ok_or_else(|| format!("no '=' in {line}"))?;
        let value = value.trim();
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        Ok((name.trim().to_owned(), quoted.unwrap_or(value).to_owned()))
    });
    parsed.collect()
}

fn compile(wasm: &[u8], directives: &Directives) -> Result<Vec<u8>, String> {
    let value = |wanted: &str| {
        directives.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    };
    let level = |name: &str| value(name).map_or(3, |text| text.parse().unwrap());
    let target =
        Target::parse(value("target").unwrap_or("x86_64"), value("cpu"), value("features"));
    let compiler = Compiler::new(CompileOptions {
        targets: vec![target.map_err(|error| error.to_string())?],
        levels: Levels { opt_level: level("opt"), size_level: level("size") },
        embed_wasm: false,
        producer: "test".to_owned(),
        jobs: 1,
    });
    compiler.compile(wasm).map_err(|error| error.to_string())
}

/// What the artifact says about `name`, in the directive's form.
fn facts(name: &str, expected: &str, bytes: &[u8]) -> Result<String, Failed> {
    let artifact = Artifact::parse(bytes.to_vec()).map_err(|error| error.to_string())?;
    let metadata = artifact.metadata();
    let slice = &metadata.slices[0];
    Ok(match name {
        "exports" => exports(&metadata.interface),
        "imports" => {
            let imports = metadata.interface.imports.iter();
            imports.map(|one| format!("{}.{}", one.module, one.name)).collect::<Vec<_>>().join(", ")
        }
        "arguments" => match metadata.interface.arguments {
            By::Malloc => "malloc".to_owned(),
            By::New => "new".to_owned(),
            By::Pages { .. } => "pages".to_owned(),
        },
        "triple" => slice.target.clone(),
        "uses" => slice.features.join(","),
        "below" if bytes.len() < expected.parse()? => expected.to_owned(),
        "below" => bytes.len().to_string(),
        unknown => return Err(format!("there is no directive '{unknown}'").into()),
    })
}

fn exports(interface: &Interface) -> String {
    let list = |types: &[flb_artifact::ValueType]| {
        types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let exports = interface.exports.iter().map(|export| {
        format!("{}({}) -> ({})", export.name, list(&export.params), list(&export.results))
    });
    exports.collect::<Vec<_>>().join("; ")
}
