//! What the host keeps for one guest: its bounds, and what WASI knows of it.

use std::sync::Arc;
#[cfg(feature = "wasi")]
use std::time::Instant;

use flb_artifact::Arguments;

use crate::bounds::Bounds;
#[cfg(feature = "wasi")]
use crate::capture::Capture;
use crate::interrupt::Lane;
use crate::{LoadError, Sandbox};

/// What the host keeps for one guest.
pub(crate) struct State {
    pub(crate) bounds: Bounds,
    /// Where the guest stands, for whoever waits in its name.
    pub(crate) lane: Arc<Lane>,
    #[cfg(feature = "wasi")]
    pub(crate) wasi: crate::wasi::Wasi,
    /// When its monotonic clock was zero.
    #[cfg(feature = "wasi")]
    pub(crate) started: Instant,
}

impl State {
    pub(crate) fn new(
        arguments: Arguments,
        memory_limit: u64,
        #[cfg_attr(
            not(feature = "wasi"),
            expect(unused_variables, reason = "only WASI shows the guest anything of the host")
        )]
        sandbox: &Sandbox,
        lane: Arc<Lane>,
    ) -> Result<Self, LoadError> {
        #[cfg(feature = "wasi")]
        let started = Instant::now();
        Ok(Self {
            bounds: Bounds::new(arguments, memory_limit),
            lane,
            #[cfg(feature = "wasi")]
            wasi: crate::wasi::context(sandbox, None, started)?,
            #[cfg(feature = "wasi")]
            started,
        })
    }

    /// For a program whose output is kept.
    #[cfg(feature = "wasi")]
    pub(crate) fn with_capture(
        arguments: Arguments,
        memory_limit: u64,
        sandbox: &Sandbox,
        stdout: Capture,
        lane: Arc<Lane>,
    ) -> Result<Self, LoadError> {
        let started = Instant::now();
        let wasi = crate::wasi::context(sandbox, Some(stdout), started)?;
        Ok(Self { bounds: Bounds::new(arguments, memory_limit), lane, wasi, started })
    }
}
