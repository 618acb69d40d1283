//! Drops what the code generator does not read: every custom section but the functions' names.
//!
//! Debug information would be wrong once code has been moved, and takes most of many files. What is told of it by names, the
//! file and line where each function begins, becomes a part of the function's name; lines of instructions go with these (`lines.rs`).
//! Damaged names go, too: they are no reason to refuse a module.

use std::collections::BTreeMap;

use flb_engine::names::with_place;
use wasm_encoder::{Module, NameMap, NameSection, RawSection};
use wasmparser::{KnownCustom, Name, NameSectionReader, Payload};

use crate::CompileError;

/// Rewrites the module. `places` says where functions begin in their sources, by index.
pub(crate) fn run(wasm: &[u8], places: BTreeMap<u32, String>) -> Result<Vec<u8>, CompileError> {
    let mut output = Module::new();
    let mut names = BTreeMap::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| CompileError::invalid(&error))?;
        if let Payload::CustomSection(section) = &payload {
            if let KnownCustom::Name(section) = section.as_known()
                && let Ok(found) = read(section)
            {
                names.extend(found);
            }
        } else if let Some((id, range)) = payload.as_section() {
            output.section(&RawSection { id, data: &wasm[range] });
        }
    }
    for (index, place) in places {
        let name = names.entry(index).or_insert_with(|| format!("function {index}"));
        *name = with_place(name, &place);
    }
    if !names.is_empty() {
        let mut section = NameSection::new();
        section.functions(&map(&names));
        output.section(&section);
    }
    Ok(output.finish())
}

/// The names that a section gives to functions.
pub(super) fn functions(names: NameSectionReader<'_>) -> Result<NameMap, wasmparser::Error> {
    read(names).map(|names| map(&names))
}

/// The module without any custom section.
pub(super) fn without_custom(wasm: &[u8]) -> Result<Vec<u8>, CompileError> {
    let mut output = Module::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| CompileError::invalid(&error))?;
        let is_custom = matches!(payload, Payload::CustomSection(_));
        if let Some((id, range)) = payload.as_section().filter(|_| !is_custom) {
            output.section(&RawSection { id, data: &wasm[range] });
        }
    }
    Ok(output.finish())
}

/// The names that a section gives to functions, by their numbers.
pub(super) fn read(
    names: NameSectionReader<'_>,
) -> Result<BTreeMap<u32, String>, wasmparser::Error> {
    let mut functions = BTreeMap::new();
    for subsection in names {
        if let Name::Function(map) = subsection? {
            for name in map {
                let name = name?;
                functions.insert(name.index, name.name.to_owned());
            }
        }
    }
    Ok(functions)
}

fn map(names: &BTreeMap<u32, String>) -> NameMap {
    let mut map = NameMap::new();
    names.iter().for_each(|(index, name)| map.append(*index, name));
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let rewritten = run(&wat::parse_str(text).unwrap(), BTreeMap::new()).unwrap();
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
