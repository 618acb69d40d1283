//! Gives a module for its own what it imports beside functions: memories, tables, and the globals whose meaning is agreed upon.
//!
//! Linkers leave these to the host on request (`--import-memory`, `--import-table`, `-shared`). There is one guest to a memory
//! here, so nothing is lost when they are its own, and from here on the module is like any other. They keep their indices:
//! what is imported comes first, and is now defined first.
//!
//! Position-independent code is told where it stands. It gets room for that: nothing stands at address 0 or in element 0,
//! which would pass for NULL, and where it wants a stack there is one behind its data.

use std::convert::Infallible;

use flb_artifact::contract::PAGE;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    ConstExpr, ExportKind, ExportSection, GlobalSection, ImportSection, Instruction, MemorySection,
    SectionId, TableSection,
};
use wasmparser::{GlobalType, MemoryType, Operator, Payload, TableType, TypeRef};

use super::functions::rewrite;
use super::skeleton::with_sections;
use crate::CompileError;

/// Where position-independent data begins.
const MEMORY_BASE: i32 = 1024;
/// The pages that this costs.
const BASE_PAGES: u64 = 1;
/// Pages of a stack that is left to the host: 1 MiB.
const STACK_PAGES: u64 = 16;
/// The first element of position-independent code.
const TABLE_BASE: i32 = 1;

/// Rewrites the module. One that needs it has at least one such import.
pub(crate) fn run(wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let mut own = Own::default();
    let invalid = |error: wasmparser::Error| CompileError::invalid(&error);
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        match payload.map_err(invalid)? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    own.take(&import.map_err(invalid)?)?;
                }
            }
            Payload::MemorySection(section) => {
                let first = section.into_iter().next().transpose().map_err(invalid)?;
                own.first_memory = own.memories.first().copied().or(first);
            }
            Payload::ExportSection(section) => {
                for export in section {
                    own.exports_memory |= export.map_err(invalid)?.name == MEMORY;
                }
            }
            _ => {}
        }
    }
    own.first_memory = own.first_memory.or(own.memories.first().copied());
    if own.wants_stack() && own.first_memory.is_none() {
        return Err(CompileError::unsupported(
            "it imports a stack pointer and has no memory",
            "link the filter completely (without -shared)",
        ));
    }
    let wasm = with_sections(wasm, &own.sections()).map_err(invalid)?;
    rewrite(&mut own, &wasm)
}

/// What functions of WASI look for.
const MEMORY: &str = "memory";

/// The rewriter, and what it has found.
#[derive(Debug, Default)]
struct Own {
    memories: Vec<MemoryType>,
    tables: Vec<TableType>,
    globals: Vec<(GlobalType, Meaning)>,
    exports_memory: bool,
    /// Memory 0, imported or not.
    first_memory: Option<MemoryType>,
}

/// What an imported global tells.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Meaning {
    MemoryBase,
    TableBase,
    StackPointer,
    Number(f64),
}

impl Meaning {
    /// By the names that linkers give, and the original provides.
    fn of(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("env", "__memory_base" | "memoryBase") => Self::MemoryBase,
            ("env", "__table_base" | "tableBase") => Self::TableBase,
            ("env", "__stack_pointer") => Self::StackPointer,
            ("global", "NaN") => Self::Number(f64::NAN),
            ("global", "Infinity") => Self::Number(f64::INFINITY),
            _ => return None,
        })
    }

    /// Whether a global of this type can have it.
    fn fits(self, ty: GlobalType) -> bool {
        let content = match self {
            Self::Number(_) => wasmparser::ValType::F64,
            _ => wasmparser::ValType::I32,
        };
        ty.content_type == content && ty.mutable == (self == Self::StackPointer)
    }
}

impl Own {
    /// Where something is added.
    fn sections(&self) -> Vec<SectionId> {
        let added = [
            (SectionId::Table, self.tables.is_empty()),
            (SectionId::Memory, self.memories.is_empty()),
            (SectionId::Global, self.globals.is_empty()),
        ];
        added.into_iter().filter(|(_, is_empty)| !is_empty).map(|(section, _)| section).collect()
    }

