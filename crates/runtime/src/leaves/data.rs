//! Data of a guest in another form. What is long is looked at piece by piece, so that no call outlasts its deadline by far.

use flb_artifact::Sha256Hex;
use flb_event::{edit, msgpack};

use crate::fault::{Fault, Trap};
use crate::libc::{Look, PIECE, bytes, bytes_mut};
use crate::machine::Call;

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
) -> Result<u32, Fault> {
    let (memory, state) = call.parts();
    let (leaves, leash) = (&mut state.leaves, &state.leash);
    let value = bytes(memory, value, len)?;
    let Some(printer) = leaves.printer.as_mut() else { return Ok(NONE) };
    leaves.text.clear();
    if value.len() > edit::MOST_BYTES {
        return Ok(NONE);
    }
    let is_one = msgpack::value_len(value) == Ok(value.len());
    if !is_one || printer.print_while(value, &mut leaves.text, &|| !leash.is_killed()).is_err() {
        leash.look()?;
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
pub(super) fn sha256(call: &mut Call<'_>, data: u32, len: u32, to: u32) -> Result<(), Fault> {
    let (memory, state) = call.parts();
    let Sha256Hex(digest) = digest(bytes(memory, data, len)?, &|| state.leash.look())?;
    bytes_mut(memory, to, 32)?.copy_from_slice(&digest);
    Ok(())
}

fn digest(data: &[u8], look: Look<'_>) -> Result<Sha256Hex, Trap> {
    Sha256Hex::of_each(data.chunks(PIECE).map(|piece| look().map(|()| piece)))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_digest_is_given_up_when_the_deadline_passes() {
        let data = vec![b'a'; 10 * PIECE + 7];
        let looks = Cell::new(0);
        let ended = digest(&data, &|| {
            looks.set(looks.get() + 1);
            if looks.get() == 2 { Err(Trap::Interrupt) } else { Ok(()) }
        });
        assert_eq!((ended, looks.get()), (Err(Trap::Interrupt), 2));
        assert_eq!(digest(&data, &|| Ok(())), Ok(Sha256Hex::of(&[&data])));
    }
}
