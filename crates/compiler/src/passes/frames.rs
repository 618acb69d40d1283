//! Lets the host know which functions were running when a call failed: for portable code, whose interpreter does not say.
//!
//! Every function notes its number in a memory of its own kind, which no instruction of the guest can name, behind that of the
//! function that called it. How far the notes go is a global. Whoever calls sets it back when the call is over, so it is right
//! however a function returns, and a call costs a few instructions. The host sets it to 0 before it calls. A function that
//! makes a tail call gives its place to the next.
//!
//! The names of functions stand in a section of ours, and marks of lines go: nothing reads them here. The start function
//! becomes an export, so that it runs when the host is ready to end it.
//!
//! Tables grow otherwise. The interpreter, wasmi 2.0.0, forgets where it was if what it is granted for a time runs out at a
//! `table.grow`, and such a call must not go on. It runs out there by one for every eight elements. So the table that stands for the
//! memory's size grows by a call of the host, which costs nothing of that; and any other by seven elements at the most: WebAssembly
//! lets growing fail for whatever reason.

use std::convert::Infallible;

use flb_artifact::contract::{DEPTH, FRAMES, GROW, NAMES, PAGES, START};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    ConstExpr, CustomSection, EntityType, ExportKind, ExportSection, GlobalSection, GlobalType,
    ImportSection, Instruction, MemArg, MemorySection, MemoryType, Section as _, SectionId,
    TypeSection, ValType,
};
use wasmparser::{ExternalKind, KnownCustom, Payload, TypeRef};

use super::functions::{Body, rewrite, rewrite_bodies};
use super::skeleton::{with_sections, without_start};
use super::{lines, sections};
use crate::CompileError;

/// Bytes of a note.
const NOTE: i32 = 4;
/// The imported function that grows the memory, until it has its number.
const GROWING: u32 = u32::MAX;
/// So many elements, or more, are refused to who grows a table.
const TOO_MANY: i32 = 8;

/// Rewrites the module.
pub(crate) fn run(wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let shape = Shape::read(wasm).map_err(|error| CompileError::invalid(&error))?;
    let names = names(wasm).map_err(|error| CompileError::invalid(&error))?;
    let wanted = [SectionId::Import, SectionId::Memory, SectionId::Global, SectionId::Export];
    let wasm = without_start(wasm)
        .and_then(|wasm| with_sections(&wasm, &wanted))
        .map_err(|error| CompileError::invalid(&error))?;
    let mut function = shape.imports;
    let noting = rewrite_bodies(&wasm, |_, body| {
        shape.note(function, body);
        function += 1;
    })?;
    let noting = sections::without_custom(&noting)?;
    let mut rewritten = rewrite(&mut Frames { shape }, &noting)?;
    if !names.is_empty() {
        append(&mut rewritten, &names);
    }
    super::must_fit(&rewritten)?;
    Ok(rewritten)
}

/// What must be known of a module to add to it.
#[derive(Debug, Default, Clone, Copy)]
struct Shape {
    types: u32,
    /// How many functions are imported.
    imports: u32,
    /// The table that stands for the memory's size.
    pages: Option<u32>,
    memories: u32,
    globals: u32,
    start: Option<u32>,
}

