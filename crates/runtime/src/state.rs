//! What the host keeps for one guest: its bounds, and what WASI knows of it.

use std::sync::Arc;
use std::time::Instant;

use flb_artifact::Sources;

use crate::bounds::Bounds;
#[cfg(feature = "wasi")]
use crate::capture::Capture;
use crate::interrupt::Leash;
use crate::leaves::Leaves;
use crate::libc::{Console, Library};
use crate::machine::Memory;
use crate::space::Memories;
#[cfg(feature = "wasi")]
use crate::wasi::{Printed, Wasi};
use crate::{LoadError, Sandbox};

/// What the host keeps for one guest.
pub(crate) struct State {
    pub(crate) bounds: Bounds,
    /// Which files its code was made from.
    pub(crate) sources: Arc<Sources>,
    /// By which the guest is ended, for whoever waits in its name.
    pub(crate) leash: Arc<Leash>,
    /// Whether it starts, or has its first call.
    pub(crate) is_first: bool,
    /// Whether it has been called since it started.
    pub(crate) is_asked: bool,
    #[cfg(feature = "wasi")]
    pub(crate) wasi: Wasi,
    /// Its memory, once a function of the host's has looked for it.
    pub(crate) memory: Option<Memory>,
    /// The C library, for a guest that imports it.
    pub(crate) library: Library,
    /// What functions of module `flb` keep.
    pub(crate) leaves: Leaves,
    /// When its monotonic clock was zero.
    pub(crate) started: Instant,
    /// What it printed to its stderr.
    #[cfg(feature = "wasi")]
    printed: Printed,
    /// A file that it asked for and that the sandbox does not grant.
    #[cfg(feature = "wasi")]
    pub(crate) denied: Option<String>,
}

impl State {
    pub(crate) fn new(
        memories: Memories,
        memory_limit: u64,
        sandbox: &Sandbox,
        leash: Arc<Leash>,
    ) -> Result<Self, LoadError> {
        Self::make(
            Bounds::new(memories, memory_limit, Arc::clone(&leash.fence)),
            sandbox,
            #[cfg(feature = "wasi")]
            None,
            Console::new(&sandbox.output),
            leash,
        )
    }

    /// For a program whose output is kept.
    #[cfg(feature = "wasi")]
    pub(crate) fn with_capture(
        memories: Memories,
        memory_limit: u64,
        sandbox: &Sandbox,
        stdout: Capture,
        leash: Arc<Leash>,
    ) -> Result<Self, LoadError> {
        let bounds = Bounds::new(memories, memory_limit, Arc::clone(&leash.fence));
        let console = Console::Capture(stdout.clone());
        Self::make(bounds, sandbox, Some(stdout), console, leash)
    }

    fn make(
        bounds: Bounds,
        #[cfg_attr(
            not(feature = "wasi"),
            expect(unused_variables, reason = "only WASI shows the guest anything of the host")
        )]
        sandbox: &Sandbox,
        #[cfg(feature = "wasi")] stdout: Option<Capture>,
        console: Console,
        leash: Arc<Leash>,
    ) -> Result<Self, LoadError> {
        let started = Instant::now();
        #[cfg(feature = "wasi")]
        let printed = Printed::default();
        Ok(Self {
            bounds,
            sources: Arc::default(),
            is_first: false,
            is_asked: false,
            #[cfg(feature = "wasi")]
            wasi: crate::wasi::context(sandbox, stdout, started, &leash, &printed)?,
            memory: None,
            library: Library::new(console),
            leaves: Leaves::default(),
            started,
            #[cfg(feature = "wasi")]
            printed,
            #[cfg(feature = "wasi")]
            denied: None,
            leash,
        })
    }

    /// What the guest's language said on stderr during the call under way, or the last one.
    pub(crate) fn printed(&self) -> Option<String> {
        #[cfg(feature = "wasi")]
        return self.printed.words(self.leash.number());
        #[cfg(not(feature = "wasi"))]
        None
    }

    /// A file that the guest asked for and that the sandbox does not grant; told once.
    pub(crate) fn take_denied(&mut self) -> Option<String> {
        #[cfg(feature = "wasi")]
        return self.denied.take();
        #[cfg(not(feature = "wasi"))]
        None
    }
}
