//! Gives the host places at which a guest ends that runs too long: for code that signals interrupt.
//!
//! A signal takes a thread out of the guest's own instructions, so ordinary code needs nothing and stays as it is. What
//! takes its time outside of them looks at a flag when it is through: bulk operations, growing, and calls of the host. For
//! the latter, every imported function gets a twin that calls it and looks at the flag, and whoever referred to the import
//! refers to the twin. The flag is a memory of its own, which no instruction of the guest can name. The start function
//! becomes an export, so that it runs when the host has found the flag.

use std::convert::Infallible;

use flb_artifact::contract::{FLAG, SPIN, START, STOP};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, ExportKind, ExportSection, Function, FunctionSection, Instruction,
    MemArg, MemorySection, MemoryType, SectionId, TypeSection, ValType,
};
use wasmparser::{CompositeInnerType, Payload, TypeRef};

use super::functions::rewrite;
use super::names;
use super::skeleton::{with_sections, without_start};
use crate::CompileError;

/// What the twins of imported functions are called.
const TWIN: &str = "flb:host";

/// Shorter copies of known length are loads and stores, nothing that would have to be waited for.
const SHORT: u32 = 128;

/// Rewrites the module.
pub(crate) fn run(wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let shape = Shape::read(wasm).map_err(|error| CompileError::invalid(&error))?;
    let wasm = without_start(wasm)
        .and_then(|wasm| with_sections(&wasm, &[SectionId::Memory]))
        .map_err(|error| CompileError::invalid(&error))?;
    let mut stops = Stops { shape };
    let rewritten = rewrite(&mut stops, &wasm)?;
    names::add(&rewritten, &stops.names())
}

/// What must be known of a module to add to it.
#[derive(Debug, Default)]
struct Shape {
    /// Number of parameters of each type; nothing but functions is called.
    types: Vec<u32>,
    /// Types of the imported functions, which have the first indices.
    imports: Vec<u32>,
    functions: u32,
    memories: u32,
    start: Option<u32>,
}

impl Shape {
    fn read(wasm: &[u8]) -> Result<Self, wasmparser::Error> {
        let mut shape = Self::default();
        for payload in wasmparser::Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        for ty in group?.into_types() {
                            shape.types.push(match ty.composite_type.inner {
                                // A type has at most 1,000 of them.
                                CompositeInnerType::Func(ty) => ty.params().len() as u32,
                                _ => 0,
                            });
                        }
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        if let TypeRef::Func(ty) | TypeRef::FuncExact(ty) = import?.ty {
                            shape.imports.push(ty);
                        }
                    }
                }
                Payload::FunctionSection(section) => shape.functions = section.count(),
                Payload::MemorySection(section) => shape.memories = section.count(),
                Payload::StartSection { func, .. } => shape.start = Some(func),
                _ => {}
            }
        }
        shape.functions += shape.imports.len() as u32;
        Ok(shape)
    }
}

/// The rewriter. Of every kind of item, the added ones come after those that were there.
struct Stops {
    shape: Shape,
}

impl Stops {
    /// The twin of the first imported function.
    fn first_twin(&self) -> u32 {
        self.shape.functions
    }

    fn stop_function(&self) -> u32 {
        self.first_twin() + self.shape.imports.len() as u32
    }

    /// What the added functions are called.
    fn names(&self) -> Vec<(u32, &'static str)> {
        let twins = (self.first_twin()..self.stop_function()).map(|twin| (twin, TWIN));
        let stop = self.stop_function();
        twins.chain([(stop, STOP), (stop + 1, SPIN)]).collect()
    }

    /// Ends the guest if the flag is set.
    fn look(&self) -> [Instruction<'static>; 5] {
        let flag = MemArg { offset: 0, align: 2, memory_index: self.shape.memories };
        [
            Instruction::I32Const(0),
            Instruction::I32Load(flag),
            Instruction::If(BlockType::Empty),
            Instruction::Unreachable,
            Instruction::End,
        ]
    }

