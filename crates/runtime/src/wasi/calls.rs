//! WASI's functions that may take long, or that must not do all they could.
//!
//! Each ends with the guest's deadline: what the host does meanwhile for files goes on in a thread of its own, and nobody
//! waits for it. None takes more at once than is soon done: long buffers are read and written in parts, as with any file,
//! and long paths are refused. A guest has so many descriptors at most, and what it does with symbolic links cannot make one
//! that leads out of its directories: `links.rs`.

use wasmtime_wasi::p1::wasi_snapshot_preview1 as functions;
use wiggle::GuestMemory;

use super::host::{
    BAD_DESCRIPTOR, FAULT, Host, NAME_TOO_LONG, NOT_PERMITTED, PATH, SUCCESS, slice,
};
use super::links::{refuses_link, refuses_rename, refuses_symlink};
use crate::fault::Fault;
use crate::machine::{Call, Linker, provide};

/// Most bytes that are read or written at once.
const PART: u32 = 1 << 20;
/// Most buffers that one call may name.
const BUFFERS: i32 = 1024;
/// Bytes of a buffer's address and length.
const BUFFER: usize = 8;
/// Bytes of random numbers that are made between two looks at the deadline.
const RANDOM: usize = 64 << 10;
/// Most descriptors that a guest may have, its standard streams and its directories included.
const DESCRIPTORS: u32 = 256;

const INVALID: i32 = 28;
const TOO_MANY_FILES: i32 = 33;

/// The first descriptor behind the standard streams.
const FIRST: i32 = 3;

/// Defines functions of WASI by their arguments, for one of this name to be provided. What follows says which of these are a path
/// and its length (in square brackets), which a list of buffers and its length (in braces), who may refuse the call (`unless`), and
/// who looks at its result (`then`).
macro_rules! define {
    ($linker:ident, $module:ident, $wanted:ident; $($name:ident($($argument:ident: $ty:ty),*) $([$path:ident $length:ident])*
        $({$list:ident $count:ident})? $(unless $refuses:ident($($asked:ident),*))? $(then $checks:ident $out:ident)?;)*) => {$(
        if $wanted == stringify!($name) {
            let answer = |call: &mut Call<'_>, $($argument: $ty),*| -> Result<i32, Fault> {
                $(if !(0..=PATH).contains(&$length) { return Ok(NAME_TOO_LONG); })*
                $(if !(0..=BUFFERS).contains(&$count) { return Ok(INVALID); })?
                let (bytes, state) = call.parts();
                let mut host = Host::new(state);
                $(if $refuses(&mut host, bytes, ($($asked),*))? { return Ok(NOT_PERMITTED); })?
                let whole: Option<Whole> = None;
                $(let whole = whole.or_else(|| Whole::shorten(bytes, $list, $count));)?
                let mut memory = GuestMemory::Unshared(&mut *bytes);
                let result = host.within_deadline(|wasi| functions::$name(wasi, &mut memory, $($argument),*));
                if let Some(whole) = whole { whole.restore(bytes); }
                $(let result = $checks(&mut host, bytes, result, $out);)?
                $(host.note_denied(bytes, &result, $path, $length);)*
                result
            };
            provide!($linker, $module, $wanted, answer, $($argument: $ty),*);
            return true;
        }
    )*};
}

/// The same for functions that wait for nothing.
macro_rules! define_quick {
    ($linker:ident, $module:ident, $wanted:ident; $($name:ident($($argument:ident: $ty:ty),*);)*) => {$(
        if $wanted == stringify!($name) {
            let answer = |call: &mut Call<'_>, $($argument: $ty),*| {
                let (bytes, state) = call.parts();
                let mut memory = GuestMemory::Unshared(bytes);
                Host::new(state).at_once(|wasi| functions::$name(wasi, &mut memory, $($argument),*))
            };
            provide!($linker, $module, $wanted, answer, $($argument: $ty),*);
            return true;
        }
    )*};
}

