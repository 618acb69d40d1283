//! Leads a thread out of compiled code that runs too long: one of the project's homes of `unsafe`.
//!
//! The watchdog sends a signal to the guest's thread. The handler, which runs on that thread, looks whether the thread stands
//! in the body of a function of the guest that is to end; if so it moves the program counter to the trapping instruction of
//! the function `flb:stop`, which the compiler added, notes where it was, and does nothing else. When the handler returns, the thread executes
//! that instruction, and the engine ends the call as it does for any trap. Whoever asks for more of it than this asks for
//! more than has been thought through.
//!
//! # Why this is sound
//!
//! Read in the sources of Wasmtime 48.0.8, which `Cargo.toml` pins, and tried by `interrupt/tests.rs` and `tests/deadline.rs`.
//!
//! 1. **A trap needs nothing of the place where it happens.** The engine's own handler for `SIGILL` looks up the trapping
//!    instruction, notes the reason, and sets the program counter, stack and frame pointer to values that were stored when
//!    the guest was entered. No register and no frame of the guest is used to get out; the code that entered it takes every
//!    register for lost. So every instruction of the guest is as good as its trap, if the stored values are this entry's.
//! 2. **They are, inside of function bodies.** The trampoline into the guest stores them before it calls the first body, and
//!    what a host function leaves behind for the guest (an error, a panic) is dealt with in trampolines, too. So the handler
//!    moves the program counter only within the ranges of `Module::functions()`, which has the bodies of the module's own
//!    functions and nothing else: no trampoline, no builtin, no code of the host. Everywhere else it only sets a flag, which
//!    the guest's code looks at after bulk operations, growing, and calls of the host; and the watchdog sends again.
//! 3. **The engine may do in its handler what a signal handler may not** (it allocates, it takes a lock), because the thread
//!    stands in the guest's code, which holds neither. That is another reason never to move it out of the host's.
//! 4. **The stack can be walked for the backtrace.** Code keeps frame pointers; between its first instruction and the one
//!    that sets the frame pointer, and likewise at its end, that is still the caller's, and one frame is missing. The one
//!    exception are functions that move their frame for a tail call's arguments: modules that could have such are not
//!    compiled for signals (`compiler/src/signals.rs`).
//! 5. **Nothing of the host's is left half done.** Guest code writes to the guest's memories, globals and tables, which are
//!    dropped with the store. What keeps account of host objects in several steps (references, exceptions) is not compiled
//!    for signals; the engine has it switched off for such modules. There are no threads, fibers or stack switches.
//! 6. **Only who is to end is ended.** Signals are but hints to look. The handler finds the leash of the guest that its own thread runs
//!    through a thread-local pointer, and goes on only if that guest runs under the very deadline which the watchdog found to have
//!    passed. A signal that is late, doubled, or for another thread, changes nothing. A thread that is stopped in a handler
//!    cannot move on, so what was compared holds until the handler returns.
//! 7. **Pointers are valid when they are used.** The thread-local one is set to a borrowed leash and set back before the
//!    borrow ends (`with_leash`). The leash owns its `Code`, which owns the module. The flag lies in a memory of the leash's
//!    store that never grows or moves, and is written to only while its guest runs, when `Leash::run` has that store borrowed.
//! 8. **Signals that meet do no harm.** If the guest's own fault is handled first, our handler finds the thread in the
//!    engine's handler, so in the host. If ours comes first, the fault does not happen. Ours again on the way to the trap
//!    moves the program counter to where it is. Both use the thread's alternate stack; ours is done before `SIGILL` comes.
//! 9. **The handler only does what handlers may:** loads and stores of atomics, one volatile store, a search in a slice, and
//!    `getpid`. The thread-local is constant-initialised and has no destructor, so using it allocates nothing.
//!
//! What the engine does not promise (that `unreachable` is one trapping instruction in the function's own body, 1 and 2) is
//! tried with every module before any of its code runs (`proof.rs`); if it is not so, the module is compiled for epochs.
#![expect(unsafe_code, reason = "signal handlers and machine contexts are; see the module's words")]

use std::cell::Cell;
use std::ops::Range;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;

use flb_artifact::contract::STOP;
use libc::{c_int, c_void, siginfo_t, ucontext_t};
use wasmtime::Module;

use super::{Leash, Way};

/// `si_code` of a signal that a thread was sent by name.
const SENT_TO_THREAD: c_int = -6;

/// The instruction that `unreachable` is.
#[cfg(target_arch = "x86_64")]
const TRAP: &[u8] = &[0x0f, 0x0b];
#[cfg(target_arch = "aarch64")]
const TRAP: &[u8] = &[0x1f, 0xc1, 0x00, 0x00];
/// Instructions begin at multiples of this.
#[cfg(target_arch = "x86_64")]
const STEP: usize = 1;
#[cfg(target_arch = "aarch64")]
const STEP: usize = 4;

thread_local! {
    /// The leash of the guest that this thread runs, if any.
    static LEASH: Cell<*const Leash> = const { Cell::new(ptr::null()) };
    /// This thread's number, once it was asked for.
    static THREAD: Cell<c_int> = const { Cell::new(0) };
}

/// Where a module's code can be left, and to where. Keeps the code in its place.
pub(crate) struct Code {
    /// The functions' bodies, in order.
    bodies: Vec<Range<usize>>,
    /// The trapping instruction.
    stop: usize,
    _module: Module,
}

