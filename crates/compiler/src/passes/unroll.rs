//! Repeats the bodies of innermost loops that call nothing.
//!
//! The code generator does not unroll: a value that is handed from one round to the next costs a move, each round a jump
//! and a look at the deadline. Needs no analysis: every copy keeps its tests, and a `br` that meant the next round leads to
//! the next copy.
//!
//! ```wat
//! loop BODY end   =>   block loop  block BODY br 2 end  block BODY br 2 end  block BODY br 2 end  BODY  end end
//! ```

use std::collections::BTreeSet;

use wasm_encoder::{BlockType, Instruction};

use super::functions::{Body, rewrite_bodies};
use super::lines::weight;
use crate::CompileError;

/// Copies of a body in the end.
const COPIES: usize = 4;
/// Most instructions that a loop may have afterwards; larger ones get two copies or stay.
const LARGEST: usize = 400;
/// How much a module may grow, in hundredths of its instructions,
const GROWTH_PERCENT: usize = 30;
/// or in instructions, if that is more: small modules may grow more.
const GROWTH: usize = 8192;

/// Rewrites the module.
pub(crate) fn run(wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let chosen = choose(wasm)?;
    let mut number = 0;
    rewrite_bodies(wasm, |_, body| unroll(body, &chosen, &mut number))
}

/// The loops to unroll, by their number in the module: the smallest first, until the module has grown enough.
fn choose(wasm: &[u8]) -> Result<BTreeSet<usize>, CompileError> {
    let mut instructions = 0;
    let mut number = 0;
    let mut candidates = Vec::new();
    rewrite_bodies(wasm, |_, body| {
        instructions += weight(&body.code);
        for (start, end) in innermost(&body.code) {
            let copies = copies(&body.code[start..=end]);
            if copies > 1 {
                candidates.push(((weight(&body.code[start..=end]) - 1) * (copies - 1), number));
            }
            number += 1;
        }
    })?;
    candidates.sort_unstable();
    let mut budget = (instructions / 100 * GROWTH_PERCENT).max(GROWTH);
    let mut chosen = BTreeSet::new();
    for (growth, number) in candidates {
        let Some(rest) = budget.checked_sub(growth) else { break };
        budget = rest;
        chosen.insert(number);
    }
    Ok(chosen)
}

/// Where the loops without another loop in them begin and end, in order.
fn innermost(code: &[Instruction<'_>]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    // Of every open block: where it begins if it is a loop, and the how manieth loop it is.
    let mut open: Vec<Option<(usize, usize)>> = Vec::new();
    let mut loops = 0;
    for (at, instruction) in code.iter().enumerate() {
        match instruction {
            Instruction::Loop(_) => {
                loops += 1;
                open.push(Some((at, loops)));
            }
            Instruction::Block(_) | Instruction::If(_) | Instruction::TryTable(..) => {
                open.push(None);
            }
            // The last `end` is the function's own. No loop began since an innermost one did.
            Instruction::End => {
                let innermost = open.pop().flatten().filter(|(_, number)| *number == loops);
                found.extend(innermost.map(|(start, _)| (start, at)));
            }
            _ => {}
        }
    }
    found
}

/// How many copies of its body a loop shall have.
fn copies(code: &[Instruction<'_>]) -> usize {
    // A loop that takes parameters would need them again in the block around it.
    let simple = !matches!(code[0], Instruction::Loop(BlockType::FunctionType(_)));
    if !simple || code.iter().any(stays_single) {
        return 1;
    }
    [COPIES, COPIES / 2].into_iter().find(|copies| weight(code) * copies <= LARGEST).unwrap_or(1)
}

/// Calls, next to which the rest of a round costs little, and branches of kinds that filters hardly have.
fn stays_single(instruction: &Instruction<'_>) -> bool {
    matches!(
        instruction,
        Instruction::Call(_)
            | Instruction::CallIndirect { .. }
            | Instruction::CallRef(_)
            | Instruction::ReturnCall(_)
            | Instruction::ReturnCallIndirect { .. }
            | Instruction::ReturnCallRef(_)
            | Instruction::TryTable(..)
            | Instruction::BrOnNull(_)
            | Instruction::BrOnNonNull(_)
            | Instruction::BrOnCast { .. }
            | Instruction::BrOnCastFail { .. }
    )
}

fn unroll(body: &mut Body<'_>, chosen: &BTreeSet<usize>, number: &mut usize) {
    let mut output = Vec::with_capacity(body.code.len());
    let mut done = 0;
    for (start, end) in innermost(&body.code) {
        if chosen.contains(number) {
            output.extend_from_slice(&body.code[done..start]);
            repeat(&body.code[start..=end], &mut output);
            done = end + 1;
        }
        *number += 1;
    }
    output.extend_from_slice(&body.code[done..]);
    body.code = output;
}

/// Writes a loop with several copies of its body.
fn repeat<'a>(code: &[Instruction<'a>], output: &mut Vec<Instruction<'a>>) {
    let [Instruction::Loop(ty), body @ .., Instruction::End] = code else { return };
    output.extend([Instruction::Block(*ty), Instruction::Loop(*ty)]);
    for _ in 1..copies(code) {
        output.push(Instruction::Block(BlockType::Empty));
        // Two blocks more between here and everything around the loop.
        copy(body, 2, output);
        output.extend([Instruction::Br(2), Instruction::End]);
    }
    copy(body, 1, output);
    output.extend([Instruction::End, Instruction::End]);
}

