//! Keeps the guests' traps theirs, whoever else in the process handles faults: one of the project's homes of `unsafe`.
//!
//! A guest's trap is a fault that the engine's signal handler knows what to do with. Others have handlers for faults, too:
//!
//! * Fluent Bit's ends the process. It is installed before this library is loaded, so the engine's stands before it; but Fluent
//!   Bit installs it anew at each `SIGHUP` (reload) and `SIGCONT` (dump), and the next trap would end the agent.
//! * Fluent Bit's own filter for WebAssembly has a runtime with handlers, which in releases before 4.2 is started with each chunk, and from the second on hands
//!   what it does not know to itself.
//!
//! So there is a handler of ours before all others ([`front`]). On a thread that runs guests it asks the engine's, on any
//! other it does as if it were not there. It is put back before each chunk if it is not the first. And `SIGHUP` and `SIGCONT` are taken
//! over: their handler here only notes them, and a thread of ours calls the agent's at a time when no guest runs ([`with_guests`]).
//!
//! # Why this is sound
//!
//! 1. **The agent's handler is called as what it is:** only one that was installed as `void (*)(int)`, without `SA_SIGINFO`,
//!    is taken over, and it gets its signal's number. What may run at any moment on any thread may run on a thread of ours.
//! 2. **Our handlers only do what handlers may:** loads and stores of atomics and of a thread's own variables that are
//!    initialised without code, `sigaction`, and `write`; `errno` is restored.
//! 3. **Structs are what the system gave.** A `sigaction` that is installed is one that `sigaction` filled in before, or is
//!    made here of zeros, which are a value of it, with a handler of the type that its flags say.
//! 4. **Handlers that are called or put back are still there.** The engine's are in this library, which is never unmapped; the agent's in its program; and those
//!    of other libraries are the ones that stood there at the last look.
//! 5. **Handlers of faults get what they would have got:** the same three values, which ours got of the system. One of the type
//!    `void (*)(int)` does not look at the other two, which on the machines that this is for lie in registers that it may overwrite.
//! 6. **Nothing goes round in circles.** Who was first before may call ours as the one before it; the second time on one thread
//!    it is the agent's turn, which ends the process.
//!
//! What is left: the agent's handler, while it runs on our thread, installs itself for the two signals for a moment. If one
//! of them comes again in just these microseconds, and the thread that it hits is then held up for as long as it takes to
//! begin with the next chunk, the guests of that chunk have lost their traps. The next look finds it.
#![expect(unsafe_code, reason = "signal handlers are; see the module's words")]

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::mem::zeroed;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use libc::{sigaction, siginfo_t};

/// What guests' traps are.
const TRAPS: [c_int; 3] = [libc::SIGSEGV, libc::SIGILL, libc::SIGFPE];
/// The signals at which the agent takes them away.
const TAKEN: [c_int; 2] = [libc::SIGHUP, libc::SIGCONT];

// Handlers are the process's, so all this is, too.

/// Guests run while somebody holds it for reading.
static GUESTS: RwLock<()> = RwLock::new(());
static HANDLERS: Mutex<Handlers> = Mutex::new(Handlers {
    holders: 0,
    has_thread: false,
    agents: [None; TAKEN.len()],
    others: [None; TRAPS.len()],
});
/// The engine's handlers of traps, once it has any; else 0.
static ENGINES: [AtomicUsize; TRAPS.len()] = [const { AtomicUsize::new(0) }; TRAPS.len()];
/// Whose turn it is on other threads: who was the first before ours.
static OTHERS: [AtomicUsize; TRAPS.len()] = [const { AtomicUsize::new(0) }; TRAPS.len()];
/// The agent's, for what nobody knows.
static LAST: AtomicUsize = AtomicUsize::new(0);
/// Which of the taken signals came and wait to be handed on.
static WAITING: [AtomicBool; TAKEN.len()] = [const { AtomicBool::new(false) }; TAKEN.len()];
/// What wakes the thread that hands them on: an eventfd.
static WAKE: AtomicI32 = AtomicI32::new(-1);

thread_local! {
    /// Whether this thread runs guests.
    static RUNS_GUESTS: Cell<bool> = const { Cell::new(false) };
    /// Whether it is in [`front`].
    static IN_FRONT: Cell<bool> = const { Cell::new(false) };
}

