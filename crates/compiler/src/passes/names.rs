//! Names the functions that the compiler adds, so that whoever reads a backtrace can tell them from the guest's.

use wasm_encoder::{Module, NameSection, RawSection};
use wasmparser::{KnownCustom, Payload};

use super::sections::functions;
use crate::CompileError;

/// Copies a module with names for functions that stand behind all that have one.
pub(super) fn add(wasm: &[u8], added: &[(u32, &str)]) -> Result<Vec<u8>, CompileError> {
    let mut output = Module::new();
    let mut names = wasm_encoder::NameMap::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        let payload = payload.map_err(|error| CompileError::invalid(&error))?;
        if let Payload::CustomSection(section) = &payload
            && let KnownCustom::Name(section) = section.as_known()
        {
            names = functions(section).map_err(|error| CompileError::invalid(&error))?;
        } else if let Some((id, range)) = payload.as_section() {
            output.section(&RawSection { id, data: &wasm[range] });
        }
    }
    added.iter().for_each(|(index, name)| names.append(*index, name));
    let mut section = NameSection::new();
    section.functions(&names);
    output.section(&section);
    Ok(output.finish())
}
