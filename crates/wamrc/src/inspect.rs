//! Shows what an artifact or a module is made of, for people or as JSON.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use flb_artifact::{Arguments, Artifact, Encoding, Export, Sha256Hex, Slice};
use flb_text::tame_line;
use serde_json::{Value, json};

use crate::input::{self, Filter};
use crate::module::{Measures, measures, signature};
use crate::output::{Outcome, say, say_json};
use flb_engine::image::Image;

/// Show what an artifact or a module is made of
#[derive(Debug, Args)]
#[command(override_usage = "flb-wamrc inspect [options] FILE")]
pub(crate) struct InspectArgs {
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[arg(hide = true)]
    files: Vec<PathBuf>,
}

/// The command `inspect`.
pub(crate) fn run(args: &InspectArgs) -> anyhow::Result<Outcome> {
    let file = input::only_file(&args.files)?;
    let object = match Filter::read(file)? {
        Filter::Wasm(wasm) => module(&wasm),
        Filter::Aot(artifact) => self::artifact(&artifact)?,
    };
    if args.json {
        say_json(&object)?
    } else {
        say(&lines(&object))?
    }
    Ok(Outcome::Done)
}

fn artifact(artifact: &Artifact) -> anyhow::Result<Value> {
    let metadata = artifact.metadata();
    let wasm = artifact.wasm()?;
    let slices: Vec<Value> =
        metadata.slices.iter().map(|one| slice(artifact, one)).collect::<anyhow::Result<_>>()?;
    Ok(json!({
        "kind": "artifact",
        "size": artifact.bytes().len(),
        "digest": artifact.digest().to_string(),
        "signer": artifact.signer().map(|key| key.to_string()),
        "release": metadata.release.as_ref().map(ToString::to_string),
        "producer": metadata.producer,
        "source": {
            "sha256": metadata.source.sha256.to_string(),
            "size": metadata.source.size,
            "embedded": metadata.source.embedded.as_ref().map(|place| place.length),
        },
        "memory": wasm.map(|wasm| memory(&measures(&wasm))),
        "arguments": arguments(metadata.interface.arguments),
        "batch_abi": batch_abi(&metadata.interface),
        "exports": metadata.interface.exports.iter().map(export).collect::<Vec<_>>(),
        "imports": imports(&metadata.interface),
        "slices": slices,
    }))
}

/// Read, not compiled: so it is quick, and shows what the compiler refuses.
fn module(wasm: &[u8]) -> Value {
    let measures = measures(wasm);
    let (arguments, batch_abi, refused) = match flb_compiler::interface(wasm) {
        Ok(interface) => (Some(arguments(interface.arguments)), batch_abi(&interface), None),
        Err(error) => (None, None, Some(error.to_string())),
    };
    let exports = measures.exports.iter().map(|(name, ty)| json!({ "name": name, "type": ty }));
    json!({
        "kind": "module",
        "refused": refused,
        "size": wasm.len(),
        "digest": Sha256Hex::of(&[wasm]).to_string(),
        "memory": memory(&measures),
        "arguments": arguments,
        "batch_abi": batch_abi,
        "exports": exports.collect::<Vec<_>>(),
        "imports": measures.imports,
        "sections": measures.sections,
    })
}

fn slice(artifact: &Artifact, slice: &Slice) -> anyhow::Result<Value> {
    let code = artifact.code(slice)?;
    let image = Image::read(slice, &code)?;
    let functions = image.functions.map(|functions| {
        functions.iter().map(|one| json!([one.name, one.length])).collect::<Vec<_>>()
    });
    Ok(json!({
        "target": slice.target,
        "cpu": slice.cpu,
        "features": slice.features,
        "opt_level": slice.options.opt_level,
        "size_level": slice.options.size_level,
        "engine": format!("{} {}", slice.engine.name, slice.engine.version),
        "interruption": slice.engine.interruption.name(),
        "no_signals": slice.no_signals,
        "traps": slice.engine.traps().name(),
        "size": slice.code.size,
        "stored": slice.code.length,
        "compressed": slice.code.encoding == Encoding::Deflate,
        "sections": image.sections,
        "functions": functions,
    }))
}

