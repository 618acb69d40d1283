//! Keeps the agent from taking the guests' traps away: one of the project's homes of `unsafe`.
//!
//! A guest's trap is a fault that the engine's signal handler knows what to do with. Fluent Bit has a handler for faults, too,
//! which ends the process. It is installed before this library is loaded, so the engine's stands before it; but Fluent Bit
//! installs it anew at each `SIGHUP` (reload) and `SIGCONT` (dump), and the next trap would end the agent.
//!
//! So these two signals are taken over. Their handler here only notes them. A thread of ours then calls the agent's
//! handler, at a time when no guest runs ([`with_guests`]), and puts the engine's back behind it. As a guard against whoever
//! else might do as Fluent Bit does, the handlers are looked at before each chunk, too.
//!
//! # Why this is sound
//!
//! 1. **The agent's handler is called as what it is:** only one that was installed as `void (*)(int)`, without `SA_SIGINFO`,
//!    is taken over, and it gets its signal's number. What may run at any moment on any thread may run on a thread of ours.
//! 2. **Our handler only does what handlers may:** a store to an atomic and `write`; it restores `errno`.
//! 3. **Structs are what the system gave.** A `sigaction` that is installed is one that `sigaction` filled in before, or is
//!    made here of zeros, which are a value of it, with a handler of the type that its flags say.
//! 4. **Handlers that are put back are still there.** The engine's are in this library, which is never unmapped; and those of
//!    other libraries that came later were there a moment ago, as they are looked up anew each time and remembered only
//!    while they are in place.
//!
//! What is left: the agent's handler, while it runs on our thread, installs itself for the two signals for a moment. If one
//! of them comes again in just these microseconds, and the thread that it hits is then held up for as long as it takes to
//! begin with the next chunk, the guests of that chunk have lost their traps. The next look finds it.
#![expect(unsafe_code, reason = "signal handlers are; see the module's words")]

use std::ffi::c_int;
use std::io;
use std::mem::zeroed;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use libc::sigaction;

/// What guests' traps are.
const TRAPS: [c_int; 4] = [libc::SIGSEGV, libc::SIGILL, libc::SIGFPE, libc::SIGBUS];
/// The signals at which the agent takes them away.
const TAKEN: [c_int; 2] = [libc::SIGHUP, libc::SIGCONT];

// Handlers are the process's, so all this is, too.

/// Guests run while somebody holds it for reading.
static GUESTS: RwLock<()> = RwLock::new(());
static HANDLERS: Mutex<Handlers> = Mutex::new(Handlers {
    holders: 0,
    has_thread: false,
    agents: [None; TAKEN.len()],
    engines: [None; TRAPS.len()],
});
/// Which of the taken signals came and wait to be handed on.
static WAITING: [AtomicBool; TAKEN.len()] = [const { AtomicBool::new(false) }; TAKEN.len()];
/// What wakes the thread that hands them on: an eventfd.
static WAKE: AtomicI32 = AtomicI32::new(-1);

struct Handlers {
    /// How many [`Held`] there are.
    holders: usize,
    has_thread: bool,
    /// The agent's, of the taken signals.
    agents: [Option<sigaction>; TAKEN.len()],
    /// Those of traps, the engine's first, as they stood when they were looked at last.
    engines: [Option<sigaction>; TRAPS.len()],
}

/// While it lives, the agent's reload and dump wait until no guest runs.
#[derive(Debug)]
pub(crate) struct Held(());