/// Writes the body of a loop with `deeper` more blocks around it.
fn copy<'a>(body: &[Instruction<'a>], deeper: u32, output: &mut Vec<Instruction<'a>>) {
    let mut depth = 0;
    for instruction in body {
        let moved = |label: u32| if label > depth { label + deeper } else { label };
        let copied = match instruction {
            Instruction::Br(label) => Instruction::Br(moved(*label)),
            Instruction::BrIf(label) => Instruction::BrIf(moved(*label)),
            Instruction::BrTable(ways, default) => Instruction::BrTable(
                ways.iter().map(|label| moved(*label)).collect(),
                moved(*default),
            ),
            other => other.clone(),
        };
        match instruction {
            Instruction::Block(_) | Instruction::If(_) => depth += 1,
            Instruction::End => depth -= 1,
            _ => {}
        }
        output.push(copied);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::passes::testing::{check, validate};

    #[test]
    fn an_innermost_loop_gets_four_bodies() {
        let function = |body: &str| {
            format!(r#"(module (func (export "f") (param i32) (block (loop (block {body})))))"#)
        };
        // Next round, end of the inner block, both blocks around the loop, and the function.
        let copy = |around: u32| {
            format!(
                "(br_if 0 (local.get 0))
                (block (br_if 1 (local.get 0)) (br_table 0 1 {} {} 0 (local.get 0)))
                (br_if {} (local.get 0)) return",
                around + 2,
                around + 3,
                around + 1
            )
        };
        let first = format!("(block {} (br 2))", copy(2));
        check(
            run,
            &function(&format!("(loop {})", copy(0))),
            &function(&format!("(block (loop {first} {first} {first} {}))", copy(1))),
        );
    }

    #[test]
    fn a_loop_may_leave_a_value() {
        check(
            run,
            r#"(module (func (export "f") (param i32) (result i32)
                (loop (result i32) (br_if 0 (local.get 0)) (i32.const 7))))"#,
            r#"(module (func (export "f") (param i32) (result i32)
                (block (result i32) (loop (result i32)
                    (block (br_if 0 (local.get 0)) (i32.const 7) (br 2))
                    (block (br_if 0 (local.get 0)) (i32.const 7) (br 2))
                    (block (br_if 0 (local.get 0)) (i32.const 7) (br 2))
                    (br_if 0 (local.get 0)) (i32.const 7)))))"#,
        );
    }

    #[test]
    fn loops_with_calls_or_parameters_and_outer_loops_stay() {
        for text in [
            r#"(module (func $f (export "f") (loop (call $f) (br 0))))"#,
            r#"(module (func (export "f") i32.const 1 (loop (param i32) drop)))"#,
            r#"(module (func $g) (func (export "f") (loop (loop (call $g) (br 0)) (br 0))))"#,
        ] {
            check(run, text, text);
        }
    }

    #[test]
    fn large_loops_get_two_bodies_or_stay() {
        let grown = |operators: usize| {
            let text = format!(
                r#"(module (func (export "f") (loop {} (br 0))))"#,
                "nop ".repeat(operators)
            );
            let wasm = run(&wat::parse_str(text).unwrap()).unwrap();
            validate(&wasm);
            let mut count = 0;
            rewrite_bodies(&wasm, |_, body| {
                count += body.code.iter().filter(|one| matches!(one, Instruction::Nop)).count();
            })
            .unwrap();
            count / operators
        };
        assert_eq!([grown(50), grown(150), grown(350)], [4, 2, 1]);
    }

    #[test]
    fn a_module_grows_only_so_much() {
        let loops = 200;
        let text = format!(
            r#"(module (func (export "f") {}))"#,
            "(loop nop nop nop nop nop nop nop nop nop nop nop nop nop nop nop nop nop nop (br 0))"
                .repeat(loops)
        );
        let count = |wasm: &[u8]| {
            let mut count = 0;
            rewrite_bodies(wasm, |_, body| count += body.code.len()).unwrap();
            count
        };
        let wasm = wat::parse_str(text).unwrap();
        let unrolled = run(&wasm).unwrap();
        validate(&unrolled);
        let grown = count(&unrolled) - count(&wasm);
        assert!((GROWTH / 2..GROWTH + 20 * loops).contains(&grown), "{grown}");
    }
}
