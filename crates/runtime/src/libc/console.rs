//! Where the library prints: to the same place as the guest's stdout.

use std::io::Write as _;

#[cfg(feature = "wasi")]
use crate::capture::Capture;
use crate::fault::Fault;
use crate::output::Lines;
use crate::{GuestOutput, GuestStream};

/// Where the library prints.
pub(crate) enum Console {
    /// Nowhere.
    Discard,
    /// To this process's own stdout.
    Inherit,
    /// Line by line to a log.
    Lines(Lines),
    /// Into a program's output.
    #[cfg(feature = "wasi")]
    Capture(Capture),
}

impl Console {
    /// The console of a guest whose output goes there.
    pub(crate) fn new(output: &GuestOutput) -> Self {
        match output {
            GuestOutput::Discard => Self::Discard,
            GuestOutput::Inherit => Self::Inherit,
            GuestOutput::Lines(log) => Self::Lines(Lines::new(log.clone(), GuestStream::Stdout)),
        }
    }

    /// Prints, or ends a guest that has printed too much.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        match self {
            Self::Discard => {}
            // Nobody can be told that this failed.
            Self::Inherit => drop(std::io::stdout().write_all(bytes)),
            Self::Lines(lines) => lines.write(bytes),
            #[cfg(feature = "wasi")]
            Self::Capture(capture) => {
                if !capture.write(bytes) {
                    return Err(Fault::said("the guest wrote too much"));
                }
            }
        }
        Ok(())
    }
}
