//! Keeps a guest to its own part of a memory that is larger to the engine: one of the project's homes of `unsafe`.
//!
//! The engine knows one memory that ends behind the host's pages. What lies between the guest's end and them, and what of
//! them no record needs, is made inaccessible (`mprotect`). Then a load or store of the guest faults there, and the engine
//! turns that into a trap, as for an access behind any memory: compiled code relies on such faults, not on comparisons.
//!
//! Whatever touches the memory in the guest's name otherwise faults there, too: bulk operations, functions of WASI. They were
//! compared with the engine's end, so they believe to be within bounds, and the host's code cannot be left halfway. So the handler lets it through: it makes the memory accessible up to its end, notes that the guest
//! has gone astray, and the instruction is executed again. When the call ends, or at the next place where the guest's code
//! looks at its flag, it ends as a trap, and the guest is dropped with its memory. Until then it has no more than the
//! memory's end allows, which is `Memory_Limit` and the host's pages.
//!
//! Where traps are explicit no handler may be installed, and the fence keeps nothing out: a guest has from the beginning what its
//! memory's end allows.
//!
//! # Why this is sound
//!
//! Read in the sources of Wasmtime 48.0.8, which `Cargo.toml` pins, and tried by `tests/memory.rs`.
//!
//! 1. **The pages are the memory's.** Ranges lie within the memory that `put` was told, and begin and end at pages of WebAssembly,
//!    which are pages of the system or multiples of them. The memory never moves or grows again after `put`: the module has no
//!    `memory.grow` of its own for it, and the host grows it before. It lives as long as its store, and everything that calls `open` and `close` (the store's limiter, its
//!    guest) lives in that store or owns it.
//! 2. **The engine does not mind.** It never looks at a memory's bytes by itself once the memory is initialised, never changes the protection of
//!    what is below its end, and drops the whole reservation at once.
//! 3. **Nothing but protection changes.** Forbidden pages hold zeros: they were never accessible to anybody, or were emptied. What
//!    bytes there are stay, or become zero where no value of Rust's is borrowed (`empty`, which takes the host's pages between
//!    two calls). A fault that is let through is, to the instruction, no fault.
//! 4. **Only such faults are let through.** The address must lie in the memory of the guest that this very thread runs, and the
//!    page must exist and be forbidden (`SEGV_ACCERR`). The engine has its turn first: `prepare` installs our handler before
//!    there is an engine, so that the engine's stands before it and hands over what it makes no trap of. That is what the
//!    host's code does, and short copies, which the engine believes to be unable to fault. Where a program made an engine of
//!    its own before, ours stands first and lets through what would have been a trap at once; it is one when the call
//!    ends. Ours never asks the engine's: that one would hand on what it does not know to Rust's, which takes all handlers
//!    away, and for a moment the traps of other threads would end the process. Everything else goes to the handler that
//!    was there before, as if ours were not.
//! 5. **The handler only does what handlers may:** loads and stores of atomics, one volatile store, and system calls; it restores
//!    `errno`. The thread-local is constant-initialised and has no destructor. It takes no lock and leaves no frame.
//! 6. **Pointers are valid when they are used.** The thread-local one is set to a borrowed fence and set back before the borrow
//!    ends (`Fence::run`). The flag lies in a memory of the same store that never grows or moves.
//! 7. **Who reads from another thread reads what is there.** `word` is for the watchdog, which looks how far a guest has come
//!    while it runs. Whoever lets it look (`Leash::watch`, only called for a `Guest`) has opened the page and never closes it,
//!    and drops the memory only after `forget` has taken the lock and said that there is none. What is read is an aligned
//!    word that compiled code writes with one instruction: it is one value or the other.
#![expect(unsafe_code, reason = "page protection and signal handlers are; see the module's words")]

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use libc::{c_int, c_void, sigaction, siginfo_t};

/// Protection changes at multiples of this: pages of WebAssembly.
const PAGE: usize = 64 << 10;
/// `si_code` of a fault at a page that is there and may not be used.
const FORBIDDEN: c_int = 2;

thread_local! {
    /// The fence of the guest that this thread runs, if any.
    static FENCE: Cell<*const Fence> = const { Cell::new(ptr::null()) };
}

