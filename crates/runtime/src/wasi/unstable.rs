//! `wasi_unstable`, which older toolchains took for WASI: preview 1 but for three functions, and for how one waits (`poll.rs`).
//!
//! Two of them say what is known of a file, in fewer bytes; one moves in a file, and numbers the ways to do it otherwise.

use wasmtime_wasi::p1::wasi_snapshot_preview1 as functions;
use wiggle::GuestMemory;

use super::host::{FAULT, Host, NAME_TOO_LONG, PATH, SUCCESS, slice};
use crate::fault::Fault;
use crate::machine::{Call, Linker, provide};

pub(super) const MODULE: &str = "wasi_unstable";
/// Bytes of what is known of a file in preview 1.
const FILE: usize = 64;
/// And here.
const OLD_FILE: usize = 56;
/// Where the number of links stands in preview 1; what follows it stands behind eight bytes. Here it is of four.
const LINKS: usize = 24;
const OLD_LINKS: usize = 20;

/// Provides a function that is another here, if that is its name.
pub(super) fn link(linker: &mut Linker, name: &str) -> bool {
    match name {
        "fd_seek" => {
            provide!(linker, MODULE, name, seek, fd: i32, offset: i64, whence: i32, out: i32);
        }
        "fd_filestat_get" => provide!(linker, MODULE, name, file, fd: i32, out: i32),
        "path_filestat_get" => {
            provide!(linker, MODULE, name, path, fd: i32, flags: i32, path_at: i32, length: i32, out: i32);
        }
        _ => return false,
    }
    true
}

fn seek(call: &mut Call<'_>, fd: i32, offset: i64, whence: i32, out: i32) -> Result<i32, Fault> {
    // From the current place, the end, the beginning; there the beginning comes first.
    let whence = match whence {
        0 => 1,
        1 => 2,
        2 => 0,
        unknown => unknown,
    };
    let (bytes, state) = call.parts();
    let mut memory = GuestMemory::Unshared(bytes);
    Host::new(state)
        .within_deadline(|wasi| functions::fd_seek(wasi, &mut memory, fd, offset, whence, out))
}

fn file(call: &mut Call<'_>, fd: i32, out: i32) -> Result<i32, Fault> {
    let (bytes, state) = call.parts();
    let mut known = [0; FILE];
    let mut memory = GuestMemory::Unshared(&mut known);
    let result = Host::new(state)
        .within_deadline(|wasi| functions::fd_filestat_get(wasi, &mut memory, fd, 0))?;
    Ok(if result == SUCCESS { write(bytes, out, &known) } else { result })
}

fn path(
    call: &mut Call<'_>,
    fd: i32,
    flags: i32,
    path: i32,
    length: i32,
    out: i32,
) -> Result<i32, Fault> {
    if !(0..=PATH).contains(&length) {
        return Ok(NAME_TOO_LONG);
    }
    let (bytes, state) = call.parts();
    let Some(name) = slice(bytes, path, length) else { return Ok(FAULT) };
    // What is known, and the path behind it.
    let mut room = [&[0; FILE], name].concat();
    let mut memory = GuestMemory::Unshared(&mut room);
    let mut host = Host::new(state);
    let result = host.within_deadline(|wasi| {
        functions::path_filestat_get(wasi, &mut memory, fd, flags, FILE as i32, length, 0)
    });
    host.note_denied(bytes, &result, path, length);
    Ok(match (result?, room.first_chunk()) {
        (SUCCESS, Some(known)) => write(bytes, out, known),
        (result, _) => result,
    })
}

/// Writes what is known of a file in the older form.
fn write(bytes: &mut [u8], out: i32, known: &[u8; FILE]) -> i32 {
    let out = out.cast_unsigned() as usize;
    let place = bytes.get_mut(out..).and_then(<[u8]>::first_chunk_mut::<OLD_FILE>);
    let Some(place) = place else { return FAULT };
    place[..OLD_LINKS].copy_from_slice(&known[..OLD_LINKS]);
    place[OLD_LINKS..][..4].copy_from_slice(&known[LINKS..][..4]);
    place[OLD_LINKS + 4..].copy_from_slice(&known[LINKS + 8..]);
    SUCCESS
}