    fn twin(&self, import: usize) -> Function {
        let ty = self.shape.imports[import];
        let params = self.shape.types.get(ty as usize).copied().unwrap_or_default();
        let mut function = Function::new([]);
        (0..params).for_each(|local| {
            function.instruction(&Instruction::LocalGet(local));
        });
        function.instruction(&Instruction::Call(import as u32));
        self.look().iter().for_each(|instruction| {
            function.instruction(instruction);
        });
        function.instruction(&Instruction::End);
        function
    }
}

fn stop() -> Function {
    let mut function = Function::new([]);
    function.instructions().unreachable().end();
    function
}

fn spin() -> Function {
    let mut function = Function::new([]);
    function
        .instructions()
        .loop_(BlockType::Empty)
        .local_get(0)
        .i32_const(1)
        .i32_sub()
        .local_tee(0)
        .br_if(0)
        .end()
        .end();
    function
}

/// Whether the instruction may take long outside of the guest's own code, given the one before it.
fn takes_long(instruction: &Instruction<'_>, before: Option<&Instruction<'_>>) -> bool {
    match instruction {
        Instruction::MemoryFill(_)
        | Instruction::MemoryCopy { .. }
        | Instruction::MemoryInit { .. } => !matches!(
            before,
            Some(Instruction::I32Const(length)) if length.cast_unsigned() <= SHORT
        ),
        Instruction::MemoryGrow(_)
        | Instruction::TableFill(_)
        | Instruction::TableCopy { .. }
        | Instruction::TableInit { .. }
        | Instruction::TableGrow(_)
        | Instruction::DataDrop(_)
        | Instruction::ElemDrop(_) => true,
        _ => false,
    }
}

const FLAG_MEMORY: MemoryType = MemoryType {
    minimum: 1,
    maximum: Some(1),
    memory64: false,
    shared: false,
    page_size_log2: None,
};

type Outcome = Result<(), Error>;

impl Reencode for Stops {
    type Error = Infallible;

