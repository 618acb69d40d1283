//! A module's sections, whatever they hold: their order, and the module without one of them.

use wasm_encoder::{Module, RawSection, SectionId};
use wasmparser::Payload;

/// The module without its start section.
pub(super) fn without_start(wasm: &[u8]) -> Result<Vec<u8>, wasmparser::Error> {
    let mut output = Module::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::StartSection { .. } => {}
            payload => {
                if let Some((id, range)) = payload.as_section() {
                    output.section(&RawSection { id, data: &wasm[range] });
                }
            }
        }
    }
    Ok(output.finish())
}

/// Where a section stands in a module; `None` before the first section is 0 by being less than all others.
pub(super) fn rank(section: Option<SectionId>) -> u8 {
    const ORDER: [SectionId; 13] = [
        SectionId::Type,
        SectionId::Import,
        SectionId::Function,
        SectionId::Table,
        SectionId::Memory,
        SectionId::Tag,
        SectionId::Global,
        SectionId::Export,
        SectionId::Start,
        SectionId::Element,
        SectionId::DataCount,
        SectionId::Code,
        SectionId::Data,
    ];
    let place = |section| ORDER.iter().position(|known| *known == section);
    section.and_then(place).map_or(0, |place| place as u8 + 1)
}
