//! What a module imports, and who provides it: WASI, a C library, the functions of module `flb`, AssemblyScript's `abort`, and a trap for whatever nobody
//! knows. What is known is what the linker has, and no list beside it.

use wasmtime::{Caller, Engine, Extern, FuncType, InstancePre, Linker, Module, Val};

use crate::LoadError;
use crate::leaves;
use crate::libc;
use crate::state::State;
use flb_artifact::contract::MEMORY;

/// The module names of WASI preview 1, and of what older toolchains took for it.
const WASI: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];
/// What AssemblyScript calls when an assertion fails, or memory has run out.
const ABORT: (&str, &str) = ("env", "abort");

/// Which of these imported functions, by module and name, modules find nothing behind here.
pub fn unprovided<'a>(
    imports: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<String>, LoadError> {
    crate::fence::prepare();
    let engine = Engine::default();
    let mut linker = Linker::<State>::new(&engine);
    // A program without WASI refuses whatever imports it, so nobody gets to ask.
    add_wasi(&mut linker)?;
    let ty = FuncType::new(&engine, [], []);
    // The library has a function by its type; here the name has to do.
    let imports = imports
        .into_iter()
        .filter(|(from, name)| !libc::has(from, name) && !leaves::has(from, name));
    Ok(imports.filter_map(|(from, name)| add(&mut linker, from, name, ty.clone())).collect())
}

/// Provides what the module imports; says which of it nobody knows.
pub(crate) fn link(module: &Module) -> Result<(InstancePre<State>, Vec<String>), LoadError> {
    let refused = |error: wasmtime::Error| LoadError::Instantiate { reason: format!("{error:#}") };
    let mut linker = Linker::<State>::new(module.engine());
    if module.imports().any(|import| WASI.contains(&import.module())) {
        add_wasi(&mut linker)?;
    }
    let mut unknown = Vec::new();
    for import in module.imports() {
        if let Some(ty) = import.ty().func().cloned() {
            unknown.extend(add(&mut linker, import.module(), import.name(), ty));
        }
    }
    let pre = linker.instantiate_pre(module).map_err(refused)?;
    Ok((pre, unknown))
}

/// Provides one function that the linker has not got; its name, if all that it does is to trap.
fn add(linker: &mut Linker<State>, from: &str, name: &str, ty: FuncType) -> Option<String> {
    if let Some(code) = libc::find(from, name, &ty) {
        // It fails for what is there already.
        drop(code.link(linker, name));
        return None;
    }
    if let Some(leaf) = leaves::find(from, name, &ty) {
        drop(leaf.link(linker));
        return None;
    }
    let is_abort = (from, name) == ABORT;
    let unlinked = format!("failed to call unlinked import function ({from}, {name})");
    let is_new = linker.func_new(from, name, ty, move |caller, arguments, _| {
        let words = is_abort.then(|| aborted(caller, arguments)).flatten();
        Err(wasmtime::Error::msg(words.unwrap_or_else(|| unlinked.clone())))
    });
    // It fails for what is there already.
    (is_new.is_ok() && !is_abort).then(|| format!("{from}.{name}"))
}

/// What the guest says as it aborts: message, file, line and column.
fn aborted(mut caller: Caller<'_, State>, arguments: &[Val]) -> Option<String> {
    let [message, file, line, column] = arguments else { return None };
    let memory = caller.get_export(MEMORY).and_then(Extern::into_memory)?;
    let memory = memory.data(&caller);
    let text = |at: &Val| at.i32().and_then(|at| text(memory, at.cast_unsigned() as usize));
    let message = text(message).unwrap_or_else(|| "no message".to_owned());
    let file = text(file).unwrap_or_else(|| "unknown file".to_owned());
    Some(format!("abort: {message} at {file}:{}:{}", line.i32()?, column.i32()?))
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

#[cfg(feature = "wasi")]
fn add_wasi(linker: &mut Linker<State>) -> Result<(), LoadError> {
    crate::wasi::link(linker)
        .map_err(|error| LoadError::Instantiate { reason: format!("{error:#}") })
}

#[cfg(not(feature = "wasi"))]
fn add_wasi(_linker: &mut Linker<State>) -> Result<(), LoadError> {
    Err(LoadError::NoWasi)
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
