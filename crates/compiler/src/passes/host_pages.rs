//! Gives the host an address in the guest's memory that no allocator of the guest can reach.
//!
//! A host that simply grows a guest's memory and writes there is overwritten sooner or later: allocators take everything up
//! to `memory.size` for theirs, some at start, some at their first allocation, some for ever. So a module that brings no
//! `malloc` and `free` for the host is rewritten: the size that it sees becomes the size of an added table, its `memory.size`
//! that table's `table.size`, and its `memory.grow` a call of an added function with `table.grow`. The memory itself may grow
//! as far as a memory can, and the host grows it, to an end beyond all that the guest may take. To the guest it is an
//! ordinary memory. `docs/architecture.md` shows the picture, and how the runtime keeps the guest out of what is not its own.
//!
//! A table, because growing one asks the host's limiter: memory is granted in the one place that grants everything else, by
//! an ordinary instruction, and no function gets another number.

use flb_artifact::Arguments;
use flb_artifact::contract::{HOST_PAGES, MEMORY, PAGE, PAGES, START};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, ExportKind, ExportSection, Function, FunctionSection, HeapType, Instruction,
    MemorySection, MemoryType, Module, RefType, SectionId, TableSection, TableType, TypeSection,
    ValType,
};
use wasmparser::Operator;

use super::names;
use super::skeleton::{with_sections, without_start};
use crate::CompileError;
use crate::interface::ModuleInfo;

/// Pages that a 32-bit memory can have.
const ALL_PAGES: u64 = 65_536;

/// Rewrites the module; says how arguments reach it from now on.
pub(crate) fn run(wasm: &[u8], module: &ModuleInfo) -> Result<(Vec<u8>, Arguments), CompileError> {
    let pages = plan(module)?;
    let mut output = Module::new();
    let wasm = match pages {
        // What it starts with may grow the memory, so the host has to come first.
        Some(_) => without_start(wasm)
            .and_then(|wasm| with_sections(&wasm, &[SectionId::Table, SectionId::Memory]))
            .map_err(|error| CompileError::invalid(&error))?,
        None => wasm.to_vec(),
    };
    let mut rewrite = Rewrite { module, pages };
    rewrite
        .parse_core_module(&mut output, wasmparser::Parser::new(0), &wasm)
        .map_err(|error| CompileError::Codegen { reason: error.to_string() })?;
    let rewritten = match rewrite.pages {
        Some(_) => names::add(&output.finish(), &rewrite.names())?,
        None => output.finish(),
    };
    super::must_fit(&rewritten)?;
    Ok((rewritten, by(pages, module)))
}

/// How arguments will reach the module.
pub(crate) fn arguments(module: &ModuleInfo) -> Result<Arguments, CompileError> {
    Ok(by(plan(module)?, module))
}

fn by(pages: Option<Pages>, module: &ModuleInfo) -> Arguments {
    let behind = |pages: Pages| Arguments::Pages { limit: pages.limit * PAGE };
    pages.map(behind).or_else(|| module.allocator()).unwrap_or(Arguments::Malloc)
}

/// The host's pages, unless the module has an allocator for the host.
fn plan(module: &ModuleInfo) -> Result<Option<Pages>, CompileError> {
    match module.memory {
        _ if module.allocator().is_some() => Ok(None),
        Some(memory) if memory.memory64 => Err(CompileError::unsupported(
            "its memory is 64-bit and it exports no malloc and free",
            "build the filter for wasm32",
        )),
        memory => Pages::plan(memory, &module.tables).map(Some),
    }
}

/// The memory's measures in pages, and what tells the table that counts them.
#[derive(Debug, Clone, Copy)]
struct Pages {
    initial: u64,
    limit: u64,
    /// The table's maximum.
    mark: u64,
}

impl Pages {
    fn plan(
        memory: Option<wasmparser::MemoryType>,
        tables: &[wasmparser::TableType],
    ) -> Result<Self, CompileError> {
        let initial = memory.map_or(0, |memory| memory.initial);
        let declared = memory.map_or(0, |memory| memory.maximum.unwrap_or(ALL_PAGES));
        let most = ALL_PAGES - HOST_PAGES;
        if initial > most {
            return Err(CompileError::unsupported(
                format!("its memory starts with {initial} pages, which leaves none to the host"),
                "lower the initial memory (linker option --initial-memory)",
            ));
        }
        let is_taken = |mark: &u64| tables.iter().any(|table| table.maximum == Some(*mark));
        let mark = (ALL_PAGES..).find(|mark| !is_taken(mark)).unwrap_or(ALL_PAGES);
        Ok(Self { initial, limit: declared.clamp(initial, most), mark })
    }

    fn memory_type(self) -> MemoryType {
        MemoryType {
            minimum: self.initial,
            maximum: Some(ALL_PAGES),
            memory64: false,
            shared: false,
            page_size_log2: None,
        }
    }

    fn table_type(self) -> TableType {
        TableType {
            element_type: RefType::FUNCREF,
            table64: false,
            minimum: self.initial,
            maximum: Some(self.mark),
            shared: false,
        }
    }
}

/// The rewriter: everything is copied as it is, but for what the added items need.
struct Rewrite<'a> {
    module: &'a ModuleInfo,
    /// `None`: the module has an allocator for the host, and only the memory's export is added.
    pages: Option<Pages>,
}