/// Provides a function, if there is one of this name.
pub(super) fn link(linker: &mut Linker, module: &str, name: &str) -> bool {
    match name {
        "fd_prestat_get" => provide!(linker, module, name, prestat_get, fd: i32, out: i32),
        "random_get" => provide!(linker, module, name, random_get, at: i32, length: i32),
        _ => return link_slow(linker, module, name) || link_quick(linker, module, name),
    }
    true
}

fn link_quick(linker: &mut Linker, module: &str, name: &str) -> bool {
    define_quick! {linker, module, name;
        args_get(list: i32, bytes: i32);
        args_sizes_get(count: i32, size: i32);
        clock_res_get(clock: i32, out: i32);
        clock_time_get(clock: i32, precision: i64, out: i32);
        environ_get(list: i32, bytes: i32);
        environ_sizes_get(count: i32, size: i32);
        fd_allocate(fd: i32, offset: i64, length: i64);
        fd_fdstat_set_flags(fd: i32, flags: i32);
        fd_fdstat_set_rights(fd: i32, rights: i64, more: i64);
        fd_prestat_dir_name(fd: i32, path: i32, length: i32);
        fd_tell(fd: i32, out: i32);
        proc_exit(code: i32);
        proc_raise(signal: i32);
        sched_yield();
        sock_accept(fd: i32, flags: i32, out: i32);
        sock_recv(fd: i32, list: i32, count: i32, flags: i32, size: i32, out: i32);
        sock_send(fd: i32, list: i32, count: i32, flags: i32, size: i32);
        sock_shutdown(fd: i32, how: i32);
    }
    false
}

fn link_slow(linker: &mut Linker, module: &str, name: &str) -> bool {
    define! {linker, module, name;
        fd_advise(fd: i32, offset: i64, length: i64, advice: i32);
        fd_close(fd: i32);
        fd_datasync(fd: i32);
        fd_fdstat_get(fd: i32, out: i32);
        fd_filestat_get(fd: i32, out: i32);
        fd_filestat_set_size(fd: i32, size: i64);
        fd_filestat_set_times(fd: i32, accessed: i64, changed: i64, flags: i32);
        fd_pread(fd: i32, list: i32, count: i32, offset: i64, out: i32) {list count};
        fd_pwrite(fd: i32, list: i32, count: i32, offset: i64, out: i32) {list count};
        fd_read(fd: i32, list: i32, count: i32, out: i32) {list count};
        fd_readdir(fd: i32, buffer: i32, length: i32, cookie: i64, out: i32);
        fd_renumber(fd: i32, to: i32);
        fd_seek(fd: i32, offset: i64, whence: i32, out: i32);
        fd_sync(fd: i32);
        fd_write(fd: i32, list: i32, count: i32, out: i32) {list count};
        path_create_directory(fd: i32, path: i32, length: i32) [path length];
        path_filestat_get(fd: i32, flags: i32, path: i32, length: i32, out: i32) [path length];
        path_filestat_set_times(fd: i32, flags: i32, path: i32, length: i32, accessed: i64, changed: i64, set: i32)
            [path length];
        path_link(fd: i32, flags: i32, path: i32, length: i32, to: i32, new: i32, new_length: i32)
            [path length] [new new_length] unless refuses_link(fd, path, length);
        path_open(fd: i32, flags: i32, path: i32, length: i32, how: i32, rights: i64, more: i64, set: i32, out: i32)
            [path length] then bounded out;
        path_readlink(fd: i32, path: i32, length: i32, buffer: i32, size: i32, out: i32) [path length];
        path_remove_directory(fd: i32, path: i32, length: i32) [path length];
        path_rename(fd: i32, path: i32, length: i32, to: i32, new: i32, new_length: i32)
            [path length] [new new_length] unless refuses_rename(fd, path, length, to, new, new_length);
        path_symlink(path: i32, length: i32, fd: i32, new: i32, new_length: i32)
            [path length] [new new_length] unless refuses_symlink();
        path_unlink_file(fd: i32, path: i32, length: i32) [path length];
    }
    false
}

/// The length of the buffer that a call reads or writes, where it was made shorter for the call.
struct Whole {
    at: usize,
    length: u32,
}