impl Code {
    /// Finds it, and makes sure that the signal has its handler.
    pub(super) fn of(module: &Module) -> Result<Self, String> {
        signal()?;
        let text = module.text();
        let base = text.as_ptr().addr();
        let mut functions: Vec<_> = module.functions().collect();
        functions.sort_by_key(|function| function.index);
        // The compiler adds `flb:stop` and `flb:spin`, in this order, behind all others.
        let [.., stop, _spin] = functions.as_slice() else {
            return Err("it lacks the functions that the compiler adds".to_owned());
        };
        let code = &text[stop.offset..stop.offset + stop.len];
        let is_trap = |at: &usize| code[*at..].starts_with(TRAP);
        let mut traps = (0..code.len()).step_by(STEP).filter(is_trap);
        let (Some(trap), None) = (traps.next(), traps.next()) else {
            return Err(format!("its function {STOP} is not what it should be"));
        };
        let stop = base + stop.offset + trap;
        let body = |function: &wasmtime::ModuleFunction| {
            base + function.offset..base + function.offset + function.len
        };
        let mut bodies: Vec<_> = functions.iter().map(body).collect();
        bodies.sort_by_key(|body| body.start);
        Ok(Self { bodies, stop, _module: module.clone() })
    }

    /// Whether this is an address within a body.
    fn holds(&self, address: usize) -> bool {
        let after = self.bodies.partition_point(|body| body.start <= address);
        after.checked_sub(1).is_some_and(|index| self.bodies[index].contains(&address))
    }
}

/// Runs `f` with signals to this thread being about the leash.
#[inline]
pub(super) fn with_leash<R>(leash: &Leash, f: impl FnOnce() -> R) -> R {
    struct Back(*const Leash);
    impl Drop for Back {
        fn drop(&mut self) {
            LEASH.set(self.0);
        }
    }
    let this = match THREAD.get() {
        0 => thread(),
        this => this,
    };
    leash.thread.store(this, Ordering::Relaxed);
    let _back = Back(LEASH.replace(ptr::from_ref(leash)));
    f()
}

/// Asks for this thread's number, and lets the signals through that ending a call takes.
#[cold]
fn thread() -> c_int {
    // SAFETY: `gettid` has no conditions. The set is initialised by `sigemptyset` before it is read, and lives long enough.
    let this = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGILL);
        if let Ok(signal) = signal() {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const set, ptr::null_mut());
        // By its number: C libraries before 2.30 have no function for it.
        libc::syscall(libc::SYS_gettid) as c_int
    };
    THREAD.set(this);
    this
}

/// Sends the signal to a thread of this process. One that has ended since, or is another by now, takes no harm.
pub(super) fn send(thread: c_int) {
    let Ok(signal) = signal() else { return };
    // SAFETY: plain numbers go in. A signal that this process handles changes nothing for threads that run no guest.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal) };
}

/// Takes back what a signal said, between two runs of the guest or at the end of one.
pub(super) fn clear_flag(leash: &Leash) {
    let flag = leash.flag.load(Ordering::Relaxed);
    if !flag.is_null() {
        // SAFETY: `Leash::run`, from which this is called, has the store borrowed whose memory the flag lies in.
        unsafe { flag.write_volatile(0) };
    }
}

/// The signal's number, from the first call on for the whole process; or why there is none.
fn signal() -> Result<c_int, String> {
    // Handlers are the process's, so this is, too.
    static SIGNAL: OnceLock<Option<c_int>> = OnceLock::new();
    let signal =
        SIGNAL.get_or_init(|| (libc::SIGRTMIN()..=libc::SIGRTMAX()).find(|one| take(*one)));
    signal.ok_or_else(|| "every real-time signal of the process has a handler already".to_owned())
}

/// Installs the handler, if the signal has none yet.
fn take(signal: c_int) -> bool {
    // SAFETY: both structs are plain data for which zeros are a value, and are read only as far as the calls below wrote to
    // them. The handler has the type that SA_SIGINFO asks for and keeps to what handlers may do (9 above).
    unsafe {
        let mut found: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(signal, ptr::null(), &raw mut found) != 0
            || found.sa_sigaction != libc::SIG_DFL
        {
            return false;
        }
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handle as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART;
        libc::sigemptyset(&raw mut action.sa_mask);
        libc::sigaction(signal, &raw const action, ptr::null_mut()) == 0
    }
}

extern "C" fn handle(_: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system hands over both structs, valid until the handler returns, and nobody else has them.
    let (info, context) = unsafe { (&*info, &mut *context.cast::<ucontext_t>()) };
    // SAFETY: the field is there for the `si_code` that is compared first, and `getpid` has no conditions.
    if info.si_code != SENT_TO_THREAD || unsafe { info.si_pid() != libc::getpid() } {
        return;
    }
    // SAFETY: null, or a leash that `with_leash`, which this thread is in, has borrowed (7 above).
    let Some(leash) = (unsafe { LEASH.get().as_ref() }) else { return };
    let Way::Signal(code) = leash.way() else { return };
    if !leash.is_to_end() {
        return;
    }
    let flag = leash.flag.load(Ordering::Relaxed);
    if !flag.is_null() {
        // SAFETY: the guest runs, so its store is borrowed by `Leash::run`, which this thread is in (7 above).
        unsafe { flag.write_volatile(1) };
    }
    #[cfg(target_arch = "x86_64")]
    let counter = &mut context.uc_mcontext.gregs[libc::REG_RIP as usize];
    #[cfg(target_arch = "aarch64")]
    let counter = &mut context.uc_mcontext.pc;
    // Addresses have 64 bits on both, one of which counts them as signed.
    let found = *counter as usize;
    if code.holds(found) {
        if found != code.stop {
            leash.interrupted.store(found, Ordering::Relaxed);
        }
        *counter = code.stop as _;
        #[cfg(test)]
        leash.hits.fetch_add(1, Ordering::Relaxed);
    }
}