impl Rewrite<'_> {
    fn grow_function(&self) -> u32 {
        self.module.functions
    }

    fn pages_table(&self) -> u32 {
        self.module.tables.len() as u32
    }

    /// What the added function is called.
    fn names(&self) -> [(u32, &'static str); 1] {
        [(self.grow_function(), "flb:grow")]
    }

    /// `memory.grow`: the table's, with empty elements.
    fn grow_body(&self) -> Function {
        let mut function = Function::new([]);
        function
            .instructions()
            .ref_null(HeapType::FUNC)
            .local_get(0)
            .table_grow(self.pages_table())
            .end();
        function
    }
}

type Outcome = Result<(), Error>;

impl Reencode for Rewrite<'_> {
    type Error = std::convert::Infallible;

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>, Error> {
        match operator {
            Operator::MemorySize { mem: 0 } if self.pages.is_some() => {
                Ok(Instruction::TableSize(self.pages_table()))
            }
            Operator::MemoryGrow { mem: 0 } if self.pages.is_some() => {
                Ok(Instruction::Call(self.grow_function()))
            }
            operator => utils::instruction(self, operator),
        }
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: wasmparser::TypeSectionReader<'_>,
    ) -> Outcome {
        utils::parse_type_section(self, types, section)?;
        if self.pages.is_some() {
            types.ty().function([ValType::I32], [ValType::I32]);
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Outcome {
        utils::parse_function_section(self, functions, section)?;
        if self.pages.is_some() {
            functions.function(self.module.types);
        }
        Ok(())
    }

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: wasmparser::MemorySectionReader<'_>,
    ) -> Outcome {
        if let Some(pages) = self.pages {
            memories.memory(pages.memory_type());
        }
        for memory in section.into_iter().skip(usize::from(self.pages.is_some())) {
            // There are no threads to share it with.
            memories.memory(MemoryType { shared: false, ..self.memory_type(memory?)? });
        }
        Ok(())
    }

    fn parse_table_section(
        &mut self,
        tables: &mut TableSection,
        section: wasmparser::TableSectionReader<'_>,
    ) -> Outcome {
        utils::parse_table_section(self, tables, section)?;
        if let Some(pages) = self.pages {
            tables.table(pages.table_type());
        }
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Outcome {
        utils::parse_export_section(self, exports, section)?;
        if self.pages.is_some() || self.module.memory.is_some() {
            exports.export(MEMORY, ExportKind::Memory, 0);
        }
        if self.pages.is_some() {
            exports.export(PAGES, ExportKind::Table, self.pages_table());
            if let Some(start) = self.module.start {
                exports.export(START, ExportKind::Func, start);
            }
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: wasmparser::CodeSectionReader<'_>,
    ) -> Outcome {
        utils::parse_code_section(self, code, section)?;
        if self.pages.is_some() {
            code.function(&self.grow_body());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rewrites a module given as text, checks that the result is valid and shows the items that matter.
    fn check(text: &str, expected: &str) {
        let wasm = wat::parse_str(text).unwrap();
        let module = crate::interface::read(&wasm).unwrap();
        let (rewritten, arguments) = run(&wasm, &module).unwrap();
        let mut validator = wasmparser::Validator::new_with_features(flb_engine::features());
        let types = validator.validate_all(&rewritten).unwrap();
        let types = types.as_ref();
        let memory = types.memory_at(0);
        let table = (0..types.table_count()).next_back().map(|last| types.table_at(last));
        assert_eq!(
            format!(
                "{arguments:?} memory {}..{:?}{} table {:?} functions {}",
                memory.initial,
                memory.maximum,
                if memory.shared { " shared" } else { "" },
                table.map(|table| (table.initial, table.maximum)),
                types.function_count(),
            ),
            expected
        );
    }

    const F: &str = r#"(func (export "f") (result i32) i32.const 0)"#;

    #[test]
    fn the_size_that_the_guest_sees_is_a_tables() {
        check(
            &format!("(module (memory 2) {F})"),
            "Pages { limit: 4227858432 } memory 2..Some(65536) table Some((2, Some(65536))) functions 2",
        );
        check(
            &format!("(module (memory 2 3) (table 1 funcref) {F})"),
            "Pages { limit: 196608 } memory 2..Some(65536) table Some((2, Some(65536))) functions 2",
        );
        check(
            &format!(
                "(module (memory 5000 5000) (table 1 65536 funcref) (table 1 65537 funcref) {F})"
            ),
            "Pages { limit: 327680000 } memory 5000..Some(65536) table Some((5000, Some(65538))) functions 2",
        );
    }

    #[test]
    fn a_module_without_memory_gets_one_for_the_host() {
        check(
            &format!("(module {F} (data \"\"))"),
            "Pages { limit: 0 } memory 0..Some(65536) table Some((0, Some(65536))) functions 2",
        );
    }

    #[test]
    fn a_shared_memory_becomes_the_guests_own() {
        check(
            &format!("(module (memory 1 2 shared) {F})"),
            "Pages { limit: 131072 } memory 1..Some(65536) table Some((1, Some(65536))) functions 2",
        );
    }

    #[test]
    fn a_module_with_malloc_and_free_is_left_alone() {
        check(
            r#"(module (memory 2) (func (export "malloc") (param i32) (result i32) i32.const 0)
                (func (export "free") (param i32)))"#,
            "Malloc memory 2..None table None functions 2",
        );
    }

    #[test]
    fn a_memory_that_leaves_no_room_is_refused() {
        let wasm = wat::parse_str(format!("(module (memory 65000) {F})")).unwrap();
        let module = crate::interface::read(&wasm).unwrap();
        let error = run(&wasm, &module).unwrap_err().to_string();
        assert!(error.contains("starts with 65000 pages"), "{error}");
    }
}
