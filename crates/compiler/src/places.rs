//! Where a module's code stands in its sources: the files and lines that DWARF knows of its functions and instructions.
//!
//! Of code that was inlined the author's line is told, not that of the language's library: the call in place of what was called.
//! What of the debug information cannot be read is left out, because no author wants a filter refused for it.

use std::collections::BTreeMap;
use std::ops::Range;

use flb_artifact::Sources;
use gimli::{
    AbbreviationsCacheStrategy, AttributeValue, Dwarf, EndianSlice, EntriesRaw, LittleEndian, Unit,
};
use wasmparser::{Payload, TypeRef};

type Bytes<'a> = EndianSlice<'a, LittleEndian>;

/// The longest path that is kept; of a longer one, the end.
const PATH: usize = 120;
/// The last line that is kept.
const LINE: u64 = 1 << 24;
/// Steps to one byte of debug information. It hardly takes more than two; but units can share tables, and so make them count as
/// often as there are units.
const STEPS: usize = 16;

/// Where the libraries of languages lie.
const LIBRARIES: [&str; 8] = [
    "/rustc/",
    "/library/core/src/",
    "/library/alloc/src/",
    "/library/std/src/",
    "/.cargo/registry/src/",
    "/lib/std/",
    "/go/src/",
    "/tinygo/src/",
];

/// What a module's debug information says of its code.
#[derive(Debug, Default)]
pub struct Places {
    /// Where functions begin, by index: `src/lib.rs:12`.
    pub functions: BTreeMap<u32, String>,
    /// The files that the code is made from.
    pub sources: Sources,
    /// For every instruction of every body, in order, the number of its line in `sources`.
    pub instructions: Vec<Vec<Option<u32>>>,
}

impl Places {
    /// Reads what there is.
    pub fn read(wasm: &[u8]) -> Self {
        if !has_lines(wasm) {
            return Self::default();
        }
        Code::read(wasm).map(|code| Table::read(&code).places(&code)).unwrap_or_default()
    }
}

/// Whether there is a table of lines at all: most modules have none.
fn has_lines(wasm: &[u8]) -> bool {
    let mut payloads = wasmparser::Parser::new(0).parse_all(wasm).map_while(Result::ok);
    let is_table = |payload| matches!(payload, Payload::CustomSection(section) if section.name() == ".debug_line");
    payloads.any(is_table)
}

/// A module's functions and its debug information.
#[derive(Default)]
struct Code<'a> {
    imports: u32,
    /// Where each body lies in the code section, in order.
    bodies: Vec<Range<u64>>,
    /// Where the instructions of each body do.
    instructions: Vec<Vec<u64>>,
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
                    let operators = body.get_operators_reader()?.into_iter_with_offsets();
                    let address = |operator: Result<(_, _), _>| Ok(operator?.1 as u64 - start);
                    code.instructions.push(operators.map(address).collect::<Result<_, _>>()?);
                }
                Payload::CustomSection(section) if section.name().starts_with(".debug_") => {
                    code.debug.insert(section.name(), section.data());
                }
                _ => {}
            }
        }
        Ok(code)
    }

    /// The body that has this address, which counts from the code section's beginning.
    fn body(&self, address: u64) -> Option<usize> {
        let index = self.bodies.partition_point(|body| body.start <= address).checked_sub(1)?;
        self.bodies[index].contains(&address).then_some(index)
    }
}

/// A line of a file, which has a number.
#[derive(Debug, Clone, Copy)]
struct Place {
    file: usize,
    line: u32,
}

/// From its address on, code is that of its place; or nobody knows whose.
#[derive(Debug, Clone, Copy)]
struct Row {
    address: u64,
    place: Option<Place>,
}

/// A file's path, and whether it is one of a language's library.
struct File {
    path: String,
    is_library: bool,
}

/// Code that was put in place of a call, and where the call stands.
struct Inlined {
    code: Range<u64>,
    call: Place,
}

/// All that is known of a module's addresses.
struct Table {
    files: Vec<File>,
    by_path: BTreeMap<String, usize>,
    rows: Vec<Row>,
    /// The first row of each body that has any.
    first: BTreeMap<usize, Place>,
    /// Steps that may still be taken.
    left: usize,
}

impl Table {
    fn read(code: &Code<'_>) -> Self {
        let size: usize = code.debug.values().map(|section| section.len()).sum();
        let mut table = Self {
            files: Vec::new(),
            by_path: BTreeMap::new(),
            rows: Vec::new(),
            first: BTreeMap::new(),
            left: size.saturating_mul(STEPS),
        };
        // An error ends the search; what was found until then holds.
        let _ = table.find(code);
        // Where one sequence of rows ends another may begin.
        table.rows.sort_by_key(|row| (row.address, row.place.is_some()));
        table
    }

