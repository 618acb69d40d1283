//! What a module says of itself, read without compiling it; and compiling one for this host, for the commands that run it.

use wasmparser::{CompositeInnerType, ExternalKind, FuncType, Parser, Payload, TypeRef, ValType};

/// Sizes in a module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measures {
    /// Pages that memory 0 starts with.
    pub(crate) initial_pages: Option<u64>,
    /// Pages that it may grow to, where the module says so.
    pub(crate) maximum_pages: Option<u64>,
    /// Names and sizes of the sections, in order; custom ones by their own names.
    pub(crate) sections: Vec<(String, usize)>,
    /// Names of exported functions, each with its type as people write it.
    pub(crate) exports: Vec<(String, String)>,
    /// Modules and names of what is imported; what is no function has its kind behind it.
    pub(crate) imports: Vec<String>,
}

/// Measures a module. What cannot be read is left out: whether it is valid is the compiler's to say.
pub(crate) fn measures(wasm: &[u8]) -> Measures {
    let mut found = Measures::default();
    let mut functions = Functions::default();
    for payload in Parser::new(0).parse_all(wasm).map_while(Result::ok) {
        if let Some((name, size)) = section(&payload) {
            found.sections.push((name, size));
        }
        match payload {
            Payload::TypeSection(section) => {
                for ty in section.into_iter().map_while(Result::ok).flat_map(|one| one.into_types())
                {
                    functions.types.push(match ty.composite_type.inner {
                        CompositeInnerType::Func(ty) => Some(ty),
                        _ => None,
                    });
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports().map_while(Result::ok) {
                    found.add_import(&import, &mut functions);
                }
            }
            Payload::FunctionSection(section) => {
                functions.indices.extend(section.into_iter().map_while(Result::ok));
            }
            Payload::MemorySection(section) => {
                section.into_iter().map_while(Result::ok).for_each(|memory| found.see(&memory));
            }
            Payload::ExportSection(section) => {
                let exports = section.into_iter().map_while(Result::ok);
                let is_function =
                    |kind| matches!(kind, ExternalKind::Func | ExternalKind::FuncExact);
                for export in exports.filter(|export| is_function(export.kind)) {
                    found.exports.push((export.name.to_owned(), functions.shown(export.index)));
                }
            }
            _ => {}
        }
    }
    found
}

/// The types of a module's functions.
#[derive(Debug, Default)]
struct Functions {
    types: Vec<Option<FuncType>>,
    /// Of each function, imported ones first, the number of its type.
    indices: Vec<u32>,
}

impl Functions {
    /// `(i32, i32) -> i32`
    fn shown(&self, function: u32) -> String {
        let index = self.indices.get(function as usize);
        match index.and_then(|index| self.types.get(*index as usize)) {
            Some(Some(ty)) => signature(&names(ty.params()), &names(ty.results())),
            _ => "?".to_owned(),
        }
    }
}

fn names(types: &[ValType]) -> Vec<String> {
    let name = |ty: &ValType| match ty {
        ValType::Ref(_) => "ref".to_owned(),
        number => number.to_string(),
    };
    types.iter().map(name).collect()
}

/// `(i32, i32) -> i32`
pub(crate) fn signature(params: &[String], results: &[String]) -> String {
    let results = match results {
        [] => "()".to_owned(),
        [one] => one.clone(),
        several => format!("({})", several.join(", ")),
    };
    format!("({}) -> {results}", params.join(", "))
}

impl Measures {
    /// Only the first memory counts.
    fn see(&mut self, memory: &wasmparser::MemoryType) {
        if self.initial_pages.is_none() {
            self.initial_pages = Some(memory.initial);
            self.maximum_pages = memory.maximum;
        }
    }

    fn add_import(&mut self, import: &wasmparser::Import<'_>, functions: &mut Functions) {
        let kind = match &import.ty {
            TypeRef::Func(ty) | TypeRef::FuncExact(ty) => {
                functions.indices.push(*ty);
                ""
            }
            TypeRef::Memory(memory) => {
                self.see(memory);
                " (memory)"
            }
            TypeRef::Table(_) => " (table)",
            TypeRef::Global(_) => " (global)",
            TypeRef::Tag(_) => " (tag)",
        };
        self.imports.push(format!("{}.{}{kind}", import.module, import.name));
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
#[cfg(feature = "run")]
pub(crate) fn compile(wasm: &[u8]) -> anyhow::Result<Vec<u8>> {
    use anyhow::Context as _;
    use flb_artifact::{Levels, Target};
    use flb_compiler::{CompileOptions, Compiler};

    let target = Target::host().context("nothing compiled here runs on this machine")?;
    let compiler = Compiler::new(CompileOptions {
        targets: vec![target],
        levels: Levels { opt_level: 3, size_level: 0 },
        embed_wasm: true,
        producer: crate::versions::PRODUCER.to_owned(),
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
    });
    Ok(compiler.compile(wasm)?)
}