impl Shape {
    fn read(wasm: &[u8]) -> Result<Self, wasmparser::Error> {
        let mut shape = Self::default();
        for payload in wasmparser::Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::TypeSection(section) => {
                    for group in section {
                        // A module has at most a million of them.
                        shape.types += group?.types().len() as u32;
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section {
                        let export = export?;
                        let is_pages = export.kind == ExternalKind::Table && export.name == PAGES;
                        shape.pages = shape.pages.or(is_pages.then_some(export.index));
                    }
                }
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let is_function =
                            matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
                        shape.imports += u32::from(is_function);
                    }
                }
                Payload::MemorySection(section) => shape.memories = section.count(),
                Payload::GlobalSection(section) => shape.globals = section.count(),
                Payload::StartSection { func, .. } => shape.start = Some(func),
                _ => {}
            }
        }
        Ok(shape)
    }

    /// Makes a function note its number.
    fn note(self, function: u32, body: &mut Body<'_>) {
        lines::remove(&mut body.code);
        let (depth, place) = (self.globals, body.add_local(ValType::I32));
        let mut code = vec![
            Instruction::GlobalGet(depth),
            Instruction::I32Const(NOTE),
            Instruction::I32Add,
            Instruction::LocalTee(place),
            Instruction::GlobalSet(depth),
            Instruction::LocalGet(place),
            Instruction::I32Const(function.cast_signed()),
            Instruction::I32Store(MemArg { offset: 0, align: 2, memory_index: self.memories }),
        ];
        let grows = body.code.iter().any(|one| matches!(one, Instruction::TableGrow(_)));
        let delta = if grows { body.add_local(ValType::I32) } else { place };
        for instruction in std::mem::take(&mut body.code) {
            let is_call =
                matches!(instruction, Instruction::Call(_) | Instruction::CallIndirect { .. });
            let is_tail_call = matches!(
                instruction,
                Instruction::ReturnCall(_) | Instruction::ReturnCallIndirect { .. }
            );
            if is_tail_call {
                code.extend([Instruction::LocalGet(place), Instruction::I32Const(NOTE)]);
                code.extend([Instruction::I32Sub, Instruction::GlobalSet(depth)]);
            }
            match instruction {
                Instruction::TableGrow(table) if self.pages == Some(table) => {
                    code.extend([Instruction::LocalSet(delta), Instruction::Drop]);
                    code.extend([Instruction::LocalGet(delta), Instruction::Call(GROWING)]);
                }
                Instruction::TableGrow(_) => {
                    code.extend([Instruction::LocalTee(delta), Instruction::I32Const(-1)]);
                    code.extend([Instruction::LocalGet(delta), Instruction::I32Const(TOO_MANY)]);
                    code.extend([Instruction::I32LtU, Instruction::Select, instruction]);
                }
                instruction => code.push(instruction),
            }
            if is_call {
                code.extend([Instruction::LocalGet(place), Instruction::GlobalSet(depth)]);
            }
        }
        body.code = code;
    }
}

/// The rewriter. Of every kind of item, the added ones come after those that were there; the imported function comes after the
/// imports.
struct Frames {
    shape: Shape,
}

/// More notes fit than the interpreter lets functions be nested.
const NOTES: MemoryType = MemoryType {
    minimum: 1,
    maximum: Some(1),
    memory64: false,
    shared: false,
    page_size_log2: None,
};

type Outcome = Result<(), Error>;

impl Reencode for Frames {
    type Error = Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, Error> {
        let Shape { imports, pages, .. } = self.shape;
        Ok(match index {
            GROWING => imports,
            index if pages.is_some() && index >= imports => index + 1,
            index => index,
        })
    }

    fn parse_type_section(
        &mut self,
        types: &mut TypeSection,
        section: wasmparser::TypeSectionReader<'_>,
    ) -> Outcome {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([ValType::I32], [ValType::I32]);
        Ok(())
    }

    fn parse_import_section(
        &mut self,
        imports: &mut ImportSection,
        section: wasmparser::ImportSectionReader<'_>,
    ) -> Outcome {
        utils::parse_import_section(self, imports, section)?;
        if self.shape.pages.is_some() {
            imports.import(GROW, GROW, EntityType::Function(self.shape.types));
        }
        Ok(())
    }

    fn parse_memory_section(
        &mut self,
        memories: &mut MemorySection,
        section: wasmparser::MemorySectionReader<'_>,
    ) -> Outcome {
        utils::parse_memory_section(self, memories, section)?;
        memories.memory(NOTES);
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: wasmparser::GlobalSectionReader<'_>,
    ) -> Outcome {
        utils::parse_global_section(self, globals, section)?;
        let depth = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
        globals.global(depth, &ConstExpr::i32_const(0));
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Outcome {
        let Shape { memories, globals, start, .. } = self.shape;
        let mut has_start = false;
        for export in section.clone() {
            has_start |= export?.name == START;
        }
        utils::parse_export_section(self, exports, section)?;
        exports.export(FRAMES, ExportKind::Memory, memories);
        exports.export(DEPTH, ExportKind::Global, globals);
        if let Some(start) = start.filter(|_| !has_start) {
            exports.export(START, ExportKind::Func, self.function_index(start)?);
        }
        Ok(())
    }
}

/// The functions' names, one behind the other by their numbers, with a NUL behind each.
fn names(wasm: &[u8]) -> Result<Vec<u8>, wasmparser::Error> {
    let mut names = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        if let Payload::CustomSection(section) = payload?
            && let KnownCustom::Name(section) = section.as_known()
        {
            let mut next = 0;
            for (function, name) in sections::read(section)? {
                names.resize(names.len() + (function - next) as usize, 0);
                names.extend(name.bytes().filter(|byte| *byte != 0));
                names.push(0);
                next = function + 1;
            }
        }
    }
    Ok(names)
}

