//! What a guest says to the log.

use std::time::Instant;

use crate::fault::Fault;
use crate::libc::bytes;
use crate::machine::Call;
use crate::output::{LINE, LogLevel};

/// One line.
pub(super) fn log(call: &mut Call<'_>, level: u32, text: u32, len: u32) -> Result<(), Fault> {
    let (memory, state) = call.parts();
    let text = bytes(memory, text, len)?;
    if let Some(log) = &state.leaves.log {
        log.say(Instant::now(), LogLevel::numbered(level), &text[..text.len().min(LINE)]);
    }
    Ok(())
}
