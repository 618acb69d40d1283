//! Looks into the engine's image: its sections, and where in its code each function of the module is.

use std::panic::{self, UnwindSafe};

use flb_artifact::Slice;
use object::{Object as _, ObjectSection as _};
use wasmtime_environ::{
    CompiledFunctionsTable, CompiledModuleInfo, DefinedFuncIndex, EntityIndex, EntityRef as _,
    FuncKey, ModuleTypes, StaticModuleIndex, obj,
};

use crate::names::split_place;
use crate::{INTERPRETER, NAME, VERSION};

/// The code for this target is no ELF image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoImage(String);

impl std::fmt::Display for NoImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the code for {} is no ELF image", self.0)
    }
}

impl std::error::Error for NoImage {}

/// An image, read.
pub struct Image<'a> {
    /// Names and sizes of the sections that have bytes in the file, in order.
    pub sections: Vec<(String, u64)>,
    /// The machine code.
    pub text: &'a [u8],
    /// The module's functions, in module order. `None`: the image is another engine's, or is not what an engine writes, or no image
    /// as the code is portable.
    pub functions: Option<Vec<Function>>,
}

/// A function of the module.
pub struct Function {
    /// The exported name, else that of the name section, else its number.
    pub name: String,
    /// Where its code begins.
    pub start: usize,
    /// Bytes of code.
    pub length: usize,
}

impl<'a> Image<'a> {
    /// Reads the image of a slice. An error is the target of a slice that holds none.
    pub fn read(slice: &Slice, image: &'a [u8]) -> Result<Self, NoImage> {
        if slice.engine.name == INTERPRETER.0 {
            // Portable code is WebAssembly.
            return Ok(Self { sections: Vec::new(), text: &[], functions: None });
        }
        let file = object::File::parse(image).map_err(|_| NoImage(slice.target.clone()))?;
        let bytes = |name: &str| file.section_by_name(name).and_then(|one| one.data().ok());
        let sections = file
            .sections()
            .filter(|section| section.file_range().is_some_and(|(_, size)| size > 0))
            .map(|section| (section.name().unwrap_or("?").to_owned(), section.size()))
            .collect();
        let ours = (slice.engine.name.as_str(), slice.engine.version.as_str()) == (NAME, VERSION);
        let functions = match bytes(obj::ELF_WASMTIME_INFO) {
            Some(info) if ours => {
                let names = bytes(obj::ELF_NAME_DATA).unwrap_or_default();
                unless_it_panics(|| functions(info, names)).flatten()
            }
            _ => None,
        };
        Ok(Self { sections, text: bytes(".text").unwrap_or_default(), functions })
    }

    /// A function's code.
    pub fn code(&self, function: &Function) -> &'a [u8] {
        let end = function.start.saturating_add(function.length);
        self.text.get(function.start..end).unwrap_or_default()
    }
}

/// The engine believes its own tables, and a forged image may hold any. That it stumbles over them is nothing to tell a user.
fn unless_it_panics<T>(read: impl FnOnce() -> T + UnwindSafe) -> Option<T> {
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let read = panic::catch_unwind(read).ok();
    panic::set_hook(hook);
    read
}

/// The functions, as the engine's own tables have them.
fn functions(info: &[u8], names: &[u8]) -> Option<Vec<Function>> {
    type Tables = (CompiledModuleInfo, CompiledFunctionsTable, ModuleTypes);
    let (info, table, _): Tables = postcard::from_bytes(info).ok()?;
    let defined = info.module.functions.len().checked_sub(info.module.num_imported_funcs)?;
    let found = (0..defined).filter_map(|index| {
        let defined = DefinedFuncIndex::new(index);
        let key = FuncKey::DefinedWasmFunction(StaticModuleIndex::from_u32(0), defined);
        let place = table.func_loc(key).filter(|place| !place.is_empty())?;
        Some(Function {
            name: name(&info, names, index + info.module.num_imported_funcs),
            start: place.start as usize,
            length: place.length as usize,
        })
    });
    Some(found.collect())
}

fn name(info: &CompiledModuleInfo, names: &[u8], number: usize) -> String {
    let exported = info.module.exports.iter().find_map(|(name, index)| match index {
        EntityIndex::Function(index) if index.index() == number => {
            Some(info.module.strings.get(*name)?.to_owned())
        }
        _ => None,
    });
    let named = || {
        let known = info.func_names.iter().find(|known| known.idx.index() == number)?;
        let end = known.offset.checked_add(known.len)? as usize;
        let bytes = names.get(known.offset as usize..end)?;
        let name = String::from_utf8_lossy(bytes);
        Some(split_place(&name).0.to_owned())
    };
    exported.or_else(named).unwrap_or_else(|| format!("function {number}"))
}