    fn take(&mut self, import: &wasmparser::Import<'_>) -> Result<(), CompileError> {
        let name = || format!("'{}.{}'", import.module, import.name);
        match import.ty {
            TypeRef::Func(_) | TypeRef::FuncExact(_) => {}
            TypeRef::Memory(ty) => self.memories.push(ty),
            TypeRef::Table(ty) if ty.element_type.is_nullable() => self.tables.push(ty),
            TypeRef::Global(ty) => match Meaning::of(import.module, import.name) {
                Some(meaning) if meaning.fits(ty) => self.globals.push((ty, meaning)),
                _ => {
                    return Err(CompileError::unsupported(
                        format!("it imports the global {}, whose value nobody knows", name()),
                        "link the filter completely (without --allow-undefined and -shared)",
                    ));
                }
            },
            TypeRef::Table(_) | TypeRef::Tag(_) => {
                return Err(CompileError::unsupported(
                    format!("unknown import {}: nobody provides one of this type", name()),
                    "link the filter completely (without --allow-undefined and -shared)",
                ));
            }
        }
        Ok(())
    }

    fn has(&self, meaning: Meaning) -> bool {
        self.globals.iter().any(|(_, one)| *one == meaning)
    }

    fn wants_stack(&self) -> bool {
        self.has(Meaning::StackPointer)
    }

    /// Pages that memory 0 needs beyond what it was linked for.
    fn more_pages(&self) -> u64 {
        let base = if self.has(Meaning::MemoryBase) { BASE_PAGES } else { 0 };
        base + if self.wants_stack() { STACK_PAGES } else { 0 }
    }

    fn value(&self, meaning: Meaning) -> Instruction<'static> {
        match meaning {
            Meaning::MemoryBase => Instruction::I32Const(MEMORY_BASE),
            Meaning::TableBase => Instruction::I32Const(TABLE_BASE),
            Meaning::Number(number) => Instruction::F64Const(number.into()),
            Meaning::StackPointer => {
                // It grows downwards from the end of memory; a memory of 4 GiB leaves no room, and none is too large for it.
                let pages =
                    self.first_memory.map_or(0, |memory| memory.initial) + self.more_pages();
                let end = pages.saturating_mul(PAGE).min(u64::from(u32::MAX) & !15);
                Instruction::I32Const(end as u32 as i32)
            }
        }
    }

    fn add_memories(&mut self, memories: &mut MemorySection) -> Outcome {
        for (index, memory) in self.memories.clone().into_iter().enumerate() {
            self.add_memory(memories, index, memory)?;
        }
        Ok(())
    }

    fn add_memory(
        &mut self,
        memories: &mut MemorySection,
        index: usize,
        mut memory: MemoryType,
    ) -> Outcome {
        if index == 0 {
            memory.initial += self.more_pages();
            memory.maximum = memory.maximum.map(|maximum| maximum.max(memory.initial));
        }
        memories.memory(self.memory_type(memory)?);
        Ok(())
    }

    fn add_tables(&mut self, tables: &mut TableSection) -> Outcome {
        for (index, mut table) in self.tables.clone().into_iter().enumerate() {
            if index == 0 && self.has(Meaning::TableBase) {
                table.initial += u64::from(TABLE_BASE.cast_unsigned());
                table.maximum = table.maximum.map(|maximum| maximum.max(table.initial));
            }
            tables.table(self.table_type(table)?);
        }
        Ok(())
    }

    fn add_globals(&mut self, globals: &mut GlobalSection) -> Outcome {
        for (ty, meaning) in self.globals.clone() {
            globals.global(self.global_type(ty)?, &ConstExpr::extended([self.value(meaning)]));
        }
        Ok(())
    }
}

type Outcome = Result<(), Error>;

impl Reencode for Own {
    type Error = Infallible;

    /// Constants that were imported become constants: of one's own, no constant expression may make use.
    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>, Error> {
        match operator {
            Operator::GlobalGet { global_index } => match self.globals.get(global_index as usize) {
                Some((ty, meaning)) if !ty.mutable => Ok(self.value(*meaning)),
                _ => utils::instruction(self, operator),
            },
            operator => utils::instruction(self, operator),
        }
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: wasmparser::ImportSectionReader<'_>,
    ) -> Outcome {
        for import in section.into_imports() {
            let import = import?;
            if let TypeRef::Func(_) | TypeRef::FuncExact(_) = import.ty {
                self.parse_import(imports, import)?;
            }
        }
        Ok(())
    }

