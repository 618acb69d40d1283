//! WASI preview 1 for guests that import it: no network, and of the host only what the sandbox grants.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use wasmtime::Linker;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p1::{WasiP1Ctx, add_to_linker_sync};
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{FsPerms, HostMonotonicClock, I32Exit, WasiCtxBuilder, async_trait};

use crate::capture::Capture;
use crate::output::Lines;
use crate::state::State;
use crate::{GuestOutput, GuestStream, LoadError, Sandbox};

/// What WASI keeps for one guest.
pub(crate) type Wasi = WasiP1Ctx;

/// Provides WASI's functions.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    add_to_linker_sync(linker, |state| &mut state.wasi)?;
    crate::poll::link(linker)
}

/// What the sandbox grants, with a monotonic clock from `started` on. With `stdout`, the guest's output is kept there.
pub(crate) fn context(
    sandbox: &Sandbox,
    stdout: Option<Capture>,
    started: Instant,
) -> Result<Wasi, LoadError> {
    let mut builder = WasiCtxBuilder::new();
    builder.monotonic_clock(Monotonic(started));
    builder.envs(&sandbox.environment).args(&sandbox.arguments);
    match &sandbox.output {
        GuestOutput::Discard => {}
        GuestOutput::Inherit => {
            builder.inherit_stdout().inherit_stderr();
        }
        GuestOutput::Lines(log) => {
            let lines = |stream| Pipe::new(Lines::new(log.clone(), stream));
            builder.stdout(lines(GuestStream::Stdout)).stderr(lines(GuestStream::Stderr));
        }
    }
    if let Some(capture) = stdout {
        builder.stdout(Pipe::new(capture));
    }
    for directory in &sandbox.directories {
        let path = directory.path.display().to_string();
        let rights = if directory.read_only { FsPerms::ReadOnly } else { FsPerms::ReadWrite };
        builder
            .preopened_dir(&directory.path, &path, rights)
            .map_err(|error| LoadError::Directory { path, reason: format!("{error:#}") })?;
    }
    Ok(builder.build_p1())
}

/// The guest's monotonic clock, in nanoseconds since then.
struct Monotonic(Instant);

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        // It takes five centuries to overflow.
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The code that the guest exited with, if it did.
pub(crate) fn exit_code(error: &wasmtime::Error) -> Option<i32> {
    error.downcast_ref::<I32Exit>().map(|exit| exit.0)
}

/// What takes a guest's output.
trait Take: Send + 'static {
    /// Takes all of it, or ends the guest.
    fn take(&mut self, bytes: &[u8]) -> Result<(), &'static str>;
}

impl Take for Lines {
    fn take(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        self.write(bytes);
        Ok(())
    }
}

impl Take for Capture {
    fn take(&mut self, bytes: &[u8]) -> Result<(), &'static str> {
        if self.write(bytes) { Ok(()) } else { Err("the guest wrote too much") }
    }
}

/// The guest's end of its output.
struct Pipe<T>(Arc<Mutex<T>>);

impl<T> Pipe<T> {
    fn new(target: T) -> Self {
        Self(Arc::new(Mutex::new(target)))
    }
}

impl<T> Clone for Pipe<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Take> StdoutStream for Pipe<T> {
    /// Only later versions of WASI than ours ask for it.
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(MemoryOutputPipe::new(0))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl<T> IsTerminal for Pipe<T> {
    fn is_terminal(&self) -> bool {
        false
    }
}

#[async_trait]
impl<T: Take> Pollable for Pipe<T> {
    async fn ready(&mut self) {}
}

#[async_trait]
impl<T: Take> OutputStream for Pipe<T> {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let mut target = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        target.take(&bytes).map_err(StreamError::trap)
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}