/// The fence of one guest's memory; without a memory, it keeps nothing out.
#[derive(Debug, Default)]
pub(crate) struct Fence {
    base: AtomicUsize,
    length: AtomicUsize,
    /// Whether it keeps anything out.
    is_shut: AtomicBool,
    /// What the guest's code looks at, if it does: null, or in a memory of the same store.
    flag: AtomicPtr<u32>,
    astray: AtomicBool,
    /// Held while somebody reads in the memory beside the guest's own thread, and while it goes.
    reading: Mutex<()>,
}

impl Fence {
    /// From now on it is about this memory, of `length` bytes. Where no signals may be handled it keeps nothing out.
    pub(crate) fn put(&self, base: *mut u8, length: usize, may_handle_signals: bool) {
        self.is_shut.store(may_handle_signals && prepare(), Ordering::Relaxed);
        self.base.store(base.addr(), Ordering::Relaxed);
        self.length.store(length, Ordering::Relaxed);
    }

    /// Where to tell the guest's code that it shall end.
    pub(crate) fn set_flag(&self, flag: *mut u32) {
        self.flag.store(flag, Ordering::Relaxed);
    }

    /// The four bytes at a multiple of four, whatever the guest is writing there just now. For whoever watches it from another
    /// thread; the bytes must be accessible. `None` where there is no such memory, or no more.
    pub(crate) fn word(&self, at: usize) -> Option<u32> {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let start = self.place(&(at..at.checked_add(4)?))?;
        // SAFETY: 7 above: the memory is there while the lock is held, its base is a multiple of a page, and the bytes are not
        // forbidden.
        let word = at.is_multiple_of(4).then(|| unsafe { AtomicU32::from_ptr(start.cast()) })?;
        Some(u32::from_le(word.load(Ordering::Relaxed)))
    }

    /// To be called before the memory goes: from here on nobody reads in it.
    pub(crate) fn forget(&self) {
        let _reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        self.length.store(0, Ordering::Relaxed);
    }

    /// Lets the guest have these bytes of its memory.
    pub(crate) fn open(&self, bytes: Range<usize>) -> io::Result<()> {
        self.protect(bytes, libc::PROT_READ | libc::PROT_WRITE)
    }

    /// Keeps it away from these bytes.
    pub(crate) fn close(&self, bytes: Range<usize>) -> io::Result<()> {
        self.protect(bytes, libc::PROT_NONE)
    }

    /// Keeps it away from these bytes of the host's, and gives back what they take.
    pub(crate) fn empty(&self, bytes: Range<usize>) -> io::Result<()> {
        if let Some(start) = self.place(&bytes) {
            // SAFETY: 1 and 3 above: the pages are the memory's, private and anonymous, and nobody has a reference into them.
            unsafe { libc::madvise(start, bytes.len(), libc::MADV_DONTNEED) };
        }
        self.close(bytes)
    }

