//! What a module says of itself, read without compiling more of it than must be.

use anyhow::Context as _;
use flb_artifact::{Artifact, Interface, Levels, Target};
use flb_compiler::{CompileOptions, Compiler};
use wasmparser::{Parser, Payload};

/// Sizes in a module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measures {
    /// Pages that memory 0 starts with.
    pub(crate) initial_pages: Option<u64>,
    /// Pages that it may grow to, where the module says so.
    pub(crate) maximum_pages: Option<u64>,
    /// Names and sizes of the sections, in order; custom ones by their own names.
    pub(crate) sections: Vec<(String, usize)>,
}

/// Measures a module. What cannot be read is left out: whether it is valid is the compiler's to say.
pub(crate) fn measures(wasm: &[u8]) -> Measures {
    let mut found = Measures::default();
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        if let Some((name, size)) = section(&payload) {
            found.sections.push((name, size));
        }
        if found.initial_pages.is_none()
            && let Some(memory) = first_memory(payload)
        {
            found.initial_pages = Some(memory.initial);
            found.maximum_pages = memory.maximum;
        }
    }
    found
}

/// The first memory that a section tells of, an imported one, too.
fn first_memory(payload: Payload<'_>) -> Option<wasmparser::MemoryType> {
    match payload {
        Payload::MemorySection(memories) => memories.into_iter().next()?.ok(),
        Payload::ImportSection(imports) => {
            imports.into_imports().map_while(Result::ok).find_map(|import| match import.ty {
                wasmparser::TypeRef::Memory(memory) => Some(memory),
                _ => None,
            })
        }
        _ => None,
    }
}

fn section(payload: &Payload<'_>) -> Option<(String, usize)> {
    let name = match payload {
        Payload::CustomSection(custom) => {
            return Some((custom.name().to_owned(), custom.range().len()));
        }
        Payload::TypeSection(_) => "type",
        Payload::ImportSection(_) => "import",
        Payload::FunctionSection(_) => "function",
        Payload::TableSection(_) => "table",
        Payload::MemorySection(_) => "memory",
        Payload::TagSection(_) => "tag",
        Payload::GlobalSection(_) => "global",
        Payload::ExportSection(_) => "export",
        Payload::StartSection { .. } => "start",
        Payload::ElementSection(_) => "element",
        Payload::DataCountSection { .. } => "data count",
        Payload::DataSection(_) => "data",
        Payload::CodeSectionStart { .. } => "code",
        _ => return None,
    };
    payload.as_section().map(|(_, range)| (name.to_owned(), range.len()))
}

/// Compiles a module for this host as the agent would, with itself inside.
pub(crate) fn compile(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    let target = Target::host().context("nothing compiled here runs on this machine")?;
    let compiler = Compiler::new(CompileOptions {
        targets: vec![target],
        levels: Levels { opt_level: 3, size_level: 0 },
        embed_wasm: true,
        producer: crate::compile::PRODUCER.to_owned(),
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
    });
    Ok(compiler.compile(wasm)?)
}

/// What a module exports and imports, as its artifact would say.
pub(crate) fn interface(wasm: &[u8], name: &str) -> anyhow::Result<Interface> {
    let artifact = compile(wasm).with_context(|| name.to_owned())?;
    Ok(Artifact::parse(artifact)?.metadata().interface.clone())
}
