//! The allocator, which is the agent's own `malloc`: one of the project's homes of `unsafe`.
//!
//! Two reasons. What the filter answers is freed by the agent, so it must lie in the agent's memory; with this allocator
//! every `Vec<u8>` does, and is handed over without a copy. And the agent may bring an allocator that aligns to eight bytes
//! only (Fluent Bit builds jemalloc that way), while Rust's own takes for granted what the C library's `malloc` promises.
//!
//! # Why this is sound
//!
//! 1. **Each block is aligned as asked.** `malloc`, `calloc` and `realloc` are used up to [`SURE`] only, which all allocators
//!    of 64-bit systems keep to; above, `posix_memalign` is told the alignment, which is then a power of two and a multiple of
//!    a pointer's size, as it asks.
//! 2. **Each block goes back to where it came from.** `free` takes what any of the four gave. All are resolved by the dynamic
//!    linker as one family: the executable's if it has them, else the C library's.
//! 3. **Nothing else is promised.** No state is kept, and a failure is null, as the trait wants it.
#![expect(unsafe_code, reason = "an allocator is; see the module's words")]

use std::alloc::{GlobalAlloc, Layout};
use std::ptr;

/// The allocator of everything in this library.
pub(crate) struct AgentMemory;

/// What every `malloc` aligns to.
const SURE: usize = 8;

// SAFETY: 1 to 3 above.
unsafe impl GlobalAlloc for AgentMemory {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= SURE {
            // SAFETY: any size may be asked for.
            return unsafe { libc::malloc(layout.size()) }.cast();
        }
        let mut block = ptr::null_mut();
        // SAFETY: the place for the answer is there; the alignment is one that may be asked for (1 above).
        match unsafe { libc::posix_memalign(&raw mut block, layout.align(), layout.size()) } {
            0 => block.cast(),
            _ => ptr::null_mut(),
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= SURE {
            // SAFETY: any size may be asked for.
            return unsafe { libc::calloc(1, layout.size()) }.cast();
        }
        // SAFETY: the caller's promise about the layout is handed on; what is written to is the new block.
        unsafe {
            let block = self.alloc(layout);
            if !block.is_null() {
                ptr::write_bytes(block, 0, layout.size());
            }
            block
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the block is one of ours (2 above).
        unsafe { libc::free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= SURE {
            // SAFETY: the block is one of ours (2 above), and keeps its alignment, which is a sure one.
            return unsafe { libc::realloc(block.cast(), size) }.cast();
        }
        // SAFETY: the caller promises that the new size fits the alignment, and that the old block has the old size. The new
        // one is another block, of the new size.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                self.dealloc(block, layout);
            }
            new
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_zeroed_and_keep_their_bytes() {
        for align in [1, 8, 16, 64, 4096] {
            let layout = Layout::from_size_align(100, align).unwrap();
            // SAFETY: the layout has a size, and the block is used within it, and freed once.
            unsafe {
                let block = AgentMemory.alloc_zeroed(layout);
                assert!(block.addr().is_multiple_of(align), "{align}");
                assert_eq!(std::slice::from_raw_parts(block, 100), [0; 100]);
                block.write_bytes(7, 100);
                let block = AgentMemory.realloc(block, layout, 10_000);
                assert!(block.addr().is_multiple_of(align), "{align}");
                assert_eq!(std::slice::from_raw_parts(block, 100), [7; 100]);
                AgentMemory.dealloc(block, Layout::from_size_align(10_000, align).unwrap());
            }
        }
    }
}
