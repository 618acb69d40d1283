//! Hides constant lengths of `memory.copy` and `memory.init` from a code generator without vector registers.
//!
//! Short copies of constant length are compiled to loads and stores of 16 bytes, without asking whether the machine has
//! such: for RISC-V without its vector extension that ends in a panic. A length that is the result of an instruction is
//! taken for unknown there, and is a constant again afterwards.

use wasm_encoder::Instruction;
use wasmparser::Payload;

use super::functions::rewrite_bodies;
use crate::CompileError;

/// Rewrites the module.
pub(crate) fn run(wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let wide = wide_memories(wasm)?;
    let is_wide = |memory: u32| wide.get(memory as usize) == Some(&true);
    rewrite_bodies(wasm, |_, body| {
        let code = std::mem::take(&mut body.code);
        for instruction in code {
            match instruction {
                Instruction::MemoryCopy { src_mem, dst_mem }
                    if is_wide(src_mem) && is_wide(dst_mem) =>
                {
                    body.code.extend([Instruction::I64Const(0), Instruction::I64Or]);
                }
                Instruction::MemoryCopy { .. } | Instruction::MemoryInit { .. } => {
                    body.code.extend([Instruction::I32Const(0), Instruction::I32Or]);
                }
                _ => {}
            }
            body.code.push(instruction);
        }
    })
}

/// Of every memory, whether its addresses have 64 bits. None is imported: such modules are refused.
fn wide_memories(wasm: &[u8]) -> Result<Vec<bool>, CompileError> {
    let mut wide = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        if let Payload::MemorySection(section) = payload.map_err(|e| CompileError::invalid(&e))? {
            for memory in section {
                wide.push(memory.map_err(|error| CompileError::invalid(&error))?.memory64);
            }
        }
    }
    Ok(wide)
}

#[cfg(test)]
mod tests {
    use crate::passes::testing::check;

    #[test]
    fn lengths_become_results() {
        let module = |i32_or: &str, i64_or: &str| {
            format!(
                r#"(module (memory $m 1) (memory $w i64 1) (data $d "abc")
                (func (export "f")
                    i32.const 1 i32.const 2 i32.const 3 {i32_or} memory.copy
                    i64.const 1 i32.const 2 i32.const 3 {i32_or} memory.copy $w $m
                    i64.const 1 i64.const 2 i64.const 3 {i64_or} memory.copy $w $w
                    i64.const 1 i32.const 2 i32.const 3 {i32_or} memory.init $w $d))"#
            )
        };
        check(super::run, &module("", ""), &module("i32.const 0 i32.or", "i64.const 0 i64.or"));
    }
}
