//! Takes the lines of instructions through all passes: as instructions that do nothing, which passes move and copy with the
//! others.
//!
//! Before an instruction of another line than the one before, and at the beginning of a loop, whose body may be repeated, stands a constant
//! that says the line's number, and is dropped. The code generator makes no code of that. Passes take such marks for nothing
//! where they count instructions, so code is the same with debug information and without.

use std::convert::Infallible;
use std::slice::Iter;

use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{CodeSection, Instruction};
use wasmparser::{Operator, Payload};

use super::functions::rewrite;
use crate::CompileError;

/// The upper half of a mark's constant; the lower one is the line's number.
const MARK: i64 = 0x464c_424c << 32;
/// The number for code of which nobody knows the line.
const UNKNOWN: u32 = u32::MAX;

fn mark(number: u32) -> i64 {
    MARK | i64::from(number)
}

/// The number that a constant says, if it is a mark's.
fn marked(constant: i64) -> Option<u32> {
    // The lower half is the number, the upper one says that it is one.
    (constant & !0xffff_ffff == MARK).then_some(constant as u32)
}

/// Instructions without those of marks.
pub(super) fn weight(code: &[Instruction<'_>]) -> usize {
    let is_mark = |one: &&Instruction<'_>| matches!(one, Instruction::I64Const(constant) if marked(*constant).is_some());
    code.len().saturating_sub(2 * code.iter().filter(is_mark).count())
}

/// Removes the marks from code.
pub(super) fn remove(code: &mut Vec<Instruction<'_>>) {
    let mut was_mark = false;
    code.retain(|one| {
        // Behind a mark's constant stands what drops it.
        let is_drop = std::mem::take(&mut was_mark);
        was_mark = matches!(one, Instruction::I64Const(constant) if marked(*constant).is_some());
        !was_mark && !is_drop
    });
}

/// Copies a module with marks for these lines, of all instructions of its first bodies.
pub(crate) fn add(wasm: &[u8], lines: &[Vec<Option<u32>>]) -> Result<Vec<u8>, CompileError> {
    rewrite(&mut Marks { bodies: lines.iter() }, wasm)
}

struct Marks<'l> {
    /// The lines of the bodies that are yet to come.
    bodies: Iter<'l, Vec<Option<u32>>>,
}

impl Reencode for Marks<'_> {
    type Error = Infallible;

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: wasmparser::FunctionBody<'_>,
    ) -> Result<(), Error> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        let mut lines = self.bodies.next().map(|lines| lines.iter()).unwrap_or_default();
        let mut reader = body.get_operators_reader()?;
        let mut said = Some(UNKNOWN);
        while !reader.eof() {
            let instruction = self.parse_instruction(&mut reader)?;
            let line = lines.next().copied().flatten().unwrap_or(UNKNOWN);
            if said != Some(line) && !stays_behind(&instruction) {
                function.instruction(&Instruction::I64Const(mark(line)));
                function.instruction(&Instruction::Drop);
                said = Some(line);
            }
            if let Instruction::Loop(_) = instruction {
                said = None;
            }
            function.instruction(&instruction);
        }
        code.function(&function);
        Ok(())
    }
}

/// Whether no mark may stand before an instruction: it needs none, as no code is made of it; or a pass looks at what is before it.
fn stays_behind(instruction: &Instruction<'_>) -> bool {
    matches!(
        instruction,
        Instruction::Nop
            | Instruction::Block(_)
            | Instruction::Else
            | Instruction::End
            | Instruction::MemoryFill(_)
            | Instruction::MemoryCopy { .. }
            | Instruction::MemoryInit { .. }
    )
}

/// The lines of a module's code, by where it stands in the module.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// From each offset on, the line's number.
    from: Vec<(u32, Option<u32>)>,
}

impl Lines {
    /// Reads the marks of a module.
    pub(crate) fn read(wasm: &[u8]) -> Result<Self, wasmparser::Error> {
        let mut lines = Self::default();
        for payload in wasmparser::Parser::new(0).parse_all(wasm) {
            if let Payload::CodeSectionEntry(body) = payload? {
                lines.push(body.range().start, None);
                for operator in body.get_operators_reader()?.into_iter_with_offsets() {
                    if let (Operator::I64Const { value }, offset) = operator?
                        && let Some(number) = marked(value)
                    {
                        lines.push(offset, Some(number).filter(|number| *number != UNKNOWN));
                    }
                }
            }
        }
        Ok(lines)
    }

