//! Data of a guest in another form.

use flb_artifact::Sha256Hex;
use flb_event::{edit, msgpack};

use crate::libc::{Call, bytes, bytes_mut};

/// What is said of a value that is none.
const NONE: u32 = u32::MAX;
/// Most bytes of a text's memory that are kept for the next one.
const KEPT: usize = 1 << 20;

/// The JSON text of a msgpack value, if it has room: its length.
pub(super) fn json(
    call: &mut Call<'_>,
    value: u32,
    len: u32,
    to: u32,
    room: u32,
) -> wasmtime::Result<u32> {
    let (memory, state) = call.parts();
    let leaves = &mut state.leaves;
    let value = bytes(memory, value, len)?;
    let Some(printer) = leaves.printer.as_mut() else { return Ok(NONE) };
    leaves.text.clear();
    if value.len() > edit::MOST_BYTES {
        return Ok(NONE);
    }
    let is_one = msgpack::value_len(value) == Ok(value.len());
    if !is_one || printer.print(value, &mut leaves.text).is_err() {
        return Ok(NONE);
    }
    // It has six bytes for one at the most.
    let length = leaves.text.len() as u32;
    if length <= room {
        bytes_mut(memory, to, length)?.copy_from_slice(&leaves.text);
    }
    if leaves.text.capacity() > KEPT {
        leaves.text = Vec::new();
    }
    Ok(length)
}

/// The SHA-256 of bytes.
pub(super) fn sha256(call: &mut Call<'_>, data: u32, len: u32, to: u32) -> wasmtime::Result<()> {
    let memory = call.memory();
    let Sha256Hex(digest) = Sha256Hex::of(&[bytes(memory, data, len)?]);
    bytes_mut(memory, to, 32)?.copy_from_slice(&digest);
    Ok(())
}
