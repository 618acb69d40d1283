//! Gives the host pages of the guest's memory that no allocator of the guest can reach.
//!
//! A host that simply grows a guest's memory and writes there is overwritten sooner or later: allocators take everything up
//! to `memory.size` for theirs, some at start, some at their first allocation, some for ever. So a module that brings no
//! `malloc` and `free` for the host is rewritten: its `memory.size` and `memory.grow` become calls of two added functions
//! over an added global, the virtual size; the memory itself is declared as large as the virtual size may ever get, plus the
//! host's pages above it. To the guest it is an ordinary memory. Accesses between the virtual size and the end no longer
//! trap; they stay inside the sandbox.
//!
//! Pages that nobody touches cost address space only.

use flb_artifact::Arguments;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, GlobalSection,
    GlobalType, Instruction, InstructionSink, MemorySection, MemoryType, Module, SectionId,
    TypeSection, ValType,
};
use wasmparser::Operator;

use super::names;
use crate::CompileError;
use crate::interface::ModuleInfo;

/// Exported names that begin like this are the compiler's.
pub(crate) const RESERVED: &str = "flb:";
/// Memory 0, whatever else it is exported as.
pub const EXPORT_MEMORY: &str = "flb:memory";
/// Mutable i32 global: the size in pages that the guest sees.
pub const EXPORT_PAGES: &str = "flb:pages";
/// Mutable i32 global: how many pages the guest may grow to. Never below [`EXPORT_PAGES`].
pub const EXPORT_LIMIT: &str = "flb:limit";

/// Bytes in a page of WebAssembly memory.
const PAGE: u64 = 64 << 10;
/// Pages that a guest may grow to (256 MiB), unless it starts with more.
const GUEST_PAGES: u64 = 4096;
/// Pages of the host (64 MiB): the longest tag and a 16 MiB record in its longest JSON form fit.
const HOST_PAGES: u64 = 1024;
/// Pages that a 32-bit memory can have.
const ALL_PAGES: u64 = 65_536;

/// Rewrites the module; says how arguments reach it from now on.
pub(crate) fn run(wasm: &[u8], module: &ModuleInfo) -> Result<(Vec<u8>, Arguments), CompileError> {
    let allocator = module.allocator();
    let pages = match module.memory {
        _ if allocator.is_some() => None,
        Some(memory) if memory.memory64 => {
            return Err(CompileError::unsupported(
                "its memory is 64-bit and it exports no malloc and free",
                "build the filter for wasm32",
            ));
        }
        memory => Some(Pages::plan(memory)?),
    };
    let mut rewrite = Rewrite { module, pages };
    let mut output = Module::new();
    rewrite
        .parse_core_module(&mut output, wasmparser::Parser::new(0), wasm)
        .map_err(|error| CompileError::Codegen { reason: error.to_string() })?;
    let pages =
        |pages: Pages| Arguments::Pages { offset: pages.limit * PAGE, size: HOST_PAGES * PAGE };
    let arguments = rewrite.pages.map(pages).or(allocator).unwrap_or(Arguments::Malloc);
    let rewritten = match rewrite.pages {
        Some(_) => names::add(&output.finish(), &rewrite.names())?,
        None => output.finish(),
    };
    Ok((rewritten, arguments))
}

/// The virtual memory's measures, in pages.
#[derive(Debug, Clone, Copy)]
struct Pages {
    initial: u64,
    limit: u64,
}

impl Pages {
    fn plan(memory: Option<wasmparser::MemoryType>) -> Result<Self, CompileError> {
        let initial = memory.map_or(0, |memory| memory.initial);
        let declared = memory.map_or(0, |memory| memory.maximum.unwrap_or(ALL_PAGES));
        let limit = declared.min(GUEST_PAGES).max(initial);
        if limit + HOST_PAGES > ALL_PAGES {
            return Err(CompileError::unsupported(
                format!("its memory starts with {initial} pages, which leaves none to the host"),
                "lower the initial memory (linker option --initial-memory)",
            ));
        }
        Ok(Self { initial, limit })
    }

