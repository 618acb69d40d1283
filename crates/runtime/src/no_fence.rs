//! Where nobody can keep a guest to its own part of its memory: it has no more than the memory's end allows.

use std::io;
use std::ops::Range;

/// No fence.
#[derive(Debug, Default)]
pub(crate) struct Fence;

#[expect(clippy::unused_self, reason = "the other fence needs it")]
impl Fence {
    #[cfg(native)]
    pub(crate) fn put(&self, _base: *mut u8, _length: usize, _may_handle_signals: bool) {}

    #[cfg(native)]
    pub(crate) fn set_flag(&self, _flag: *mut u32) {}

    pub(crate) fn open(&self, _bytes: Range<usize>) -> io::Result<()> {
        Ok(())
    }

    #[cfg(native)]
    pub(crate) fn close(&self, _bytes: Range<usize>) -> io::Result<()> {
        Ok(())
    }

    #[cfg(native)]
    pub(crate) fn empty(&self, _bytes: Range<usize>) -> io::Result<()> {
        Ok(())
    }

    #[cfg(native)]
    pub(crate) fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        f()
    }

    pub(crate) fn word(&self, _at: usize) -> Option<u32> {
        None
    }

    pub(crate) fn forget(&self) {}

    #[cfg(native)]
    pub(crate) fn is_astray(&self) -> bool {
        false
    }
}

/// There is nothing to prepare.
pub(crate) fn prepare() -> bool {
    false
}