/// Appends the names in a section of ours.
fn append(wasm: &mut Vec<u8>, names: &[u8]) {
    let section = CustomSection { name: NAMES.into(), data: names.into() };
    section.append_to(wasm);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::{check, validate};

    /// What every function begins with, noting its number.
    fn note(function: u32) -> String {
        format!(
            "(global.set $depth (local.tee $place (i32.add (global.get $depth) (i32.const 4))))
             (i32.store $notes (local.get $place) (i32.const {function}))"
        )
    }

    #[test]
    fn functions_note_where_they_are_and_callers_set_it_back() {
        check(
            run,
            r#"(module (import "m" "i" (func $i)) (memory 1) (global i32 (i32.const 1))
                (func $g (param i32) (result i32) (return (local.get 0)))
                (func (export "f") (result i32) (call $i) (call $g (i32.const 7)))
                (func (result i32) (return_call $g (i32.const 8))))"#,
            &format!(
                r#"(module (import "m" "i" (func $i)) (memory 1) (memory $notes 1 1)
                    (global i32 (i32.const 1)) (global $depth (mut i32) (i32.const 0))
                    (func $g (param i32) (result i32) (local $place i32) {} (return (local.get 0)))
                    (func (export "f") (result i32) (local $place i32) {}
                        (call $i) (global.set $depth (local.get $place))
                        (call $g (i32.const 7)) (global.set $depth (local.get $place)))
                    (func (result i32) (local $place i32) {}
                        i32.const 8
                        (global.set $depth (i32.sub (local.get $place) (i32.const 4)))
                        return_call $g))"#,
                note(1),
                note(2),
                note(3)
            ),
        );
    }

    #[test]
    fn the_table_of_pages_grows_by_a_call_of_the_host_and_others_by_little() {
        check(
            run,
            r#"(module (table 1 funcref) (table $p (export "flb:pages") 1 funcref)
                (func (param i32) (result i32) (table.grow $p (ref.null func) (local.get 0)))
                (func (param i32) (result i32) (table.grow 0 (ref.null func) (local.get 0))))"#,
            &format!(
                r#"(module (import "flb:grow" "flb:grow" (func $grow (param i32) (result i32)))
                    (table 1 funcref) (table $p (export "flb:pages") 1 funcref) (memory $notes 1 1)
                    (global $depth (mut i32) (i32.const 0))
                    (func (param i32) (result i32) (local $place i32) (local $n i32) {}
                        (ref.null func) (local.get 0) (local.set $n) drop (call $grow (local.get $n)))
                    (func (param i32) (result i32) (local $place i32) (local $n i32) {}
                        (table.grow 0 (ref.null func)
                            (select (local.tee $n (local.get 0)) (i32.const -1)
                                (i32.lt_u (local.get $n) (i32.const 8))))))"#,
                note(0),
                note(1)
            ),
        );
    }

    #[test]
    fn names_stand_in_a_section_of_ours_and_the_start_function_is_an_export() {
        let text = r#"(module (func) (func $a) (func) (func $b (export "f")) (start $a))"#;
        let rewritten = run(&wat::parse_str(text).unwrap()).unwrap();
        validate(&rewritten);
        let (mut names, mut exports) = (Vec::new(), Vec::new());
        for payload in wasmparser::Parser::new(0).parse_all(&rewritten) {
            match payload.unwrap() {
                Payload::CustomSection(section) => {
                    names.push((section.name().to_owned(), section.data().to_vec()));
                }
                Payload::ExportSection(section) => {
                    exports
                        .extend(section.into_iter().map(|export| export.unwrap().name.to_owned()));
                }
                Payload::StartSection { .. } => panic!("it has a start section"),
                _ => {}
            }
        }
        assert_eq!(names, [(NAMES.to_owned(), b"\0a\0\0b\0".to_vec())]);
        assert_eq!(exports, ["f", FRAMES, DEPTH, START]);
    }
}