fn memory(measures: &Measures) -> Value {
    json!({ "initial_pages": measures.initial_pages, "maximum_pages": measures.maximum_pages })
}

fn arguments(arguments: Arguments) -> Value {
    match arguments {
        Arguments::Malloc => json!({ "by": "malloc" }),
        Arguments::New => json!({ "by": "new" }),
        Arguments::Pages { limit } => json!({ "by": "pages", "limit": limit }),
    }
}

/// The version of the batch ABI that the module speaks.
fn batch_abi(interface: &flb_artifact::Interface) -> Option<u32> {
    interface.speaks_batch().is_ok_and(|speaks| speaks).then_some(1)
}

fn imports(interface: &flb_artifact::Interface) -> Vec<String> {
    let names = interface.imports.iter();
    names.map(|import| format!("{}.{}", import.module, import.name)).collect()
}

fn export(export: &Export) -> Value {
    json!({ "name": export.name, "type": type_of(export) })
}

/// `(i32, i32) -> i32`
pub(crate) fn type_of(export: &Export) -> String {
    let names = |types: &[flb_artifact::ValueType]| {
        types.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    signature(&names(&export.params), &names(&export.results))
}

/// The order of the lines, of the file's as of each slice's. What stands in no object is left out.
const ORDER: &[&str] = &[
    "kind",
    "refused",
    "producer",
    "size",
    "digest",
    "signer",
    "release",
    "source",
    "memory",
    "arguments",
    "batch_abi",
    "exports",
    "imports",
    "slices",
];
const SLICE_ORDER: &[&str] = &[
    "target",
    "cpu",
    "features",
    "engine",
    "opt_level",
    "size_level",
    "interruption",
    "no_signals",
    "traps",
    "size",
    "stored",
    "compressed",
    "sections",
    "functions",
];

/// The object as lines for people.
fn lines(object: &Value) -> String {
    let mut text = String::new();
    for name in ORDER.iter().chain(&["sections"]) {
        match &object[name] {
            Value::Array(slices) if *name == "slices" => {
                slices.iter().for_each(|slice| add_slice(&mut text, slice));
            }
            Value::Null if ["refused", "batch_abi"].contains(name) => {}
            value if object.get(name).is_some() => add(&mut text, "", name, value),
            _ => {}
        }
    }
    text
}

fn add_slice(text: &mut String, slice: &Value) {
    text.push('\n');
    let has = |name: &&&str| **name != "no_signals" || !slice[**name].is_null();
    for name in SLICE_ORDER.iter().filter(has) {
        let indent = if *name == "target" { "" } else { "  " };
        add(text, indent, name, &slice[name]);
    }
}

/// One line, or one for each item of a list. Writing to a String cannot fail, here and below.
fn add(text: &mut String, indent: &str, name: &str, value: &Value) {
    let label = format!("{indent}{}:", name.replace('_', " "));
    match value {
        Value::Array(items) if name != "features" && !items.is_empty() => {
            let _ = writeln!(text, "{label:<14} {}", items.len());
            for item in items {
                let _ = writeln!(text, "{indent}  {}", plain(item));
            }
        }
        value => {
            let _ = writeln!(text, "{label:<14} {}", plain(value));
        }
    }
}

/// A value without quotes and braces, harmless whoever gave its names.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => tame_line(text).into_owned(),
        Value::Bool(yes) => (if *yes { "yes" } else { "no" }).to_owned(),
        Value::Array(none) if none.is_empty() => "none".to_owned(),
        Value::Array(pair) => match pair.as_slice() {
            [name, size @ Value::Number(_)] => format!("{:>8} {}", plain(size), plain(name)),
            items => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        },
        Value::Object(members) if members.contains_key("type") => {
            format!("{}: {}", plain(&members["name"]), plain(&members["type"]))
        }
        Value::Object(members) => {
            let each = members
                .iter()
                .map(|(name, value)| format!("{} {}", name.replace('_', " "), plain(value)));
            each.collect::<Vec<_>>().join(", ")
        }
        number => number.to_string(),
    }
}
