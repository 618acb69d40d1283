//! Splits `br_table` into compares and a smaller jump.
//!
//! The code generator turns every `br_table` into one indirect jump, which processors predict badly; what filters do most,
//! scanning text, takes the same one or two ways nearly always. So tables with few ways become compares altogether, and of
//! the others the way out of range and the longest run of one way are tested first. Only tables whose labels take no
//! values are touched; their order of evaluation does not matter.

use wasm_encoder::{Instruction, ValType};

use super::functions::{Arities, Body, rewrite_bodies};
use crate::CompileError;

/// Shorter tables stay as they are.
const SHORTEST: usize = 4;
/// A table with no more runs than this becomes compares only.
const FEW_RUNS: usize = 3;
/// A run at least as long as this is worth a test of its own.
const LONG_RUN: u32 = 6;

/// Rewrites the module.
pub(crate) fn run(wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    rewrite_bodies(wasm, split)
}

fn split(arities: &Arities, body: &mut Body<'_>) {
    let code = std::mem::take(&mut body.code);
    let mut output = Vec::with_capacity(code.len());
    // Values that a branch to each label takes, innermost last.
    let mut labels = vec![body.results];
    let mut index = None;
    for instruction in code {
        match &instruction {
            Instruction::Block(ty) | Instruction::If(ty) | Instruction::TryTable(ty, _) => {
                labels.push(arities.of(*ty).1);
            }
            Instruction::Loop(ty) => labels.push(arities.of(*ty).0),
            Instruction::End => {
                labels.pop();
            }
            Instruction::BrTable(ways, default)
                if ways.len() >= SHORTEST && takes_nothing(&labels, *default) =>
            {
                let local = *index.get_or_insert_with(|| body.add_local(ValType::I32));
                output.extend(compares(local, ways, *default, &instruction));
                continue;
            }
            _ => {}
        }
        output.push(instruction);
    }
    body.code = output;
}

/// All ways of a table take the same number of values, so one tells of all.
fn takes_nothing(labels: &[u32], depth: u32) -> bool {
    let label = labels.len().checked_sub(depth as usize + 1);
    label.and_then(|label| labels.get(label)) == Some(&0)
}

/// Neighbouring entries of a table that go the same way.
#[derive(Debug, Clone, Copy)]
struct Run {
    first: u32,
    length: u32,
    way: u32,
}

fn runs(ways: &[u32]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (first, &way) in (0..).zip(ways) {
        match runs.last_mut() {
            Some(run) if run.way == way => run.length += 1,
            _ => runs.push(Run { first, length: 1, way }),
        }
    }
    runs
}

/// What stands for the table `whole`.
fn compares<'a>(
    local: u32,
    ways: &[u32],
    default: u32,
    whole: &Instruction<'a>,
) -> Vec<Instruction<'a>> {
    let runs = runs(ways);
    let mut code = vec![Instruction::LocalSet(local)];
    if runs.len() <= FEW_RUNS {
        for run in runs.iter().filter(|run| run.way != default) {
            branch_within(&mut code, local, run);
        }
        code.push(Instruction::Br(default));
        return code;
    }
    code.extend([
        Instruction::LocalGet(local),
        // A table has fewer than 2^31 entries.
        Instruction::I32Const(ways.len() as i32),
        Instruction::I32GeU,
        Instruction::BrIf(default),
    ]);
    // Of equally long runs the first, so that the order of the table decides.
    let longest = runs.iter().rev().max_by_key(|run| run.length);
    if let Some(run) = longest.filter(|run| run.length >= LONG_RUN) {
        branch_within(&mut code, local, run);
    }
    code.extend([Instruction::LocalGet(local), whole.clone()]);
    code
}

/// Branches if the local's value is one of the run's.
fn branch_within(code: &mut Vec<Instruction<'_>>, local: u32, run: &Run) {
    let (first, length) = (run.first as i32, run.length as i32);
    code.push(Instruction::LocalGet(local));
    match (run.first, run.length) {
        (0, 1) => code.push(Instruction::I32Eqz),
        (_, 1) => code.extend([Instruction::I32Const(first), Instruction::I32Eq]),
        (0, _) => code.extend([Instruction::I32Const(length), Instruction::I32LtU]),
        _ => code.extend([
            Instruction::I32Const(first),
            Instruction::I32Sub,
            Instruction::I32Const(length),
            Instruction::I32LtU,
        ]),
    }
    code.push(Instruction::BrIf(run.way));
}

#[cfg(test)]
mod tests {
    use crate::passes::testing::check;

    fn in_blocks(local: &str, code: &str) -> String {
        format!(
            r#"(module (func (export "f") (param i32) (result i32) {local}
                block block block
                    {code}
                end (return (i32.const 10)) end (return (i32.const 11)) end (i32.const 12)))"#
        )
    }

    #[test]
    fn few_ways_become_compares() {
        check(
            super::run,
            &in_blocks("", "(br_table 0 2 2 1 1 2 (local.get 0))"),
            &in_blocks(
                "(local i32)",
                "(local.set 1 (local.get 0))
                (br_if 0 (i32.eqz (local.get 1)))
                (br_if 1 (i32.lt_u (i32.sub (local.get 1) (i32.const 3)) (i32.const 2)))
                (br 2)",
            ),
        );
        check(
            super::run,
            &in_blocks("", "(br_table 2 1 2 2 2 (local.get 0))"),
            &in_blocks(
                "(local i32)",
                "(local.set 1 (local.get 0)) (br_if 1 (i32.eq (local.get 1) (i32.const 1))) (br 2)",
            ),
        );
    }

    #[test]
    fn a_long_run_is_tested_before_the_table() {
        let table = "0 1 2 1 1 1 1 1 1 0 2";
        check(
            super::run,
            &in_blocks("", &format!("(br_table {table} (local.get 0))")),
            &in_blocks(
                "(local i32)",
                &format!(
                    "(local.set 1 (local.get 0))
                    (br_if 2 (i32.ge_u (local.get 1) (i32.const 10)))
                    (br_if 1 (i32.lt_u (i32.sub (local.get 1) (i32.const 3)) (i32.const 6)))
                    (br_table {table} (local.get 1))"
                ),
            ),
        );
    }

    #[test]
    fn many_short_runs_keep_their_table_behind_the_default() {
        check(
            super::run,
            &in_blocks("", "(br_table 0 1 0 1 2 (local.get 0))"),
            &in_blocks(
                "(local i32)",
                "(local.set 1 (local.get 0)) (br_if 2 (i32.ge_u (local.get 1) (i32.const 4)))
                (br_table 0 1 0 1 2 (local.get 1))",
            ),
        );
    }

    #[test]
    fn short_tables_and_labels_with_values_stay() {
        for text in [
            in_blocks("", "(br_table 0 1 2 2 (local.get 0))").replace("0 1 2 2", "0 1 2"),
            r#"(module (func (export "f") (param i32) (result i32)
                (br_table 0 0 0 0 0 (i32.const 1) (local.get 0))))"#
                .to_owned(),
            r#"(module (func (export "f") (param i32)
                i32.const 7 (loop (param i32) (br_table 0 0 0 0 0 (local.get 0)))))"#
                .to_owned(),
        ] {
            check(super::run, &text, &text);
        }
    }

    #[test]
    fn code_that_nothing_reaches_stays_valid() {
        let text = in_blocks("", "unreachable br_table 0 1 0 1 2");
        let wasm = super::run(&wat::parse_str(text).unwrap()).unwrap();
        wasmparser::validate(&wasm).unwrap();
    }
}