    /// Of an import, its twin.
    fn function_index(&mut self, index: u32) -> Result<u32, Error> {
        let is_import = (index as usize) < self.shape.imports.len();
        Ok(if is_import { self.first_twin() + index } else { index })
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: wasmparser::TypeSectionReader<'_>,
    ) -> Outcome {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([], []);
        types.ty().function([ValType::I32], []);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Outcome {
        utils::parse_function_section(self, functions, section)?;
        for ty in &self.shape.imports {
            functions.function(*ty);
        }
        let types = self.shape.types.len() as u32;
        functions.function(types).function(types + 1);
        Ok(())
    }

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: wasmparser::MemorySectionReader<'_>,
    ) -> Outcome {
        utils::parse_memory_section(self, memories, section)?;
        memories.memory(FLAG_MEMORY);
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Outcome {
        utils::parse_export_section(self, exports, section)?;
        exports.export(STOP, ExportKind::Func, self.stop_function());
        exports.export(SPIN, ExportKind::Func, self.stop_function() + 1);
        exports.export(FLAG, ExportKind::Memory, self.shape.memories);
        if let Some(start) = self.shape.start {
            exports.export(START, ExportKind::Func, self.function_index(start)?);
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: wasmparser::CodeSectionReader<'_>,
    ) -> Outcome {
        utils::parse_code_section(self, code, section)?;
        for import in 0..self.shape.imports.len() {
            code.function(&self.twin(import));
        }
        code.function(&stop()).function(&spin());
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: wasmparser::FunctionBody<'_>,
    ) -> Outcome {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        let mut reader = body.get_operators_reader()?;
        let mut before = None;
        while !reader.eof() {
            let instruction = self.parse_instruction(&mut reader)?;
            function.instruction(&instruction);
            if takes_long(&instruction, before.as_ref()) {
                self.look().iter().for_each(|instruction| {
                    function.instruction(instruction);
                });
            }
            before = Some(instruction);
        }
        code.function(&function);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::passes::testing::check;

    /// What every module gets.
    const STOP_AND_SPIN: &str = "(func unreachable) (func (param i32)
        (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))";

    fn look(memory: u32) -> String {
        format!("(if (i32.load {memory} (i32.const 0)) (then unreachable))")
    }

    #[test]
    fn ordinary_code_stays_as_it_is() {
        let code = r#"(func $f (export "f") (param i32) (result i32)
            (loop $l (memory.copy (i32.const 1) (i32.const 2) (i32.const 128))
                (i32.store (local.get 0) (call $f (local.get 0))) (br $l)) unreachable)"#;
        check(
            super::run,
            &format!("(module (memory 1) {code})"),
            &format!("(module (memory 1) {code} {STOP_AND_SPIN})"),
        );
    }

    #[test]
    fn what_may_take_long_looks_at_the_flag() {
        let module = |look: &str, more: &str| {
            format!(
                r#"(module (memory 1) (memory i64 1) (memory 0) (table 1 funcref) (data $d "x") (elem $e func)
                (func (export "f") (param i32)
                    (memory.fill (i32.const 0) (i32.const 0) (local.get 0)) {look}
                    (memory.fill (i32.const 0) (i32.const 0) (i32.const 129)) {look}
                    (memory.fill (i32.const 0) (i32.const 0) (i32.const -1)) {look}
                    (memory.copy 1 1 (i64.const 0) (i64.const 0) (i64.const 1)) {look}
                    (memory.init $d (i32.const 0) (i32.const 0) (local.get 0)) {look}
                    (table.fill 0 (i32.const 0) (ref.null func) (i32.const 1)) {look}
                    (table.copy (i32.const 0) (i32.const 0) (i32.const 1)) {look}
                    (table.init $e (i32.const 0) (i32.const 0) (i32.const 1)) {look}
                    (memory.grow (i32.const 0)) {look} drop
                    (table.grow 0 (ref.null func) (i32.const 1)) {look} drop
                    (data.drop $d) {look} (elem.drop $e) {look})
                {more})"#
            )
        };
        check(super::run, &module("", ""), &module(&look(3), STOP_AND_SPIN));
    }

    #[test]
    fn calls_of_the_host_look_at_the_flag() {
        let module = |a: &str, b: &str, look: &str, more: &str| {
            format!(
                r#"(module (import "m" "a" (func $a (param i32 i64) (result i32 i32)))
                (import "m" "b" (func $b)) {look}
                (func $f (export "f") (param i32)
                    (call {a} (i32.const 1) (i64.const 2)) drop drop (ref.func {b}) drop
                    (call $f (local.get 0)) (return_call {b}))
                {more} (elem declare func {b}))"#
            )
        };
        let twins = format!(
            "(func $ta (param i32 i64) (result i32 i32)
                (call $a (local.get 0) (local.get 1)) {look})
            (func $tb (call $b) {look}) {STOP_AND_SPIN}",
            look = look(0),
        );
        check(
            super::run,
            &module("$a", "$b", "", ""),
            &module("$ta", "$tb", "(memory 1 1)", &twins),
        );
    }

    #[test]
    fn the_start_function_waits_for_the_host() {
        let wasm = wat::parse_str(r#"(module (func (export "f")) (start 0))"#).unwrap();
        let rewritten = super::run(&wasm).unwrap();
        crate::passes::testing::validate(&rewritten);
        let exports = wasmparser::Parser::new(0).parse_all(&rewritten).find_map(|payload| {
            match payload.unwrap() {
                wasmparser::Payload::StartSection { .. } => panic!("it still starts"),
                wasmparser::Payload::ExportSection(section) => {
                    Some(section.into_iter().map(|one| one.unwrap().name).collect::<Vec<_>>())
                }
                _ => None,
            }
        });
        assert_eq!(exports.unwrap(), ["f", "flb:stop", "flb:spin", "flb:flag", "flb:start"]);
    }
}
