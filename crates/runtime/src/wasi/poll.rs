//! WASI's `poll_oneoff`: the one function with which a guest waits. It waits as long as the guest's deadline lets it.
//!
//! All that a guest can have open is ready at any time: files, pipes to the log, an input that has ended. So only clocks make
//! it wait.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use wasmtime::{Caller, Linker, Trap};

use crate::state::State;

/// Where subscriptions differ: one to a clock names itself a second time before it comes to the point in `wasi_unstable`.
#[derive(Clone, Copy)]
struct Form {
    /// Bytes of one subscription.
    size: usize,
    /// Where the clock begins.
    clock: usize,
}

const PREVIEW_1: Form = Form { size: 48, clock: 16 };
const UNSTABLE: Form = Form { size: 56, clock: 24 };
const EVENT: usize = 32;
const CLOCK: u8 = 0;
/// As many subscriptions are plenty.
const MOST: u32 = 4096;

const SUCCESS: i32 = 0;
const FAULT: i32 = 21;
const INVALID: i32 = 28;

/// Provides the function instead of the one that there is.
pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    for (module, form) in [("wasi_snapshot_preview1", PREVIEW_1), ("wasi_unstable", UNSTABLE)] {
        let poll = move |caller: Caller<'_, State>, subscriptions, events, count, event_count| {
            poll(caller, form, (subscriptions, events, count, event_count))
        };
        linker.func_wrap(module, "poll_oneoff", poll)?;
    }
    linker.allow_shadowing(false);
    Ok(())
}

fn poll(
    mut caller: Caller<'_, State>,
    form: Form,
    (subscriptions, events, count, event_count): (u32, u32, u32, u32),
) -> wasmtime::Result<i32> {
    let Some(memory) = caller.get_export("memory").and_then(wasmtime::Extern::into_memory) else {
        return Err(wasmtime::Error::msg("missing required memory export"));
    };
    if count == 0 || count > MOST {
        return Ok(INVALID);
    }
    let (data, state) = memory.data_and_store_mut(&mut caller);
    let asked: Option<Vec<Subscription>> = (0..count as usize)
        .map(|index| Subscription::read(data.get(subscriptions as usize..)?, form, index, state))
        .collect();
    let Some(asked) = asked else { return Ok(FAULT) };
    let wait = asked.iter().map(|one| one.wait).min().unwrap_or_default();
    if !wait.is_zero() && !state.leash.sleep(wait) {
        return Err(Trap::Interrupt.into());
    }
    let due: Vec<_> = asked.iter().filter(|one| one.wait <= wait).collect();
    let written = due.iter().enumerate().try_for_each(|(index, one)| {
        data.get_mut(events as usize + index * EVENT..)?
            .first_chunk_mut()
            .map(|place| *place = one.event())
    });
    let count = data.get_mut(event_count as usize..).and_then(<[u8]>::first_chunk_mut);
    match (written, count) {
        (Some(()), Some(count)) => {
            *count = (due.len() as u32).to_le_bytes();
            Ok(SUCCESS)
        }
        _ => Ok(FAULT),
    }
}

/// Something that a guest waits for, and how long it takes from now.
struct Subscription {
    user_data: [u8; 8],
    kind: u8,
    wait: Duration,
}

impl Subscription {
    fn read(data: &[u8], form: Form, index: usize, state: &State) -> Option<Self> {
        let bytes = data.get(index * form.size..)?.get(..form.size)?;
        let (kind, clock) = (bytes[8], &bytes[form.clock..]);
        let wait = match kind {
            CLOCK => {
                let is_realtime = clock[0] == 0;
                let timeout = Duration::from_nanos(u64::from_le_bytes(*clock[8..].first_chunk()?));
                let is_absolute = clock[24] & 1 == 1;
                match (is_absolute, is_realtime) {
                    (false, _) => timeout,
                    (true, true) => timeout.saturating_sub(since_1970()),
                    (true, false) => timeout.saturating_sub(state.started.elapsed()),
                }
            }
            _ => Duration::ZERO,
        };
        Some(Self { user_data: *bytes.first_chunk()?, kind, wait })
    }

    /// What the guest is told: no error, and of what is ready, that there is something.
    fn event(&self) -> [u8; EVENT] {
        let mut event = [0; EVENT];
        event[..8].copy_from_slice(&self.user_data);
        event[10] = self.kind;
        event[16] = u8::from(self.kind != CLOCK);
        event
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "WASI's own clock, which the guest asks, is the system's"
)]
fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
