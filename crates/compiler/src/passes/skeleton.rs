//! A module's sections, whatever they hold: the module without one of them, or with more.

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

/// The module with an empty section of each of these kinds that it lacks: whoever adds to a section then has one to add to.
pub(super) fn with_sections(
    wasm: &[u8],
    wanted: &[SectionId],
) -> Result<Vec<u8>, wasmparser::Error> {
    let mut sections = Vec::new();
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        sections.extend(payload?.as_section().map(|(id, range)| (id, &wasm[range])));
    }
    let mut missing: Vec<u8> = wanted.iter().map(|section| *section as u8).collect();
    missing.retain(|wanted| sections.iter().all(|(id, _)| id != wanted));
    for id in missing {
        let is_behind = |(other, _): &(u8, &[u8])| rank(*other) > rank(id);
        let place = sections.iter().position(is_behind).unwrap_or(sections.len());
        sections.insert(place, (id, &[0]));
    }
    let mut output = Module::new();
    for (id, data) in sections {
        output.section(&RawSection { id, data });
    }
    Ok(output.finish())
}

/// Where a section stands in a module. Custom sections stand anywhere.
fn rank(id: u8) -> Option<usize> {
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
    ORDER.iter().position(|known| *known as u8 == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let wanted = [SectionId::Memory, SectionId::Table, SectionId::Data];
        let found = with_sections(&wat::parse_str(text).unwrap(), &wanted).unwrap();
        crate::passes::testing::validate(&found);
        let sections = wasmparser::Parser::new(0).parse_all(&found);
        let ids: Vec<_> =
            sections.filter_map(|payload| Some(payload.unwrap().as_section()?.0)).collect();
        let name = |id: &u8| {
            [
                "custom", "type", "import", "function", "table", "memory", "global", "export",
                "start", "element", "code", "data",
            ][*id as usize]
        };
        assert_eq!(ids.iter().map(name).collect::<Vec<_>>().join(" "), expected);
    }

    #[test]
    fn sections_that_are_missing_are_added_where_they_belong() {
        check("(module)", "table memory data");
        check(
            r#"(module (@custom "a" (before first) "x") (func (export "f")) (global i32 (i32.const 0)))"#,
            "custom type function table memory global export code data",
        );
        check(r#"(module (memory 1) (data (i32.const 0) "x"))"#, "table memory data");
    }
}