    fn parse_table_section(
        &mut self,
        tables: &mut TableSection,
        section: wasmparser::TableSectionReader<'_>,
    ) -> Outcome {
        self.add_tables(tables)?;
        utils::parse_table_section(self, tables, section)
    }

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: wasmparser::MemorySectionReader<'_>,
    ) -> Outcome {
        self.add_memories(memories)?;
        for (index, memory) in section.into_iter().enumerate() {
            self.add_memory(memories, self.memories.len() + index, memory?)?;
        }
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: wasmparser::GlobalSectionReader<'_>,
    ) -> Outcome {
        self.add_globals(globals)?;
        utils::parse_global_section(self, globals, section)
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Outcome {
        utils::parse_export_section(self, exports, section)?;
        if !self.memories.is_empty() && !self.exports_memory {
            exports.export(MEMORY, ExportKind::Memory, 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::passes::testing::validate;

    /// Rewrites a module given as text and shows memories, tables and what its globals say.
    fn check(text: &str, expected: &str) {
        let rewritten = super::run(&wat::parse_str(text).unwrap()).unwrap();
        validate(&rewritten);
        let engine = wasmtime::Engine::default();
        let module = wasmtime::Module::new(&engine, &rewritten).unwrap();
        assert!(module.imports().all(|import| import.ty().func().is_some()));
        let mut store = wasmtime::Store::new(&engine, ());
        let linker = wasmtime::Linker::new(&engine);
        let instance = linker.instantiate(&mut store, &module).unwrap();
        let shown = module.exports().map(|export| match export.ty() {
            wasmtime::ExternType::Memory(ty) => {
                format!("memory {}..{:?}", ty.minimum(), ty.maximum())
            }
            wasmtime::ExternType::Table(ty) => {
                format!("table {}..{:?}", ty.minimum(), ty.maximum())
            }
            wasmtime::ExternType::Global(_) => {
                let global = instance.get_global(&mut store, export.name()).unwrap();
                format!("{} {:?}", export.name(), global.get(&mut store))
            }
            _ => {
                let f = instance.get_typed_func::<(), i32>(&mut store, export.name()).unwrap();
                format!("{} {}", export.name(), f.call(&mut store, ()).unwrap())
            }
        });
        assert_eq!(shown.collect::<Vec<_>>().join(", "), expected);
    }

    #[test]
    fn an_imported_memory_becomes_the_modules_own_and_wasi_finds_it() {
        let f = r#"(func (export "f") (result i32) (i32.load (i32.const 8)))"#;
        check(
            &format!(
                r#"(module (import "env" "memory" (memory 2 3)) {f} (data (i32.const 8) "\07"))"#
            ),
            "f 7, memory 2..Some(3)",
        );
        check(
            &format!(
                r#"(module (import "x" "y" (memory 1)) (memory 5) (export "memory" (memory 0)) {f})"#
            ),
            "memory 1..None, f 0",
        );
    }

    #[test]
    fn an_imported_table_becomes_the_modules_own() {
        check(
            r#"(module (type $t (func (result i32)))
                (import "env" "__indirect_function_table" (table $table 3 funcref)) (export "t" (table $table))
                (elem (i32.const 1) $five) (func $five (result i32) (i32.const 5))
                (func (export "f") (result i32) (call_indirect (type $t) (i32.const 1))))"#,
            "table 3..None, f 5",
        );
    }

    #[test]
    fn position_independent_code_is_told_where_it_stands() {
        check(
            r#"(module (type $t (func (result i32)))
                (import "env" "memory" (memory 1 1)) (import "env" "__indirect_function_table" (table $table 1 1 funcref))
                (import "env" "__stack_pointer" (global $stack (mut i32)))
                (import "env" "__memory_base" (global $memory i32)) (import "env" "__table_base" (global $base i32))
                (global $more i32 (i32.const 9))
                (export "memory" (memory 0)) (export "t" (table $table)) (export "sp" (global $stack))
                (export "more" (global $more))
                (data (global.get $memory) "\2a") (elem (global.get $base) $first)
                (func $first (result i32) (i32.load8_u (global.get $memory)))
                (func (export "f") (result i32) (global.set $stack (i32.sub (global.get $stack) (i32.const 16)))
                    (call_indirect (type $t) (global.get $base))))"#,
            "memory 18..Some(18), table 2..Some(2), sp I32(1179648), more I32(9), f 42",
        );
    }

    #[test]
    fn what_nobody_knows_is_refused_with_what_to_do() {
        let check = |import: &str, expected: &str| {
            let text = format!(r#"(module (import {import}) (func (export "f")))"#);
            let error = super::run(&wat::parse_str(text).unwrap()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(
            r#""GOT.mem" "x" (global (mut i32))"#,
            "it imports the global 'GOT.mem.x', whose value nobody knows; help: link the filter completely",
        );
        check(r#""env" "__memory_base" (global (mut i32))"#, "'env.__memory_base'");
        check(r#""env" "__stack_pointer" (global (mut i32))"#, "and has no memory");
        check(r#""env" "t" (tag)"#, "unknown import 'env.t'");
    }
}
