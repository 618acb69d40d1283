//! Reads what a module exports and imports, and refuses what cannot be a filter.

use flb_artifact::contract::{BATCH, RESERVED};
use flb_artifact::{
    Architecture, Arguments, Export, Foreign, Import, Interface, Target, ValueType, speaks_batch,
};
use wasmparser::types::{EntityType, Types};
use wasmparser::{MemoryType, Payload, Validator, WasmFeatures};

use crate::CompileError;
use crate::limits::{self, Validated};

/// What the rest of the compiler wants to know of a valid module.
#[derive(Debug)]
pub(crate) struct ModuleInfo {
    exports: Vec<Export>,
    imports: Vec<Import>,
    /// Memory 0, if there is one.
    pub(crate) memory: Option<MemoryType>,
    /// Number of functions, imported ones included.
    pub(crate) functions: u32,
    /// Number of types.
    pub(crate) types: u32,
    /// The tables, imported ones included.
    pub(crate) tables: Vec<wasmparser::TableType>,
    /// The start function.
    pub(crate) start: Option<u32>,
    /// Whether it imports anything but functions.
    pub(crate) imports_more: bool,
    /// Whether its code takes too long to be given registers well.
    pub(crate) is_intricate: bool,
    /// Whether it has the marker of the batch ABI.
    pub(crate) speaks_batch: bool,
    /// Bytes of the artifact's metadata that exports and imports may still take.
    room: usize,
}

/// A little less than an artifact has for all of its metadata.
const ROOM: usize = 255 << 20;

impl ModuleInfo {
    /// What the artifact says of the module.
    pub(crate) fn interface(&self, arguments: Arguments) -> Interface {
        Interface { exports: self.exports.clone(), imports: self.imports.clone(), arguments }
    }

    /// The allocator that the module brings for hosts to call, if it does. Batches come without one.
    pub(crate) fn allocator(&self) -> Option<Arguments> {
        if self.speaks_batch {
            return None;
        }
        const I32: ValueType = ValueType::I32;
        let is = |name: &str, params: &[ValueType], results: &[ValueType]| {
            let same = |export: &Export| export.params == params && export.results == results;
            self.exports.iter().any(|export| export.name == name && same(export))
        };
        if is("malloc", &[I32], &[I32]) && is("free", &[I32], &[]) {
            return Some(Arguments::Malloc);
        }
        let new = is("__new", &[I32, I32], &[I32]);
        (new && is("__pin", &[I32], &[I32]) && is("__unpin", &[I32], &[])).then_some(Arguments::New)
    }
}

fn tables(types: &Types) -> Vec<wasmparser::TableType> {
    let types = types.as_ref();
    (0..types.table_count()).map(|index| types.table_at(index)).collect()
}

/// Validates the module and reads its interface.
pub(crate) fn read(wasm: &[u8]) -> Result<ModuleInfo, CompileError> {
    match Foreign::of(wasm) {
        Foreign::Wasm => {}
        Foreign::WasmComponent => {
            return Err(CompileError::unsupported(
                "it is a WebAssembly component",
                "build the filter as a core module, for example for wasm32-unknown-unknown or wasm32-wasip1, not wasip2",
            ));
        }
        found => return Err(CompileError::NotWasm { found }),
    }
    let Validated { types, is_intricate } = limits::validate(wasm)?;
    let mut module = ModuleInfo {
        exports: Vec::new(),
        imports: Vec::new(),
        memory: (types.as_ref().memory_count() > 0).then(|| types.as_ref().memory_at(0)),
        functions: types.as_ref().function_count(),
        types: 0,
        tables: tables(&types),
        start: None,
        imports_more: false,
        is_intricate,
        speaks_batch: false,
        room: ROOM,
    };
    let mut has_code = false;
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        match payload.map_err(|error| CompileError::invalid(&error))? {
            Payload::CodeSectionStart { count, .. } => has_code = count > 0,
            payload => module.add(payload, &types)?,
        }
    }
    if !has_code || module.exports.is_empty() {
        return Err(CompileError::unsupported(
            "it exports no function",
            "export the filter function: #[unsafe(no_mangle)] extern \"C\" in Rust, \
             __attribute__((export_name(\"..\"))) in C, //go:wasmexport in Go",
        ));
    }
    module.speaks_batch = speaks_batch(&module.exports)?;
    if module.speaks_batch && module.memory.is_none_or(|memory| memory.memory64) {
        return Err(CompileError::unsupported(
            format!(
                "it exports '{BATCH}' and has no memory with 32-bit addresses, where batches lie"
            ),
            "build the filter for wasm32",
        ));
    }
    Ok(module)
}

