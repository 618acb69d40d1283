//! Lines of sources in place of what the engine keeps of instructions: the offset in the module of every piece of code.
//!
//! That is several times as much as lines are, and of no use to anybody, because the module is not the one that its author has.

use std::ops::Range;

use object::elf::{FileHeader64, SectionHeader64};
use object::read::elf::{ElfFile64, FileHeader as _};
use object::write::Object as NewObject;
use object::{Architecture, BinaryFormat, Endianness, Object as _, ObjectSection as _};
use wasmtime_environ::obj::ELF_WASMTIME_ADDRMAP;
use wasmtime_environ::{AddressMapSection, FilePos, InstructionAddressMap, iterate_address_map};

/// Where a section's header has its size.
const SIZE: usize = 32;

/// Rewrites the engine's map in an image, so that it leads to the lines of offsets where there is one, and to nothing
/// elsewhere. A map that is longer for that is left out; the image's length stays in any case.
pub fn set(image: &mut [u8], line: impl Fn(u32) -> Option<u32>) {
    let Some(Map { place, size, endianness }) = Map::find(image) else { return };
    let mut map = rewritten(&image[place.clone()], line).unwrap_or_default();
    if map.len() > place.len() {
        map.clear();
    }
    let length = map.len() as u64;
    map.resize(place.len(), 0);
    image[place].copy_from_slice(&map);
    image[size].copy_from_slice(&match endianness {
        Endianness::Little => length.to_le_bytes(),
        Endianness::Big => length.to_be_bytes(),
    });
}

/// Where an image has the map.
struct Map {
    place: Range<usize>,
    /// Its size, in the section's header.
    size: Range<usize>,
    endianness: Endianness,
}

impl Map {
    fn find(image: &[u8]) -> Option<Self> {
        let file = ElfFile64::<Endianness>::parse(image).ok()?;
        let section = file.section_by_name(ELF_WASMTIME_ADDRMAP)?;
        let (start, length) = section.file_range()?;
        let (start, length) = (usize::try_from(start).ok()?, usize::try_from(length).ok()?);
        let endianness = file.endian();
        let header: &FileHeader64<Endianness> = file.elf_header();
        let headers = usize::try_from(header.e_shoff(endianness)).ok()?;
        let size = headers + section.index().0 * size_of::<SectionHeader64<Endianness>>() + SIZE;
        Some(Self { place: start..start + length, size: size..size + 8, endianness })
    }
}

/// The map with lines, as the engine writes it.
fn rewritten(map: &[u8], line: impl Fn(u32) -> Option<u32>) -> Option<Vec<u8>> {
    let code = iterate_address_map(map)?.map(|(code_offset, position)| {
        let line = position.file_offset().and_then(&line);
        InstructionAddressMap { code_offset, srcloc: line.map_or_else(FilePos::none, FilePos::new) }
    });
    let code: Vec<InstructionAddressMap> = code.collect();
    let end = code.last()?.code_offset;
    let mut section = AddressMapSection::default();
    section.push(0..end.into(), &code);
    let mut object = NewObject::new(BinaryFormat::Elf, Architecture::X86_64, Endianness::Little);
    section.append_to(&mut object);
    let written = object.write().ok()?;
    let file = object::File::parse(&*written).ok()?;
    file.section_by_name(ELF_WASMTIME_ADDRMAP)?.data().ok().map(<[u8]>::to_vec)
}
