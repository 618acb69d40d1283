//! WASI's `poll_oneoff`: the one function with which a guest waits. It waits as long as the guest's deadline lets it.
//!
//! All that a guest can have open is ready at any time: files, pipes to the log, an input that has ended. So only clocks make
//! it wait.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::fault::{Fault, Trap};
use crate::machine::{Call, Linker, provide};
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

/// Provides the function, if that is its name.
pub(super) fn link(linker: &mut Linker, module: &str, name: &str, is_unstable: bool) -> bool {
    if name != "poll_oneoff" {
        return false;
    }
    let form = if is_unstable { UNSTABLE } else { PREVIEW_1 };
    let poll = move |call: &mut Call<'_>, subscriptions, events, count, event_count| {
        poll(call, form, (subscriptions, events, count, event_count))
    };
    provide!(linker, module, name, poll, subscriptions: u32, events: u32, count: u32, event_count: u32);
    true
}

fn poll(
    call: &mut Call<'_>,
    form: Form,
    (subscriptions, events, count, event_count): (u32, u32, u32, u32),
) -> Result<i32, Fault> {
    if count == 0 || count > MOST {
        return Ok(INVALID);
    }
    let (data, state) = call.parts();
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