    fn find(&mut self, code: &Code<'_>) -> gimli::Result<()> {
        let section = |name: &str| code.debug.get(name).copied().unwrap_or_default();
        let mut dwarf = Dwarf::load(|id| {
            Ok::<_, gimli::Error>(EndianSlice::new(section(id.name()), LittleEndian))
        })?;
        dwarf.populate_abbreviations_cache(AbbreviationsCacheStrategy::Duplicates);
        let mut units = dwarf.units();
        while let Some(header) = units.next()? {
            let unit = dwarf.unit(header)?;
            let mut names = Names { dwarf: &dwarf, unit: &unit, known: BTreeMap::new() };
            let mut rows = self.rows_of(code, &mut names)?;
            let inlined = self.inlined(&mut names);
            self.prefer_authors(&mut rows, &inlined.unwrap_or_default());
            self.rows.append(&mut rows);
        }
        Ok(())
    }

    /// Whether one more step may be taken.
    fn step(&mut self) -> bool {
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or_default();
        left.is_some()
    }

    /// The rows of a unit, in order of their addresses, without those of functions that the linker left out.
    fn rows_of(&mut self, code: &Code<'_>, names: &mut Names<'_, '_>) -> gimli::Result<Vec<Row>> {
        let mut found = Vec::new();
        let Some(program) = names.unit.line_program.clone() else { return Ok(found) };
        let mut rows = program.rows();
        let (mut begins, mut is_in_code) = (true, false);
        while let Some((_, row)) = rows.next_row()? {
            if !self.step() {
                break;
            }
            let (address, ends) = (row.address(), row.end_sequence());
            let body = code.body(address);
            if std::mem::replace(&mut begins, ends) {
                is_in_code = body.is_some();
            }
            if !is_in_code {
                continue;
            }
            let line = row.line().filter(|_| !ends).map(std::num::NonZero::get);
            let place = line.and_then(|line| self.place(names, row.file_index(), line));
            if let (Some(body), Some(place)) = (body, place) {
                self.first.entry(body).or_insert(place);
            }
            found.push(Row { address, place });
        }
        found.sort_by_key(|row| (row.address, row.place.is_some()));
        Ok(found)
    }

    /// What was inlined in a unit; what is inside of other such code comes behind it.
    fn inlined(&mut self, names: &mut Names<'_, '_>) -> gimli::Result<Vec<Inlined>> {
        let mut found = Vec::new();
        let mut entries = names.unit.entries_raw(None)?;
        while !entries.is_empty() {
            let Some(abbreviation) = entries.read_abbreviation()? else { continue };
            let mut call = Call::default();
            for specification in abbreviation.attributes() {
                if !self.step() {
                    return Ok(found);
                }
                call.read(&mut entries, *specification, names)?;
            }
            if abbreviation.tag() != gimli::DW_TAG_inlined_subroutine {
                continue;
            }
            let Some(place) = self.place(names, call.file, call.line) else { continue };
            for code in call.code(names, || self.step())? {
                found.push(Inlined { code, call: place });
            }
        }
        Ok(found)
    }

    /// Of code of a language's library, the place of the innermost call of it that the author wrote.
    fn prefer_authors(&mut self, rows: &mut [Row], inlined: &[Inlined]) {
        let is_library = |table: &Self, row: &Row| match row.place {
            Some(place) => table.files[place.file].is_library,
            None => false,
        };
        for Inlined { code, call } in inlined.iter().rev() {
            if self.files[call.file].is_library {
                continue;
            }
            let first = rows.partition_point(|row| row.address < code.start);
            for row in rows[first..].iter_mut().take_while(|row| row.address < code.end) {
                if !self.step() {
                    return;
                }
                if is_library(self, row) {
                    row.place = Some(*call);
                }
            }
        }
    }

    fn place(&mut self, names: &mut Names<'_, '_>, file: u64, line: u64) -> Option<Place> {
        let line = u32::try_from(line).ok().filter(|line| (1..=LINE).contains(&(*line).into()))?;
        if let Some(file) = names.known.get(&file) {
            return file.map(|file| Place { file, line });
        }
        let known = names.path(file).map(|path| self.file(path));
        names.known.insert(file, known);
        known.map(|file| Place { file, line })
    }

    fn file(&mut self, path: String) -> usize {
        let files = &mut self.files;
        *self.by_path.entry(path).or_insert_with_key(|path| {
            let is_library = LIBRARIES.iter().any(|library| path.contains(library));
            files.push(File { path: shown(path), is_library });
            files.len() - 1
        })
    }

