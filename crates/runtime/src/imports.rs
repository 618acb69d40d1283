//! What a module imports, and who provides it: WASI, a C library, the functions of module `flb`, AssemblyScript's `abort`, and a trap for whatever nobody
//! knows. What is known is what the linker has, and no list beside it.

use flb_artifact::contract::GROW;

use crate::fault::Fault;
use crate::machine::{Call, Code, Import, Linker, Module, provide};
use crate::{LoadError, leaves, libc};

/// The module names of WASI preview 1, and of what older toolchains took for it.
const WASI: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];
/// What AssemblyScript calls when an assertion fails, or memory has run out.
const ABORT: (&str, &str) = ("env", "abort");

/// Which of these imported functions, by module and name, modules find nothing behind here.
pub fn unprovided<'a>(
    imports: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<String>, LoadError> {
    let mut linker = Linker::unused();
    let mut unknown = Vec::new();
    for (from, name) in imports {
        // The libraries have a function by its type; here the name has to do.
        let is_known = libc::has(from, name)
            || leaves::has(from, name)
            || (from, name) == ABORT
            || add_wasi(&mut linker, from, name)?;
        unknown.extend((!is_known).then(|| format!("{from}.{name}")));
    }
    Ok(unknown)
}

/// Provides what the module imports; says which of it nobody knows.
pub(crate) fn link(module: &Module) -> Result<(Code, Vec<String>), LoadError> {
    let mut linker = Linker::of(module);
    let mut unknown = Vec::new();
    for import in module.imports() {
        unknown.extend(add(&mut linker, &import)?);
    }
    Ok((linker.finish(module)?, unknown))
}

/// Provides one function that the linker has not got; its name, if all that it does is to trap.
fn add(linker: &mut Linker, import: &Import) -> Result<Option<String>, LoadError> {
    let Import { module: from, name, signature, .. } = import;
    if let Some(code) = libc::find(from, name, signature) {
        code.link(linker, name);
    } else if let Some(leaf) = leaves::find(from, name, signature) {
        leaf.link(linker);
    } else if (from.as_str(), name.as_str()) == (GROW, GROW) {
        let grow =
            |call: &mut Call<'_>, pages| Ok::<_, Fault>(call.grow(pages).unwrap_or(u32::MAX));
        provide!(linker, GROW, GROW, grow, pages: u32);
    } else if !add_wasi(linker, from, name)? {
        let is_abort = (from.as_str(), name.as_str()) == ABORT;
        let unlinked = format!("failed to call unlinked import function ({from}, {name})");
        let is_new = linker.refuse(import, move |call, arguments| {
            let call = call.filter(|_| is_abort);
            let words = call.and_then(|mut call| aborted(call.memory(), arguments));
            Fault::said(words.unwrap_or_else(|| unlinked.clone()))
        });
        // It fails for what is there already.
        return Ok((is_new && !is_abort).then(|| format!("{from}.{name}")));
    }
    Ok(None)
}

/// What the guest says as it aborts: message, file, line and column.
fn aborted(memory: &[u8], arguments: &[Option<i32>]) -> Option<String> {
    let [message, file, line, column] = arguments else { return None };
    let text = |at: &Option<i32>| at.and_then(|at| text(memory, at.cast_unsigned() as usize));
    let message = text(message).unwrap_or_else(|| "no message".to_owned());
    let file = text(file).unwrap_or_else(|| "unknown file".to_owned());
    Some(format!("abort: {message} at {file}:{}:{}", (*line)?, (*column)?))
}

/// AssemblyScript's string at an address: UTF-16, its length in bytes before it. The first letters, if it is long.
fn text(memory: &[u8], at: usize) -> Option<String> {
    const SHOWN: usize = 200;
    let length = memory.get(at.checked_sub(4)?..)?.first_chunk().copied()?;
    let length = (u32::from_le_bytes(length) as usize).min(2 * SHOWN);
    let units = memory.get(at..at.checked_add(length)?)?.chunks_exact(2);
    let units = units.map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    Some(char::decode_utf16(units).map(|unit| unit.unwrap_or('\u{fffd}')).collect())
}

/// Provides a function of WASI, if it is one.
#[cfg(feature = "wasi")]
fn add_wasi(linker: &mut Linker, from: &str, name: &str) -> Result<bool, LoadError> {
    Ok(WASI.contains(&from) && crate::wasi::link(linker, from, name))
}

#[cfg(not(feature = "wasi"))]
fn add_wasi(_linker: &mut Linker, from: &str, _name: &str) -> Result<bool, LoadError> {
    if WASI.contains(&from) { Err(LoadError::NoWasi) } else { Ok(false) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_read_within_the_memory_only() {
        let memory = b"\x04\0\0\0h\0i\0\xff\xff\xff\xffx";
        assert_eq!(text(memory, 4).as_deref(), Some("hi"));
        for at in [0, 3, 5, 12, 13, 100, usize::MAX] {
            assert_eq!(text(memory, at), None, "{at}");
        }
    }
}
