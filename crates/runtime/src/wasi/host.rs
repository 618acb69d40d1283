//! A call of WASI, as the host answers it: until the guest's deadline has passed, and within the guest's memory.

use std::future::Future;
use std::sync::Arc;

use wasmtime_wasi::p1::wasi_snapshot_preview1 as functions;
use wasmtime_wasi::p1::wasi_snapshot_preview1::WasiSnapshotPreview1 as _;
use wasmtime_wasi::runtime::in_tokio;
use wiggle::{GuestMemory, wasmtime_crate as engine};

use super::context::{Wasi, fault};
use crate::fault::{Fault, Trap};
use crate::interrupt::Leash;
use crate::state::State;

/// Most bytes that the host copies for one call: a part, and the list of buffers.
const COPIED: usize = 2 << 20;
/// The longest path, in bytes.
pub(super) const PATH: i32 = 4096;

// What calls are answered with, as WASI numbers it.
pub(super) const SUCCESS: i32 = 0;
pub(super) const BAD_DESCRIPTOR: i32 = 8;
pub(super) const FAULT: i32 = 21;
pub(super) const NAME_TOO_LONG: i32 = 37;
pub(super) const NOT_PERMITTED: i32 = 63;
pub(super) const NOT_CAPABLE: i32 = 76;

/// What calls of one guest are answered with.
pub(super) struct Host<'s> {
    wasi: &'s mut Wasi,
    leash: Arc<Leash>,
    denied: &'s mut Option<String>,
}

impl<'s> Host<'s> {
    pub(super) fn new(state: &'s mut State) -> Self {
        Self { wasi: &mut state.wasi, leash: Arc::clone(&state.leash), denied: &mut state.denied }
    }

    /// Waits for a call, until the guest's deadline has passed.
    pub(super) fn within_deadline<'h, F>(
        &'h mut self,
        call: impl FnOnce(&'h mut Wasi) -> F,
    ) -> Result<i32, Fault>
    where
        F: Future<Output = engine::Result<i32>>,
    {
        self.wasi.set_hostcall_fuel(COPIED);
        let (leash, call) = (&self.leash, call(&mut *self.wasi));
        in_tokio(async {
            tokio::select! {
                biased;
                result = call => result.map_err(|error| fault(&error)),
                () = leash.killed() => Err(Trap::Interrupt.into()),
            }
        })
    }

    /// Has a call that waits for nothing answered.
    pub(super) fn at_once<T>(
        &mut self,
        call: impl FnOnce(&mut Wasi) -> engine::Result<T>,
    ) -> Result<T, Fault> {
        self.wasi.set_hostcall_fuel(COPIED);
        call(&mut *self.wasi).map_err(|error| fault(&error))
    }

    /// What stands at a path, as WASI numbers types; links are not followed.
    pub(super) fn kind(&mut self, fd: i32, path: &[u8]) -> Result<Option<u8>, Fault> {
        /// Bytes of what is known of a file, and where in them the type stands.
        const FILE: usize = 64;
        const TYPE: usize = 16;
        let at = path.len().next_multiple_of(FILE);
        let mut bytes = vec![0; at + FILE];
        bytes[..path.len()].copy_from_slice(path);
        // A path has at most PATH bytes.
        let (length, out) = (path.len() as i32, at as i32);
        let mut memory = GuestMemory::Unshared(&mut bytes);
        let result = self.within_deadline(|wasi| {
            functions::path_filestat_get(wasi, &mut memory, fd, 0, 0, length, out)
        })?;
        Ok((result == SUCCESS).then(|| bytes[at + TYPE]))
    }

    /// Notes the first path that the sandbox does not grant.
    pub(super) fn note_denied(
        &mut self,
        bytes: &[u8],
        result: &Result<i32, Fault>,
        path: i32,
        length: i32,
    ) {
        if let Ok(BAD_DESCRIPTOR | NOT_PERMITTED | NOT_CAPABLE) = result
            && self.denied.is_none()
        {
            let path = slice(bytes, path, length).unwrap_or_default();
            *self.denied = Some(String::from_utf8_lossy(path).into_owned());
        }
    }
}

/// Bytes of the guest's memory.
pub(super) fn slice(bytes: &[u8], at: i32, length: i32) -> Option<&[u8]> {
    let (at, length) = (at.cast_unsigned() as usize, length.cast_unsigned() as usize);
    bytes.get(at..)?.get(..length)
}
