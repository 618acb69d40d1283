//! The thread that looks at all leashes every now and then, and ends what has been under way for too long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::sleep::Sleep;
use super::{Leash, Way};
use crate::Hurry;

/// How often the watchdog looks while a guest runs: a call may be as much older than it looks.
const TICK: Duration = Duration::from_millis(2);
/// How often it ends a call that goes on, at first and later: the guest may be in the host's hands.
const AGAIN: Duration = Duration::from_millis(1);
const AGAIN_LATER: Duration = Duration::from_millis(10);
/// How many times are "at first".
const AT_FIRST: u32 = 100;
/// How many looks without a running guest make it go to sleep.
const PATIENCE: u32 = 50;
/// How long it sleeps at most. Whoever runs wakes it; this is for the case that nobody can be wrong about.
const LONGEST: Duration = Duration::from_secs(1);

/// Watches leashes until it is dropped.
#[derive(Debug)]
pub(crate) struct Watchdog {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Leashes that the thread does not know yet.
    arrivals: Mutex<Vec<Weak<Leash>>>,
    sleep: Arc<Sleep>,
    over: AtomicBool,
}

impl Watchdog {
    /// Starts its thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let its = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("filter watchdog".to_owned())
            .spawn(move || Watch::default().run(&its))?;
        // Set once, here.
        let _ = shared.sleep.thread.set(thread.thread().clone());
        Ok(Self { shared })
    }

    /// A leash that is watched for as long as it is there.
    pub(crate) fn leash(&self, deadline: Duration, way: Way, hurry: Option<Hurry>) -> Arc<Leash> {
        let leash = Arc::new(Leash::new(Arc::clone(&self.shared.sleep), deadline, way, hurry));
        let mut arrivals = self.shared.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        arrivals.push(Arc::downgrade(&leash));
        leash
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        self.shared.sleep.wake();
    }
}

/// What the thread knows.
#[derive(Default)]
struct Watch {
    leashes: Vec<Watched>,
    /// Looks since a guest ran.
    idle: u32,
}

struct Watched {
    leash: Weak<Leash>,
    /// The deadline under way when it was looked at last, and since when.
    number: u64,
    since: Instant,
    /// How many times it was ended.
    kills: u32,
    /// How far the guest had come at most.
    progress: Option<u32>,
}

impl Watch {
    fn run(&mut self, shared: &Shared) {
        while !shared.over.load(Ordering::Relaxed) {
            let arrivals = {
                let mut lock = shared.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *lock)
            };
            self.leashes.extend(arrivals.into_iter().map(Watched::new));
            match self.look() {
                Some(next) => {
                    self.idle = 0;
                    shared.sleep.asleep.store(false, Ordering::Relaxed);
                    thread::park_timeout(next);
                }
                None => self.rest(&shared.sleep),
            }
        }
    }

    /// Ends what is to end. How long to wait for the next look, if any guest runs.
    fn look(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let mut next = None;
        self.leashes.retain_mut(|watched| {
            let Some(leash) = watched.leash.upgrade() else { return false };
            if let Some(wait) = watched.look(&leash, now) {
                next = Some(next.map_or(wait, |next: Duration| next.min(wait)));
            }
            true
        });
        next
    }

    /// Nobody runs. After a while the watchdog says that it sleeps, one tick before it does: whoever begins to run either
    /// reads that and wakes it, or wrote that it runs so long ago that the look after this tick sees it.
    fn rest(&mut self, sleep: &Sleep) {
        self.idle += 1;
        if self.idle <= PATIENCE {
            thread::park_timeout(TICK);
        } else if sleep.asleep.swap(true, Ordering::SeqCst) {
            thread::park_timeout(LONGEST);
        } else {
            thread::park_timeout(TICK);
        }
    }
}

impl Watched {
    fn new(leash: Weak<Leash>) -> Self {
        Self { leash, number: 0, since: Instant::now(), kills: 0, progress: None }
    }

    /// Ends the call if it is to end. How long to wait for the next look, if the guest runs.
    fn look(&mut self, leash: &Leash, now: Instant) -> Option<Duration> {
        let number = leash.running()?;
        if self.number != number {
            (self.number, self.since, self.kills) = (number, now, 0);
            self.progress = leash.progress();
        } else if self.kills == 0 && leash.progress() > self.progress && !leash.is_hurried() {
            (self.progress, self.since) = (leash.progress(), now);
        }
        let left = leash.deadline().saturating_sub(now.duration_since(self.since));
        if !left.is_zero() {
            return Some(left.min(TICK));
        }
        leash.kill(number);
        self.kills = self.kills.saturating_add(1);
        Some(if self.kills < AT_FIRST { AGAIN } else { AGAIN_LATER })
    }
}
