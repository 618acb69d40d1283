//! Where a module's functions begin in their sources: the first line that DWARF knows of each.
//!
//! Lines within a function are not kept: the passes move code about. What of the debug information cannot be read is left
//! out, because no author wants a filter refused for it.

use std::collections::BTreeMap;
use std::ops::Range;

use gimli::{Dwarf, EndianSlice, LineProgramHeader, LineRow, LittleEndian, Unit};
use wasmparser::{Payload, TypeRef};

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// The longest path that is kept; of a longer one, the end.
const PATH: usize = 120;
/// Rows of line tables to one byte of them. Tables have hardly more than one; but units can share one, and so make it count
/// as often as there are units.
const ROWS: usize = 4;

/// Where the functions of a module begin in their sources, by index, as far as its debug information says it: `src/lib.rs:12`.
pub fn places(wasm: &[u8]) -> BTreeMap<u32, String> {
    let mut places = BTreeMap::new();
    if let Ok(code) = Code::read(wasm)
        && code.debug.contains_key(".debug_line")
    {
        // An error ends the search; what was found until then holds.
        let _ = code.find(&mut places);
    }
    places
}

/// A module's functions and its debug information.
#[derive(Default)]
struct Code<'a> {
    imports: u32,
    /// Where each body lies in the code section, in order.
    bodies: Vec<Range<u64>>,
    debug: BTreeMap<&'a str, &'a [u8]>,
}

impl<'a> Code<'a> {
    fn read(wasm: &'a [u8]) -> Result<Self, wasmparser::Error> {
        let mut code = Self::default();
        let mut start = 0;
        for payload in wasmparser::Parser::new(0).parse_all(wasm) {
            match payload? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        let ty = import?.ty;
                        let function = matches!(ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
                        code.imports += u32::from(function);
                    }
                }
                Payload::CodeSectionStart { range, .. } => start = range.start as u64,
                Payload::CodeSectionEntry(body) => {
                    let range = body.range();
                    code.bodies.push(range.start as u64 - start..range.end as u64 - start);
                }
                Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                    code.debug.insert(section.name(), section.data());
                }
                _ => {}
            }
        }
        Ok(code)
    }

    /// The function that has this address, which counts from the code section's beginning.
    fn function(&self, address: u64) -> Option<u32> {
        let after = self.bodies.partition_point(|body| body.start <= address);
        let index = after.checked_sub(1)?;
        self.bodies[index].contains(&address).then(|| self.imports + index as u32)
    }

    fn find(&self, places: &mut BTreeMap<u32, String>) -> gimli::Result<()> {
        let section = |name: &str| self.debug.get(name).copied().unwrap_or_default();
        let dwarf = Dwarf::load(|id| {
            Ok::<_, gimli::Error>(EndianSlice::new(section(id.name()), LittleEndian))
        })?;
        let mut left = section(".debug_line").len().saturating_mul(ROWS);
        let mut units = dwarf.units();
        while let Some(header) = units.next()? {
            let unit = dwarf.unit(header)?;
            let Some(program) = unit.line_program.clone() else { continue };
            let mut rows = program.rows();
            while let Some((header, row)) = rows.next_row()? {
                if left == 0 {
                    return Ok(());
                }
                left -= 1;
                if let Some(function) = self.function(row.address())
                    && !row.end_sequence()
                    && !places.contains_key(&function)
                    && let Some(place) = place(&dwarf, &unit, header, row)
                {
                    places.insert(function, place);
                }
            }
        }
        Ok(())
    }
}

/// A row's file and line.
fn place(
    dwarf: &Dwarf<Bytes<'_>>,
    unit: &Unit<Bytes<'_>>,
    header: &LineProgramHeader<Bytes<'_>>,
    row: &LineRow,
) -> Option<String> {
    let line = row.line()?;
    let file = row.file(header)?;
    let text = |value| {
        let text = dwarf.attr_string(unit, value).ok()?;
        Some(String::from_utf8_lossy(text.slice()).into_owned())
    };
    let name = text(file.path_name())?;
    // The first directory is the one that the compiler ran in.
    let folder = match file.directory_index() {
        0 => None,
        _ => file.directory(header).and_then(text),
    };
    let path = match folder {
        Some(folder) if !name.starts_with('/') => format!("{folder}/{name}"),
        _ => name,
    };
    let shown: Vec<char> = path.chars().filter(|letter| !letter.is_control()).collect();
    let end: String = shown[shown.len().saturating_sub(PATH)..].iter().collect();
    Some(format!("{end}:{line}"))
}