impl Whole {
    /// Only the first buffer that has any bytes counts: files are read and written in parts.
    fn shorten(bytes: &mut [u8], list: i32, count: i32) -> Option<Self> {
        let list = list.cast_unsigned() as usize;
        for index in 0..count.cast_unsigned() as usize {
            let at = list.checked_add(index * BUFFER + BUFFER / 2)?;
            let place = bytes.get_mut(at..)?.first_chunk_mut()?;
            let length = u32::from_le_bytes(*place);
            if length > PART {
                *place = PART.to_le_bytes();
                return Some(Self { at, length });
            }
            if length > 0 {
                return None;
            }
        }
        None
    }

    fn restore(&self, bytes: &mut [u8]) {
        if let Some(place) = bytes.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut) {
            *place = self.length.to_le_bytes();
        }
    }
}

/// Closes what was opened if the guest has too many descriptors. They are numbered from 0, and numbers that are free again are
/// used first: so many are open as the greatest says.
fn bounded(
    host: &mut Host<'_>,
    bytes: &mut [u8],
    result: Result<i32, Fault>,
    out: i32,
) -> Result<i32, Fault> {
    let opened =
        slice(bytes, out, 4).and_then(<[u8]>::first_chunk).copied().map(u32::from_le_bytes);
    match (result, opened) {
        (Ok(SUCCESS), Some(opened)) if opened >= DESCRIPTORS => {
            let mut memory = GuestMemory::Unshared(bytes);
            host.within_deadline(|wasi| {
                functions::fd_close(wasi, &mut memory, opened.cast_signed())
            })?;
            Ok(TOO_MANY_FILES)
        }
        (result, _) => result,
    }
}

/// Says which directories there are. Whoever asks while it works wants a file, and libraries that find none ask no further.
fn prestat_get(call: &mut Call<'_>, fd: i32, out: i32) -> Result<i32, Fault> {
    let (bytes, state) = call.parts();
    let mut memory = GuestMemory::Unshared(bytes);
    let result =
        Host::new(state).at_once(|wasi| functions::fd_prestat_get(wasi, &mut memory, fd, out))?;
    if (fd, result) == (FIRST, BAD_DESCRIPTOR) && state.is_asked && state.denied.is_none() {
        state.denied = Some(String::new());
    }
    Ok(result)
}

fn random_get(call: &mut Call<'_>, at: i32, length: i32) -> Result<i32, Fault> {
    let (bytes, state) = call.parts();
    let end = (at.cast_unsigned() as usize).saturating_add(length.cast_unsigned() as usize);
    let Some(bytes) = bytes.get_mut(at.cast_unsigned() as usize..end) else { return Ok(FAULT) };
    for part in bytes.chunks_mut(RANDOM) {
        state.leash.look()?;
        // A part has at most RANDOM bytes.
        let length = part.len() as i32;
        let mut memory = GuestMemory::Unshared(part);
        Host::new(state).at_once(|wasi| functions::random_get(wasi, &mut memory, 0, length))?;
    }
    Ok(SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_first_buffer_with_bytes_is_shortened_and_only_for_the_call() {
        let list = |lengths: &[u32]| -> Vec<u8> {
            lengths.iter().flat_map(|length| [7_u32, *length]).flat_map(u32::to_le_bytes).collect()
        };
        let mut bytes = list(&[0, 5 << 20, 9 << 20]);
        let before = bytes.clone();
        let whole = Whole::shorten(&mut bytes, 0, 3).unwrap();
        assert_eq!(bytes, list(&[0, PART, 9 << 20]));
        whole.restore(&mut bytes);
        assert_eq!(bytes, before);
        for (at, count) in [(0, 0), (0, 1), (24, 1), (1000, 2), (-1, 2), (-8, 2)] {
            assert!(Whole::shorten(&mut bytes, at, count).is_none(), "{at} {count}");
        }
        assert!(Whole::shorten(&mut list(&[3, 5 << 20]), 0, 2).is_none());
    }
}
