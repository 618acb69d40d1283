//! The blocks of the batch ABI as they lie in memory, and the loop around a filter. The attributes call it; filters need not.

use core::fmt;
use core::ptr::{null_mut, write_volatile};
use core::slice;
use core::sync::atomic::{AtomicPtr, Ordering, compiler_fence};

use crate::record::{Answer, Record};
use crate::write::Writer;
use crate::{Context, Start, Verdict};

/// A batch: its records, and room for what becomes of them.
#[repr(C)]
pub struct Batch {
    pub(crate) version: u32,
    pub(crate) size: u32,
    pub(crate) count: u32,
    pub(crate) next: u32,
    pub(crate) recs: *mut Rec,
    pub(crate) rec_size: u32,
    pub(crate) tag: *const u8,
    pub(crate) tag_len: u32,
    pub(crate) out: *mut u8,
    pub(crate) out_cap: u32,
    pub(crate) now: u64,
    pub(crate) deadline: u64,
    pub(crate) flags: u32,
    pub(crate) start: *const StartBlock,
}

/// A record of the batch.
#[repr(C)]
pub(crate) struct Rec {
    pub(crate) sec: u32,
    pub(crate) nsec: u32,
    pub(crate) meta: *const u8,
    pub(crate) body: *const u8,
    pub(crate) end: *const u8,
    pub(crate) verdict: u32,
    pub(crate) at: *const u8,
    pub(crate) len: u32,
}

/// What a filter is told before its first record, and may look up at any time.
#[repr(C)]
pub struct StartBlock {
    pub(crate) version: u32,
    pub(crate) size: u32,
    pub(crate) config: *const u8,
    pub(crate) config_len: u32,
    pub(crate) name: *const u8,
    pub(crate) name_len: u32,
    pub(crate) out: *mut u8,
    pub(crate) out_cap: u32,
    pub(crate) reason: *const u8,
    pub(crate) reason_len: u32,
    pub(crate) flags: u32,
    pub(crate) reserved: u32,
}

/// Blocks where no host makes them.
#[cfg(any(feature = "json", not(target_arch = "wasm32")))]
mod made {
    use core::ptr::{null, null_mut};

    use super::{Batch, Rec, StartBlock};

    const VERSION: u32 = 1;

    impl Rec {
        pub(crate) fn new(
            (sec, nsec): (u32, u32),
            meta: *const u8,
            body: *const u8,
            end: *const u8,
        ) -> Self {
            Self { sec, nsec, meta, body, end, verdict: 0, at: null(), len: 0 }
        }
    }

    impl Batch {
        pub(crate) fn of(
            recs: &mut [Rec],
            tag: &str,
            (out, out_cap): (*mut u8, usize),
            now: u64,
            start: *const StartBlock,
        ) -> Self {
            Self {
                version: VERSION,
                size: size_of::<Self>() as u32,
                count: recs.len() as u32,
                next: 0,
                recs: recs.as_mut_ptr(),
                rec_size: size_of::<Rec>() as u32,
                tag: tag.as_ptr(),
                tag_len: tag.len() as u32,
                out,
                out_cap: out_cap as u32,
                now,
                deadline: 1_000_000_000,
                flags: 1,
                start,
            }
        }
    }

    impl StartBlock {
        pub(crate) fn of(config: &[u8], name: &str, out: &mut [u8]) -> Self {
            Self {
                version: VERSION,
                size: size_of::<Self>() as u32,
                config: config.as_ptr(),
                config_len: config.len() as u32,
                name: name.as_ptr(),
                name_len: name.len() as u32,
                out: if out.is_empty() { null_mut() } else { out.as_mut_ptr() },
                out_cap: out.len() as u32,
                reason: null(),
                reason_len: 0,
                flags: 0,
                reserved: 0,
            }
        }
    }
}

/// What becomes of a record: the numbers of the ABI.
pub(crate) mod verdict {
    pub(crate) const DROP: u32 = 1;
    pub(crate) const EDIT: u32 = 2;
    pub(crate) const SPLIT: u32 = 4;
    pub(crate) const FAIL: u32 = 5;
}

// The host says the same of these in docs/batch-abi.md.
#[cfg(target_arch = "wasm32")]
const _: () = {
    assert!(size_of::<Batch>() == 64 && core::mem::offset_of!(Batch, start) == 60);
    assert!(size_of::<Rec>() == 32 && size_of::<StartBlock>() == 48);
};

/// At the end of the scratch memory, for the last words of a panic.
const LAST_WORDS: usize = 1_024;