    fn memory_type(self) -> MemoryType {
        let all = self.limit + HOST_PAGES;
        MemoryType {
            minimum: all,
            maximum: Some(all),
            memory64: false,
            shared: false,
            page_size_log2: None,
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
    fn size_function(&self) -> u32 {
        self.module.functions
    }

    fn grow_function(&self) -> u32 {
        self.module.functions + 1
    }

    /// What the added functions are called.
    fn names(&self) -> [(u32, &'static str); 2] {
        [(self.size_function(), "flb:size"), (self.grow_function(), "flb:grow")]
    }

    fn pages_global(&self) -> u32 {
        self.module.globals
    }

    fn limit_global(&self) -> u32 {
        self.module.globals + 1
    }

    fn add_globals(&self, globals: &mut GlobalSection) {
        let Some(pages) = self.pages else { return };
        let ty = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        // Page counts are at most 65,536.
        globals.global(ty, &ConstExpr::i32_const(pages.initial as i32));
        globals.global(ty, &ConstExpr::i32_const(pages.limit as i32));
    }

    /// `memory.size`: the virtual size.
    fn size_body(&self) -> Function {
        let mut function = Function::new([]);
        function.instructions().global_get(self.pages_global()).end();
        function
    }

    /// `memory.grow`: moves the virtual size up, or answers -1 past the limit.
    fn grow_body(&self) -> Function {
        let mut function = Function::new([]);
        let mut code: InstructionSink<'_> = function.instructions();
        code.local_get(0)
            .global_get(self.limit_global())
            .global_get(self.pages_global())
            .i32_sub()
            .i32_gt_u()
            .if_(wasm_encoder::BlockType::Result(ValType::I32))
            .i32_const(-1)
            .else_()
            .global_get(self.pages_global())
            .global_get(self.pages_global())
            .local_get(0)
            .i32_add()
            .global_set(self.pages_global())
            .end()
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
                Ok(Instruction::Call(self.size_function()))
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
            types.ty().function([], [ValType::I32]);
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
            functions.function(self.module.types).function(self.module.types + 1);
        }
        Ok(())
    }

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: wasmparser::MemorySectionReader<'_>,
    ) -> Outcome {
        for (index, memory) in section.into_iter().enumerate() {
            let memory = memory?;
            match self.pages {
                Some(pages) if index == 0 => memories.memory(pages.memory_type()),
                _ => memories.memory(self.memory_type(memory)?),
            };
        }
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: wasmparser::GlobalSectionReader<'_>,
    ) -> Outcome {
        utils::parse_global_section(self, globals, section)?;
        self.add_globals(globals);
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Outcome {
        utils::parse_export_section(self, exports, section)?;
        if self.pages.is_some() || self.module.memory.is_some() {
            exports.export(EXPORT_MEMORY, ExportKind::Memory, 0);
        }
        if self.pages.is_some() {
            exports.export(EXPORT_PAGES, ExportKind::Global, self.pages_global());
            exports.export(EXPORT_LIMIT, ExportKind::Global, self.limit_global());
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
            code.function(&self.size_body()).function(&self.grow_body());
        }
        Ok(())
    }

    /// Adds the memory and global sections where the module has none. Types, functions, exports and code are always
    /// there: a module without them was refused.
    fn intersperse_section_hook(
        &mut self,
        output: &mut Module,
        after: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Outcome {
        let Some(pages) = self.pages else { return Ok(()) };
        let gap = rank(after)..rank(before);
        if !self.module.has_memory_section && gap.contains(&rank(Some(SectionId::Memory))) {
            let mut memories = MemorySection::new();
            memories.memory(pages.memory_type());
            output.section(&memories);
        }
        if !self.module.has_global_section && gap.contains(&rank(Some(SectionId::Global))) {
            let mut globals = GlobalSection::new();
            self.add_globals(&mut globals);
            output.section(&globals);
        }
        Ok(())
    }
}

/// Where a section stands in a module; `None` before the first section is 0 by being less than all others.
pub(super) fn rank(section: Option<SectionId>) -> u8 {
    const ORDER: [SectionId; 13] = [
        SectionId::Type,
        SectionId::Import,
        SectionId::Function,
        SectionId::Table,
        SectionId::Memory,
        SectionId::Tag,
        SectionId::Global,
        SectionId::Export,
        SectionId::Start,
        SectionId::Element,
        SectionId::DataCount,
        SectionId::Code,
        SectionId::Data,
    ];
    let place = |section| ORDER.iter().position(|known| *known == section);
    section.and_then(place).map_or(0, |place| place as u8 + 1)
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
        assert_eq!(
            format!(
                "{arguments:?} memory {}..{:?}{} functions {} globals {}",
                memory.initial,
                memory.maximum,
                if memory.shared { " shared" } else { "" },
                types.function_count(),
                types.global_count()
            ),
            expected
        );
    }

    const F: &str = r#"(func (export "f") (result i32) i32.const 0)"#;

    #[test]
    fn the_host_gets_pages_above_all_that_the_guest_may_grow_to() {
        check(
            &format!("(module (memory 2) {F})"),
            "Pages { offset: 268435456, size: 67108864 } memory 5120..Some(5120) functions 3 globals 2",
        );
        check(
            &format!("(module (memory 2 3) (global i32 (i32.const 1)) {F})"),
            "Pages { offset: 196608, size: 67108864 } memory 1027..Some(1027) functions 3 globals 3",
        );
        check(
            &format!("(module (memory 5000) {F})"),
            "Pages { offset: 327680000, size: 67108864 } memory 6024..Some(6024) functions 3 globals 2",
        );
    }

    #[test]
    fn a_module_without_memory_gets_one_for_the_host() {
        check(
            &format!("(module {F} (data \"\"))"),
            "Pages { offset: 0, size: 67108864 } memory 1024..Some(1024) functions 3 globals 2",
        );
    }

    #[test]
    fn a_shared_memory_becomes_the_guests_own() {
        check(
            &format!("(module (memory 1 2 shared) {F})"),
            "Pages { offset: 131072, size: 67108864 } memory 1026..Some(1026) functions 3 globals 2",
        );
    }

    #[test]
    fn a_module_with_malloc_and_free_is_left_alone() {
        check(
            r#"(module (memory 2) (func (export "malloc") (param i32) (result i32) i32.const 0)
                (func (export "free") (param i32)))"#,
            "Malloc memory 2..None functions 2 globals 0",
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
