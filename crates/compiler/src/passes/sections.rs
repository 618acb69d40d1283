//! Drops what the code generator does not read: every custom section but the functions' names.
//!
//! Debug information would be wrong once code has been moved, and takes most of many files. Damaged names go, too: they are
//! no reason to refuse a module.

use wasm_encoder::{Module, NameMap, NameSection, RawSection};
use wasmparser::{KnownCustom, Name, NameSectionReader, Payload};

use crate::CompileError;

/// Rewrites the module.
pub(crate) fn run(wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let mut output = Module::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| CompileError::invalid(&error))?;
        if let Payload::CustomSection(section) = &payload {
            if let KnownCustom::Name(names) = section.as_known()
                && let Ok(names) = functions(names)
                && !names.is_empty()
            {
                let mut section = NameSection::new();
                section.functions(&names);
                output.section(&section);
            }
        } else if let Some((id, range)) = payload.as_section() {
            output.section(&RawSection { id, data: &wasm[range] });
        }
    }
    Ok(output.finish())
}

fn functions(names: NameSectionReader<'_>) -> Result<NameMap, wasmparser::Error> {
    let mut functions = NameMap::new();
    for subsection in names {
        if let Name::Function(map) = subsection? {
            for name in map {
                let name = name?;
                functions.append(name.index, name.name);
            }
        }
    }
    Ok(functions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let rewritten = run(&wat::parse_str(text).unwrap()).unwrap();
        crate::passes::testing::validate(&rewritten);
        let sections = wasmparser::Parser::new(0).parse_all(&rewritten);
        let names: Vec<&str> = sections
            .filter_map(|payload| match payload.unwrap() {
                Payload::CustomSection(section) => Some(section.name()),
                _ => None,
            })
            .collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn names_stay_and_debug_information_goes() {
        check(
            r#"(module (@custom "before" "x") (func $f (export "f"))
                (@custom ".debug_info" "xyz") (@custom "producers" "") (@custom "target_features" "a"))"#,
            &["name"],
        );
        check(r#"(module (func (export "f")))"#, &[]);
    }

    #[test]
    fn damaged_names_go() {
        // A subsection of functions, three bytes long, that promises five names.
        check(r#"(module (func (export "f")) (@custom "name" "\01\03\05\00\00"))"#, &[]);
        check(r#"(module (func (export "f")) (@custom "name" "\01\7f"))"#, &[]);
    }
}