/// Refuses a module that code for this architecture cannot express, though other code could.
pub(crate) fn check_features(wasm: &[u8], target: &Target) -> Result<(), CompileError> {
    let architecture = target.architecture;
    let vectors = target.features.iter().any(|feature| feature == "v");
    let (features, reason, help) = match architecture {
        // The vector extension is not part of what every machine has.
        Architecture::Riscv64 if !vectors => (
            flb_engine::features().difference(WasmFeatures::SIMD | WasmFeatures::RELAXED_SIMD),
            "code for riscv64 has no SIMD instructions",
            "build the filter without SIMD (without -msimd128 or +simd128), or for machines with vectors: --cpu-features=+v",
        ),
        Architecture::Portable => (
            flb_engine::portable_features(),
            "portable code has no atomic instructions, exceptions or typed references",
            "build the filter without threads and exceptions (without -pthread, +atomics or -fwasm-exceptions)",
        ),
        _ => return Ok(()),
    };
    match Validator::new_with_features(features).validate_all(wasm) {
        Ok(_) => Ok(()),
        Err(error) => {
            let why = error.message();
            Err(CompileError::unsupported(format!("{reason} ({why})"), help))
        }
    }
}

impl ModuleInfo {
    fn add(&mut self, payload: Payload<'_>, types: &Types) -> Result<(), CompileError> {
        let invalid = |error: wasmparser::Error| CompileError::invalid(&error);
        match payload {
            Payload::TypeSection(section) => {
                for group in section {
                    let members = group.map_err(invalid)?.types().len();
                    self.types += u32::try_from(members).unwrap_or(u32::MAX);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    self.add_import(&import.map_err(invalid)?)?;
                }
            }
            Payload::StartSection { func, .. } => self.start = Some(func),
            Payload::ExportSection(section) => {
                for export in section {
                    self.add_export(export.map_err(invalid)?, types)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn add_import(&mut self, import: &wasmparser::Import<'_>) -> Result<(), CompileError> {
        match import.ty {
            wasmparser::TypeRef::Func(_) | wasmparser::TypeRef::FuncExact(_) => {
                self.take_room(&[import.module, import.name], 0)?;
                self.imports.push(Import {
                    module: import.module.to_owned(),
                    name: import.name.to_owned(),
                });
            }
            _ => self.imports_more = true,
        }
        Ok(())
    }

    fn add_export(
        &mut self,
        export: wasmparser::Export<'_>,
        types: &Types,
    ) -> Result<(), CompileError> {
        if export.name.starts_with(RESERVED) {
            return Err(CompileError::unsupported(
                format!("it exports '{}', a name that begins with '{RESERVED}'", export.name),
                "rename the export: these names are the compiler's own",
            ));
        }
        if let Some(EntityType::Func(id)) = types.as_ref().entity_type_from_export(&export) {
            let ty = types[id].unwrap_func();
            self.take_room(&[export.name], ty.params().len() + ty.results().len())?;
            self.exports.push(Export {
                name: export.name.to_owned(),
                params: ty.params().iter().map(value_type).collect(),
                results: ty.results().iter().map(value_type).collect(),
            });
        }
        Ok(())
    }
}

impl ModuleInfo {
    /// Counts what an export or an import will take in the artifact, before it takes memory here.
    fn take_room(&mut self, names: &[&str], types: usize) -> Result<(), CompileError> {
        // Control characters are six letters long in JSON.
        let letters = |name: &&str| name.len() + 5 * name.chars().filter(|c| *c < ' ').count();
        let size = 40 + 6 * types + names.iter().map(letters).sum::<usize>();
        self.room = self.room.checked_sub(size).ok_or_else(|| {
            CompileError::unsupported(
                format!("its exports and imports take more than {} MiB in an artifact", ROOM >> 20),
                "give it fewer of them, with shorter names",
            )
        })?;
        Ok(())
    }
}

fn value_type(ty: &wasmparser::ValType) -> ValueType {
    match ty {
        wasmparser::ValType::I32 => ValueType::I32,
        wasmparser::ValType::I64 => ValueType::I64,
        wasmparser::ValType::F32 => ValueType::F32,
        wasmparser::ValType::F64 => ValueType::F64,
        wasmparser::ValType::V128 => ValueType::V128,
        wasmparser::ValType::Ref(_) => ValueType::Ref,
    }
}