impl Held {
    /// Takes the signals over, unless that is done already. To be called before there is an engine.
    pub(crate) fn new() -> io::Result<Self> {
        let mut handlers = handlers();
        handlers.start_thread()?;
        handlers.holders += 1;
        if handlers.holders == 1 {
            for (agent, signal) in handlers.agents.iter_mut().zip(TAKEN) {
                let found = current(signal);
                *agent = Some(found).filter(is_plain).or(*agent);
            }
        }
        handlers.look();
        Ok(Self(()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut handlers = handlers();
        handlers.holders -= 1;
        if handlers.holders > 0 {
            return;
        }
        for (agent, signal) in handlers.agents.iter().zip(TAKEN) {
            if let Some(agent) = agent.filter(|_| is_ours(&current(signal))) {
                set(signal, &agent);
            }
        }
    }
}

/// Runs guests: with the engine's handlers in their place, and nobody taking them away.
pub(crate) fn with_guests<R>(f: impl FnOnce() -> R) -> R {
    let _guests = GUESTS.read().unwrap_or_else(PoisonError::into_inner);
    handlers().look();
    f()
}

/// Runs what starts threads of ours: the agent's signals go to the agent's threads.
pub(crate) fn unbothered<R>(f: impl FnOnce() -> R) -> R {
    struct Back(libc::sigset_t);
    impl Drop for Back {
        fn drop(&mut self) {
            // SAFETY: the set is the one that the system gave below.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.0, ptr::null_mut()) };
        }
    }
    // SAFETY: both sets are plain data for which zeros are a value; they are filled in before they are read.
    let _back = unsafe {
        let (mut none, mut before): (libc::sigset_t, libc::sigset_t) = (zeroed(), zeroed());
        libc::sigfillset(&raw mut none);
        TRAPS.iter().for_each(|trap| {
            libc::sigdelset(&raw mut none, *trap);
        });
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, &raw mut before);
        Back(before)
    };
    f()
}

fn handlers() -> MutexGuard<'static, Handlers> {
    HANDLERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Handlers {
    /// Starts the thread that hands signals on. It is there until the process ends.
    fn start_thread(&mut self) -> io::Result<()> {
        if self.has_thread {
            return Ok(());
        }
        // SAFETY: plain numbers go in.
        let wake = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if wake < 0 {
            return Err(io::Error::last_os_error());
        }
        WAKE.store(wake, Ordering::Relaxed);
        let thread = std::thread::Builder::new().name("aot signals".to_owned());
        unbothered(|| thread.spawn(hand_on))?;
        self.has_thread = true;
        Ok(())
    }

    /// Puts everything in its place.
    fn look(&mut self) {
        let Self { holders, agents, engines, .. } = self;
        for (agent, signal) in agents.iter().zip(TAKEN).filter(|_| *holders > 0) {
            if agent.is_some_and(|agent| is_same(&agent, &current(signal))) {
                set(signal, &note_handler());
            }
        }
        for (engine, trap) in engines.iter_mut().zip(TRAPS) {
            let found = current(trap);
            let is_agents = agents.iter().flatten().any(|agent| is_same(agent, &found));
            if !is_agents && has_handler(&found) {
                *engine = Some(found);
            } else if let Some(engine) = engine {
                set(trap, engine);
            }
        }
    }
}

/// The thread: waits for signals, and hands them on to the agent.
fn hand_on() {
    loop {
        let mut count = 0_u64;
        let wake = WAKE.load(Ordering::Relaxed);
        // SAFETY: an eventfd gives eight bytes, for which there is room.
        let read = unsafe { libc::read(wake, (&raw mut count).cast(), size_of_val(&count)) };
        if read < 0 && io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
            return;
        }
        for (index, waiting) in WAITING.iter().enumerate() {
            if waiting.swap(false, Ordering::Relaxed) {
                hand_on_one(index);
            }
        }
    }
}

fn hand_on_one(index: usize) {
    let _nobody_runs = GUESTS.write().unwrap_or_else(PoisonError::into_inner);
    let agent = {
        let mut handlers = handlers();
        handlers.look();
        handlers.agents[index]
    };
    let Some(agent) = agent else { return };
    // SAFETY: 1 above.
    let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(agent.sa_sigaction) };
    handler(TAKEN[index]);
    handlers().look();
}

/// The handler of the signals that are taken over.
extern "C" fn note(signal: c_int) {
    // SAFETY: the address of this thread's `errno` is always valid.
    let errno = unsafe { *libc::__errno_location() };
    if let Some(index) = TAKEN.iter().position(|taken| *taken == signal) {
        WAITING[index].store(true, Ordering::Relaxed);
    }
    let one = 1_u64;
    // SAFETY: eight bytes are there. An eventfd that is full wakes its reader all the same.
    unsafe {
        libc::write(WAKE.load(Ordering::Relaxed), (&raw const one).cast(), size_of_val(&one))
    };
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = errno };
}

fn note_handler() -> sigaction {
    // SAFETY: 3 above.
    unsafe {
        let mut action: sigaction = zeroed();
        action.sa_sigaction = note as *const () as usize;
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        libc::sigemptyset(&raw mut action.sa_mask);
        action
    }
}

fn current(signal: c_int) -> sigaction {
    // SAFETY: 3 above; the struct is read as the system filled it in.
    unsafe {
        let mut found: sigaction = zeroed();
        libc::sigaction(signal, ptr::null(), &raw mut found);
        found
    }
}

fn set(signal: c_int, action: &sigaction) {
    // SAFETY: 3 and 4 above.
    unsafe { libc::sigaction(signal, ptr::from_ref(action), ptr::null_mut()) };
}

fn has_handler(action: &sigaction) -> bool {
    !matches!(action.sa_sigaction, libc::SIG_DFL | libc::SIG_IGN)
}

/// Whether it is a handler of the type `void (*)(int)`, and not our own.
fn is_plain(action: &sigaction) -> bool {
    has_handler(action) && action.sa_flags & libc::SA_SIGINFO == 0 && !is_ours(action)
}

fn is_ours(action: &sigaction) -> bool {
    action.sa_sigaction == note as *const () as usize
}

fn is_same(one: &sigaction, other: &sigaction) -> bool {
    one.sa_sigaction == other.sa_sigaction
}
