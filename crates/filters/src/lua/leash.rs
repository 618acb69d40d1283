//! What ends a script that runs too long: a look at the clock, every so many of its instructions.
//!
//! Only what Lua executes is counted: one call into C, as a pattern, a command or a read that waits, ends by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mlua::{HookTriggers, Lua, VmState};

/// Instructions between two looks at the clock: some fifty microseconds.
const STEPS: u32 = 10_000;
const NEVER: u64 = u64::MAX;

/// Shared by a state and its hook.
#[derive(Debug)]
pub(super) struct Leash {
    birth: Instant,
    length: Duration,
    /// When the call must have ended, in nanoseconds since the birth.
    end: AtomicU64,
    /// A call has been ended.
    is_torn: AtomicBool,
}

impl Leash {
    /// Puts a state on a leash: no call takes longer than this.
    pub(super) fn put(lua: &Lua, length: Duration) -> mlua::Result<Arc<Self>> {
        let (end, is_torn) = (AtomicU64::new(NEVER), AtomicBool::new(false));
        let leash = Arc::new(Self { birth: Instant::now(), length, end, is_torn });
        let held = Arc::clone(&leash);
        let every = |steps| HookTriggers::new().every_nth_instruction(steps);
        lua.set_global_hook(every(STEPS), move |lua, _| {
            if held.age() < held.end.load(Ordering::Relaxed) {
                return Ok(VmState::Continue);
            }
            held.is_torn.store(true, Ordering::Relaxed);
            // Where the script catches the error its very next instruction ends, too.
            lua.set_global_hook(every(1), |_, _| Err(mlua::Error::runtime("too late")))?;
            Err(mlua::Error::runtime("too late"))
        })?;
        Ok(leash)
    }

    /// Calls what runs Lua.
    pub(super) fn run<T>(&self, call: impl FnOnce() -> T) -> T {
        let length = u64::try_from(self.length.as_nanos()).unwrap_or(NEVER);
        self.end.store(self.age().saturating_add(length), Ordering::Relaxed);
        let said = call();
        self.end.store(NEVER, Ordering::Relaxed);
        said
    }

    /// How long a call may take.
    pub(super) fn length(&self) -> Duration {
        self.length
    }

    /// Whether a call took too long. Nothing can be called in this state any more.
    pub(super) fn is_torn(&self) -> bool {
        self.is_torn.load(Ordering::Relaxed)
    }

    fn age(&self) -> u64 {
        u64::try_from(self.birth.elapsed().as_nanos()).unwrap_or(NEVER)
    }
}