    /// A module is shorter than 4 GiB.
    fn push(&mut self, offset: usize, line: Option<u32>) {
        if self.from.last().is_none_or(|(_, last)| *last != line) {
            self.from.push((offset as u32, line));
        }
    }

    /// Whether no line is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.from.iter().all(|(_, line)| line.is_none())
    }

    /// The line of what stands at an offset of the module.
    pub(crate) fn at(&self, offset: u32) -> Option<u32> {
        let behind = self.from.partition_point(|(from, _)| *from <= offset);
        self.from[..behind].last().and_then(|(_, line)| *line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::validate;
    use crate::passes::{br_table, stops, unroll};

    /// Two lines, the second within a loop, and a call behind it.
    const TEXT: &str = r#"(module (memory 1) (func $g) (func (export "f") (param i32)
        (drop (i32.load (local.get 0)))
        (loop (i32.store (local.get 0) (i32.const 1)) (br_if 0 (local.get 0)))
        (memory.fill (i32.const 0) (i32.const 0) (i32.const 64))
        (call $g)))"#;

    fn lines_of(wasm: &[u8]) -> Vec<Vec<Option<u32>>> {
        // The lines 7 of what loads, 8 of the loop, none of the fill, 9 of the call and what is behind it.
        let mut bodies = Vec::new();
        for payload in wasmparser::Parser::new(0).parse_all(wasm) {
            let Payload::CodeSectionEntry(body) = payload.unwrap() else { continue };
            let mut line = Some(7);
            let operators = body.get_operators_reader().unwrap().into_iter();
            let next = operators.map(|operator| {
                match operator.unwrap() {
                    Operator::Loop { .. } => line = Some(8),
                    Operator::Call { .. } => line = Some(9),
                    Operator::BrIf { .. } => return std::mem::take(&mut line),
                    _ => {}
                }
                line
            });
            bodies.push(next.collect());
        }
        bodies
    }

    /// The lines of instructions that can fail, in order.
    fn lines_after(wasm: &[u8]) -> Vec<Option<u32>> {
        let lines = Lines::read(wasm).unwrap();
        let mut found = Vec::new();
        for payload in wasmparser::Parser::new(0).parse_all(wasm) {
            let Payload::CodeSectionEntry(body) = payload.unwrap() else { continue };
            for operator in body.get_operators_reader().unwrap().into_iter_with_offsets() {
                let (operator, offset) = operator.unwrap();
                let fails = matches!(
                    operator,
                    Operator::I32Load { .. } | Operator::I32Store { .. } | Operator::Call { .. }
                );
                found.extend(fails.then(|| lines.at(offset as u32)));
            }
        }
        found
    }

    #[test]
    fn lines_go_through_the_passes_with_their_instructions() {
        let wasm = wat::parse_str(TEXT).unwrap();
        let marked = add(&wasm, &lines_of(&wasm)).unwrap();
        validate(&marked);
        assert_eq!(lines_after(&marked), [Some(7), Some(8), Some(9)]);
        let passed = unroll::run(&br_table::run(&marked).unwrap()).unwrap();
        validate(&passed);
        let four = [Some(8); 4];
        assert_eq!(lines_after(&passed), [&[Some(7)][..], &four, &[Some(9)]].concat());
        let stopped = stops::run(&passed).unwrap();
        validate(&stopped);
        assert_eq!(lines_after(&stopped), [&[Some(7)][..], &four, &[Some(9)]].concat());
    }

    #[test]
    fn marks_have_no_weight() {
        let number = Instruction::I64Const(mark(5));
        let code = [number, Instruction::Drop, Instruction::I64Const(5), Instruction::Drop];
        assert_eq!(weight(&code), 2);
        let mut code = code.to_vec();
        remove(&mut code);
        assert!(matches!(code[..], [Instruction::I64Const(5), Instruction::Drop]));
        assert_eq!(marked(mark(UNKNOWN)), Some(UNKNOWN));
        assert_eq!(marked(-1), None);
    }

    #[test]
    fn what_is_not_known_has_no_line() {
        let wasm = wat::parse_str(TEXT).unwrap();
        let marked = add(&wasm, &[]).unwrap();
        assert_eq!(lines_after(&marked), [None; 3]);
        assert!(Lines::read(&marked).unwrap().is_empty());
    }
}