/// The batch and the start block in hand, for whoever panics.
static BATCH: AtomicPtr<Batch> = AtomicPtr::new(null_mut());
static STARTING: AtomicPtr<StartBlock> = AtomicPtr::new(null_mut());

/// Says that the module knows the batch ABI; it is never called.
#[cfg(target_arch = "wasm32")]
#[unsafe(no_mangle)]
extern "C" fn flb_batch_1() {}

/// Has the filter decide about every record of the batch: 0, or 1 if there is no more room for answers.
///
/// # Safety
///
/// `batch` is a block as docs/batch-abi.md has it, and nobody else uses it before the function returns.
#[inline(always)]
pub unsafe fn run(
    batch: *mut Batch,
    filter: impl for<'b> Fn(&mut Record<'b>, &Context<'b>) -> Verdict,
) -> u32 {
    #[cfg(feature = "std")]
    crate::panics::hook();
    BATCH.store(batch, Ordering::Relaxed);
    // SAFETY: the caller's promise: the block, its table and its scratch memory are there, and ours.
    unsafe {
        let context = Context::new(&raw const *batch);
        let (first, count) = ((*batch).next, (*batch).count);
        let room = (*batch).out_cap as usize - LAST_WORDS;
        let mut rec = table(batch, first);
        let mut record = Record::new(rec, Answer::within((*batch).out, room));
        for index in first..count {
            // What was decided before must be in memory before.
            compiler_fence(Ordering::SeqCst);
            write_volatile(&raw mut (*batch).next, index);
            record.begin(rec);
            let verdict = filter(&mut record, &context);
            if !record.end(verdict) {
                return 1;
            }
            rec = rec.byte_add((*batch).rec_size as usize);
        }
        compiler_fence(Ordering::SeqCst);
        write_volatile(&raw mut (*batch).next, count);
    }
    0
}

/// The record of this number.
unsafe fn table(batch: *const Batch, index: u32) -> *mut Rec {
    // SAFETY: the table has `count` records, and the number is below or at its end.
    unsafe { (*batch).recs.byte_add(index as usize * (*batch).rec_size as usize) }
}

/// Calls what is to be called before the first record: 0, or 1 and the reason in the block.
///
/// # Safety
///
/// `block` is one as docs/batch-abi.md has it, and nobody else uses it before the function returns.
pub unsafe fn start<E: AsRef<str>>(
    block: *mut StartBlock,
    start: impl for<'b> Fn(&Start<'b>) -> Result<(), E>,
) -> u32 {
    #[cfg(feature = "std")]
    crate::panics::hook();
    STARTING.store(block, Ordering::Relaxed);
    // SAFETY: the caller's promise.
    let result = start(&unsafe { Start::new(block) });
    STARTING.store(null_mut(), Ordering::Relaxed);
    let Err(why) = result else { return 0 };
    // SAFETY: as above; the scratch memory is there.
    unsafe {
        let mut to = Writer::new((*block).out, (*block).out_cap as usize);
        to.put(why.as_ref().as_bytes());
        (*block).reason = (*block).out;
        (*block).reason_len = to.written((*block).out) as u32;
    }
    1
}

/// Leaves the last words of a panic where the host finds them.
#[cfg_attr(
    not(target_arch = "wasm32"),
    expect(dead_code, reason = "natively a panic is the test's")
)]
pub(crate) fn last_words(message: &dyn fmt::Display, place: &dyn fmt::Display) {
    let say = |to: *mut u8| -> (*const u8, u32) {
        // SAFETY: whoever calls this names as many bytes of scratch memory.
        let mut words = unsafe { Writer::new(to, LAST_WORDS) };
        let _ = fmt::write(&mut words, format_args!("{message} at {place}"));
        (to, words.written(to) as u32)
    };
    let (block, batch) = (STARTING.load(Ordering::Relaxed), BATCH.load(Ordering::Relaxed));
    // SAFETY: what is stored there is the block of the call that panics.
    unsafe {
        if !block.is_null() {
            ((*block).reason, (*block).reason_len) = say((*block).out);
        } else if !batch.is_null() {
            let end = (*batch).out.byte_add((*batch).out_cap as usize - LAST_WORDS);
            let rec = table(batch, (*batch).next);
            ((*rec).at, (*rec).len) = say(end);
            compiler_fence(Ordering::SeqCst);
            write_volatile(&raw mut (*rec).verdict, verdict::FAIL);
        }
    }
}

/// The bytes at an address, which may be none.
pub(crate) unsafe fn bytes<'b>(at: *const u8, len: u32) -> &'b [u8] {
    if at.is_null() {
        return &[];
    }
    // SAFETY: the caller's promise.
    unsafe { slice::from_raw_parts(at, len as usize) }
}
