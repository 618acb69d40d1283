//! Whether a guest can be interrupted by signals: whether any of its instructions is as good a place to end it as any other.

use flb_artifact::{Architecture, Target};
use target_lexicon::OperatingSystem;
use wasmparser::{CompositeInnerType, Operator, Parser, Payload, ValType, Validator};

use crate::CompileError;

/// What stands in the way, in words that end the sentence "interrupted by epochs, because".
pub(crate) fn obstacle(wasm: &[u8], target: &Target) -> Result<Option<String>, CompileError> {
    let is_known = matches!(target.architecture, Architecture::X86_64 | Architecture::Aarch64);
    if !is_known || target.triple.operating_system != OperatingSystem::Linux {
        return Ok(Some("signals interrupt code for Linux on x86_64 and aarch64 only".to_owned()));
    }
    let features = flb_engine::features_with_signals();
    if let Err(error) = Validator::new_with_features(features).validate_all(wasm) {
        let why = error.message();
        return Ok(Some(format!("it uses exceptions or references to host objects ({why})")));
    }
    let moves = moves_frames(wasm).map_err(|error| CompileError::invalid(&error))?;
    Ok(moves.then(|| "it makes tail calls with more arguments than registers".to_owned()))
}

/// Whether functions may move their own frames while they begin: they do that to make room for a tail call's arguments that
/// no register has room for. In between the stack cannot be walked, and a trap walks it.
fn moves_frames(wasm: &[u8]) -> Result<bool, wasmparser::Error> {
    let mut types = Vec::new();
    let mut functions = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::TypeSection(section) => {
                for group in section {
                    let group = group?.into_types();
                    types.extend(group.map(|ty| uses_stack(&ty.composite_type.inner)));
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    if let wasmparser::TypeRef::Func(ty) | wasmparser::TypeRef::FuncExact(ty) =
                        import?.ty
                    {
                        functions.push(ty);
                    }
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    functions.push(ty?);
                }
            }
            Payload::CodeSectionEntry(body) => {
                for operator in body.get_operators_reader()? {
                    let ty = match operator? {
                        Operator::ReturnCall { function_index } => {
                            functions.get(function_index as usize).copied()
                        }
                        Operator::ReturnCallIndirect { type_index, .. }
                        | Operator::ReturnCallRef { type_index } => Some(type_index),
                        _ => continue,
                    };
                    // A valid module has the type.
                    if ty.and_then(|ty| types.get(ty as usize)) != Some(&false) {
                        return Ok(true);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(false)
}

/// Whether arguments of a function of this type may need the stack. x86_64 has the fewest registers: six for integers, two
/// of which carry what the engine adds and one, where there are several results, the place for these; eight for the rest.
fn uses_stack(ty: &CompositeInnerType) -> bool {
    let CompositeInnerType::Func(ty) = ty else { return true };
    let is_integer = |ty: &&ValType| matches!(ty, ValType::I32 | ValType::I64 | ValType::Ref(_));
    let integers = ty.params().iter().filter(is_integer).count();
    let room = if ty.results().len() > 1 { 3 } else { 4 };
    integers > room || ty.params().len() - integers > 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, text: &str, expected: Option<&str>) {
        let target = Target::parse(target, None, None).unwrap();
        let wasm = wat::parse_str(text).unwrap();
        let found = obstacle(&wasm, &target).unwrap();
        match (&found, expected) {
            (None, None) => {}
            (Some(found), Some(expected)) if found.contains(expected) => {}
            _ => panic!("{found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn plain_code_can_be_interrupted_on_linux() {
        let text = r#"(module (memory 1) (table 1 funcref) (func (export "f")
            (drop (i8x16.splat (i32.const 1))) (memory.fill (i32.const 0) (i32.const 0) (i32.const 9))))"#;
        check("x86_64", text, None);
        check("aarch64", text, None);
        check("x86_64-pc-windows-msvc", text, Some("Linux"));
        check("riscv64", text, Some("Linux"));
        check("portable", text, Some("Linux"));
    }

    #[test]
    fn what_the_collector_holds_cannot() {
        check("x86_64", r#"(module (tag $t) (func (export "f") (throw $t)))"#, Some("exceptions"));
        let table = r#"(module (table 1 externref) (func (export "f")))"#;
        check("x86_64", table, Some("host objects"));
    }

    #[test]
    fn tail_calls_can_while_registers_hold_their_arguments() {
        let module = |params: &str, push: &str| {
            format!(
                r#"(module (func $g (param {params})) (func (export "f") {push} (return_call $g)))"#
            )
        };
        let four = "(i32.const 1) (i32.const 1) (i32.const 1) (i32.const 1)";
        check("x86_64", &module("i32 i32 i32 i32", four), None);
        let five = format!("{four} (i32.const 1)");
        check("x86_64", &module("i32 i32 i32 i32 i32", &five), Some("tail calls"));
    }
}