    /// What is known, for every function and instruction.
    fn places(&self, code: &Code<'_>) -> Places {
        let begins = |(body, place): (&usize, &Place)| {
            let text = format!("{}:{}", self.files[place.file].path, place.line);
            (code.imports + *body as u32, text)
        };
        let (sources, firsts) = self.sources();
        let number = |place: Place| Some(firsts[place.file]? + place.line - 1);
        let bodies = code.bodies.iter().zip(&code.instructions);
        let instructions = bodies.map(|(body, addresses)| {
            let at = |address: &u64| self.at(*address, body).and_then(number);
            addresses.iter().map(at).collect()
        });
        let instructions: Vec<Vec<Option<u32>>> = instructions.collect();
        let is_known = instructions.iter().flatten().any(Option::is_some);
        Places {
            functions: self.first.iter().map(begins).collect(),
            sources: if is_known { sources } else { Sources::default() },
            instructions,
        }
    }

    /// The place of an address in a body.
    fn at(&self, address: u64, body: &Range<u64>) -> Option<Place> {
        let behind = self.rows.partition_point(|row| row.address <= address);
        let row = self.rows[..behind].last().filter(|row| body.contains(&row.address))?;
        row.place
    }

    /// The files that rows name, and the number of the first line of each.
    fn sources(&self) -> (Sources, Vec<Option<u32>>) {
        let mut lines = vec![0; self.files.len()];
        for place in self.rows.iter().filter_map(|row| row.place) {
            lines[place.file] = place.line.max(lines[place.file]);
        }
        let mut sources = Sources::default();
        let mut add = |(file, lines): (&File, u32)| match lines {
            0 => None,
            lines => sources.add(file.path.clone(), lines),
        };
        let firsts = self.files.iter().zip(lines).map(&mut add).collect();
        (sources, firsts)
    }
}

/// The files of a unit.
struct Names<'d, 'a> {
    dwarf: &'d Dwarf<Bytes<'a>>,
    unit: &'d Unit<Bytes<'a>>,
    /// Files by their number in the unit.
    known: BTreeMap<u64, Option<usize>>,
}

impl Names<'_, '_> {
    fn path(&self, file: u64) -> Option<String> {
        let header = self.unit.line_program.as_ref()?.header();
        let file = header.file(file)?;
        let text = |value| {
            let text = self.dwarf.attr_string(self.unit, value).ok()?;
            Some(String::from_utf8_lossy(text.slice()).into_owned())
        };
        let name = text(file.path_name())?;
        // The first directory is the one that the compiler ran in.
        let folder = match file.directory_index() {
            0 => None,
            _ => file.directory(header).and_then(text),
        };
        Some(match folder {
            Some(folder) if !name.starts_with('/') => format!("{folder}/{name}"),
            _ => name,
        })
    }
}

/// The end of a path, as it is shown.
fn shown(path: &str) -> String {
    let letters: Vec<char> = path.chars().filter(|letter| !letter.is_control()).collect();
    letters[letters.len().saturating_sub(PATH)..].iter().collect()
}

/// What an entry says of a call that was inlined.
#[derive(Default)]
struct Call<'a> {
    start: Option<u64>,
    end: Option<AttributeValue<Bytes<'a>>>,
    ranges: Option<AttributeValue<Bytes<'a>>>,
    file: u64,
    line: u64,
}

impl<'a> Call<'a> {
    fn read(
        &mut self,
        entries: &mut EntriesRaw<'_, Bytes<'a>>,
        specification: gimli::AttributeSpecification,
        names: &Names<'_, 'a>,
    ) -> gimli::Result<()> {
        let attribute = entries.read_attribute(specification)?;
        let value = attribute.value();
        match (attribute.name(), &value) {
            (gimli::DW_AT_low_pc, _) => self.start = names.dwarf.attr_address(names.unit, value)?,
            (gimli::DW_AT_high_pc, _) => self.end = Some(value),
            (gimli::DW_AT_ranges, _) => self.ranges = Some(value),
            (gimli::DW_AT_call_file, AttributeValue::FileIndex(file)) => self.file = *file,
            (gimli::DW_AT_call_line, value) => self.line = value.udata_value().unwrap_or_default(),
            _ => {}
        }
        Ok(())
    }

    /// The code that stands in its place, as far as steps may be taken.
    fn code(
        &self,
        names: &Names<'_, 'a>,
        mut step: impl FnMut() -> bool,
    ) -> gimli::Result<Vec<Range<u64>>> {
        let (dwarf, unit) = (names.dwarf, names.unit);
        if let Some(ranges) = &self.ranges {
            let Some(mut ranges) = dwarf.attr_ranges(unit, *ranges)? else {
                return Ok(Vec::new());
            };
            let mut found = Vec::new();
            while let Some(range) = ranges.next()?.filter(|_| step()) {
                found.push(range.begin..range.end);
            }
            return Ok(found);
        }
        let (Some(start), Some(end)) = (self.start, &self.end) else { return Ok(Vec::new()) };
        let end = match end.udata_value() {
            Some(length) => start.saturating_add(length),
            None => dwarf.attr_address(unit, *end)?.unwrap_or(start),
        };
        Ok(std::iter::once(start..end).collect())
    }
}