struct Handlers {
    /// How many [`Held`] there are.
    holders: usize,
    has_thread: bool,
    /// The agent's, of the taken signals.
    agents: [Option<sigaction>; TAKEN.len()],
    /// What stood first for traps before ours.
    others: [Option<sigaction>; TRAPS.len()],
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
                *agent = Some(current(signal)).filter(is_plain).or(*agent);
            }
            if let Some(agent) = handlers.agents.iter().flatten().next() {
                LAST.store(agent.sa_sigaction, Ordering::Relaxed);
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
        for (other, trap) in handlers.others.iter().zip(TRAPS) {
            if let Some(other) = other.filter(|_| is_front(&current(trap))) {
                set(trap, &other);
            }
        }
    }
}

/// Runs guests: with the engine's handlers in their place, and nobody taking them away.
pub(crate) fn with_guests<R>(f: impl FnOnce() -> R) -> R {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            RUNS_GUESTS.set(self.0);
        }
    }
    let _guests = GUESTS.read().unwrap_or_else(PoisonError::into_inner);
    handlers().look();
    let _back = Back(RUNS_GUESTS.replace(true));
    f()
}

/// Runs what makes the engine and tries it out: the handlers that are new then are the engine's.
pub(crate) fn with_engine<R>(f: impl FnOnce() -> R) -> R {
    let before = TRAPS.map(|trap| current(trap).sa_sigaction);
    let result = with_guests(f);
    let mut handlers = handlers();
    for ((engine, trap), before) in ENGINES.iter().zip(TRAPS).zip(before) {
        let found = current(trap);
        let is_new = found.sa_sigaction != before && has_handler(&found) && !is_front(&found);
        if is_new && engine.load(Ordering::Relaxed) == 0 {
            engine.store(found.sa_sigaction, Ordering::Relaxed);
        }
    }
    handlers.look();
    result
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
        // Those behind them are the system's and the watchdog's, which end calls by one.
        (1..32).filter(|signal| !TRAPS.contains(signal) && *signal != libc::SIGBUS).for_each(
            |signal| {
                libc::sigaddset(&raw mut none, signal);
            },
        );
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
        if self.holders == 0 {
            return;
        }
        for (agent, signal) in self.agents.iter().zip(TAKEN) {
            if agent.is_some_and(|agent| is_same(&agent, &current(signal))) {
                set(signal, &handler(note as *const () as usize, libc::SA_RESTART));
            }
        }
        for (index, trap) in TRAPS.into_iter().enumerate() {
            let found = current(trap);
            if ENGINES[index].load(Ordering::Relaxed) == 0 || is_front(&found) {
                continue;
            }
            // The engine's own was the first when it came, and hands on what it does not know to who was it before.
            OTHERS[index].store(found.sa_sigaction, Ordering::Relaxed);
            self.others[index] = Some(found);
            set(trap, &handler(front as *const () as usize, libc::SA_SIGINFO | libc::SA_NODEFER));
        }
    }
}

/// The handler of faults that stands before all others.
extern "C" fn front(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    let index = TRAPS.iter().position(|trap| *trap == signal).unwrap_or(0);
    let again = IN_FRONT.replace(true);
    let next = match RUNS_GUESTS.get() {
        _ if again => &LAST,
        true => &ENGINES[index],
        false => &OTHERS[index],
    };
    match next.load(Ordering::Relaxed) {
        // The system's own way takes its course when the instruction is executed again.
        libc::SIG_DFL | libc::SIG_IGN => set(signal, &handler(libc::SIG_DFL, 0)),
        next => {
            type Handler = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);
            // SAFETY: 4 and 5 above.
            let next: Handler = unsafe { std::mem::transmute(next) };
            next(signal, info, context);
        }
    }
    IN_FRONT.set(again);
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
    let agents: extern "C" fn(c_int) = unsafe { std::mem::transmute(agent.sa_sigaction) };
    agents(TAKEN[index]);
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

/// A handler of ours. It has a stack of its own if the thread has one.
fn handler(address: usize, flags: c_int) -> sigaction {
    // SAFETY: 3 above.
    unsafe {
        let mut action: sigaction = zeroed();
        action.sa_sigaction = address;
        action.sa_flags = flags | libc::SA_ONSTACK;
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

fn is_front(action: &sigaction) -> bool {
    action.sa_sigaction == front as *const () as usize
}

fn is_same(one: &sigaction, other: &sigaction) -> bool {
    one.sa_sigaction == other.sa_sigaction
}