    fn protect(&self, bytes: Range<usize>, protection: c_int) -> io::Result<()> {
        let start = self.place(&bytes).filter(|_| self.is_shut.load(Ordering::Relaxed));
        let Some(start) = start else { return Ok(()) };
        // SAFETY: 1 and 2 above: the pages are the memory's, and the engine lets its protection alone.
        match unsafe { libc::mprotect(start, bytes.len(), protection) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Where in the address space these bytes begin, if they are some of the memory's.
    fn place(&self, bytes: &Range<usize>) -> Option<*mut c_void> {
        let is_within = !bytes.is_empty() && bytes.end <= self.length.load(Ordering::Relaxed);
        let start = self.base.load(Ordering::Relaxed).checked_add(bytes.start)?;
        is_within.then(|| ptr::with_exposed_provenance_mut(start))
    }

    /// Runs code in the guest's name, with faults of this thread being about its memory.
    #[inline]
    pub(crate) fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Back(*const Fence);
        impl Drop for Back {
            fn drop(&mut self) {
                FENCE.set(self.0);
            }
        }
        let _back = Back(FENCE.replace(ptr::from_ref(self)));
        f()
    }

    /// Whether anybody touched in the guest's name what is not the guest's.
    #[inline]
    pub(crate) fn is_astray(&self) -> bool {
        self.astray.load(Ordering::Relaxed)
    }

    /// Whether this address lies in the memory.
    fn is_around(&self, address: usize) -> bool {
        let base = self.base.load(Ordering::Relaxed);
        (base..base + self.length.load(Ordering::Relaxed)).contains(&address)
    }

    /// Puts an accessible page in the place of a forbidden one, where the process may not have so much memory that can be
    /// written (`RLIMIT_DATA`). What is shared, as this, does not count.
    fn replace(&self, address: usize) -> bool {
        let base = self.base.load(Ordering::Relaxed);
        let start = base + (address - base) / PAGE * PAGE;
        let sharing =
            libc::MAP_FIXED | libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: 1 above: the page is the memory's. As a forbidden one it holds zeros, and so does the new one (3).
        let page = unsafe {
            libc::mmap(ptr::with_exposed_provenance_mut(start), PAGE, protection, sharing, -1, 0)
        };
        page != libc::MAP_FAILED
    }

    /// Lets an access to this address through that is no trap.
    fn let_through(&self, address: usize) {
        self.astray.store(true, Ordering::Relaxed);
        let flag = self.flag.load(Ordering::Relaxed);
        if !flag.is_null() {
            // SAFETY: the guest runs, so its store, which the flag lies in, is borrowed (6 above).
            unsafe { flag.write_volatile(1) };
        }
        if self.open(0..self.length.load(Ordering::Relaxed)).is_err() && !self.replace(address) {
            // The instruction could not go on, and nothing can be left halfway.
            // SAFETY: it has no conditions.
            unsafe { libc::abort() };
        }
    }
}

// Handlers are the process's, so these are, too.

/// What was done with the signal before. It is known before our handler is installed.
static BEFORE: OnceLock<Option<sigaction>> = OnceLock::new();
/// Whether our handler is there.
static INSTALLED: OnceLock<bool> = OnceLock::new();

/// Installs the handler, at the first call; says whether it is there. To be called before the first engine is made (4 above).
pub(crate) fn prepare() -> bool {
    // SAFETY: the struct is plain data for which zeros are a value; it is read only after the call that fills it in.
    let before = BEFORE.get_or_init(|| unsafe {
        let mut before: sigaction = std::mem::zeroed();
        (libc::sigaction(libc::SIGSEGV, ptr::null(), &raw mut before) == 0).then_some(before)
    });
    before.is_some() && *INSTALLED.get_or_init(set_handler)
}

extern "C" fn handle(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system hands over the struct, valid until the handler returns. The field is there for this signal. The
    // fence is null or borrowed by `Fence::run`, which this thread is in (6 above).
    let (code, address, fence) =
        unsafe { ((*info).si_code, (*info).si_addr().addr(), FENCE.get().as_ref()) };
    let Some(fence) = fence.filter(|fence| code == FORBIDDEN && fence.is_around(address)) else {
        return hand_over(signal, info, context);
    };
    // SAFETY: the address of this thread's `errno` is always valid.
    let errno = unsafe { *libc::__errno_location() };
    fence.let_through(address);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

fn set_handler() -> bool {
    // SAFETY: plain data for which zeros are a value. The handler has the type that SA_SIGINFO asks for and keeps to what
    // handlers may do (5 above).
    unsafe {
        let mut action: sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(libc::SIGSEGV, &raw const action, ptr::null_mut()) == 0
    }
}

/// Does what would happen without this handler.
fn hand_over(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    type Plain = extern "C" fn(c_int);
    type WithInfo = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
    let Some(Some(before)) = BEFORE.get() else { return };
    // SAFETY: the former handler has the type that its flags say, and gets what the system gave. Where there was none, the
    // system's own way is restored, and takes its course when the instruction is executed again.
    unsafe {
        match before.sa_sigaction {
            libc::SIG_DFL | libc::SIG_IGN => {
                libc::sigaction(signal, before, ptr::null_mut());
            }
            handler if before.sa_flags & libc::SA_SIGINFO != 0 => {
                std::mem::transmute::<usize, WithInfo>(handler)(signal, info, context);
            }
            handler => std::mem::transmute::<usize, Plain>(handler)(signal),
        }
    }
}
