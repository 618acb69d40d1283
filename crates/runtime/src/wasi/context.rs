//! What WASI shows a guest of the host: no network, and only what the sandbox grants.

use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p1::WasiP1Ctx;
use wasmtime_wasi::p2::pipe::MemoryOutputPipe;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{FsPerms, HostMonotonicClock, I32Exit, WasiCtxBuilder, async_trait};

use super::printed::Printed;
use crate::capture::Capture;
use crate::fault::Fault;
use crate::interrupt::Leash;
use crate::output::Lines;
use crate::{GuestOutput, GuestStream, LoadError, Sandbox};

/// What WASI keeps for one guest.
pub(crate) type Wasi = WasiP1Ctx;

/// What the sandbox grants, with a monotonic clock from `started` on. With `stdout`, the guest's output is kept there. The end
/// of what it prints to its stderr is `printed`, wherever it goes.
pub(crate) fn context(
    sandbox: &Sandbox,
    stdout: Option<Capture>,
    started: Instant,
    leash: &Arc<Leash>,
    printed: &Printed,
) -> Result<Wasi, LoadError> {
    let mut builder = WasiCtxBuilder::new();
    let pipe = |stream, target| {
        let printed = (stream == GuestStream::Stderr).then(|| printed.clone());
        Pipe { leash: Arc::clone(leash), printed, target: Arc::new(Mutex::new(target)) }
    };
    builder.monotonic_clock(Monotonic(started));
    builder.envs(&sandbox.environment).args(&sandbox.arguments);
    let target = |stream| match &sandbox.output {
        GuestOutput::Discard => Target::Nothing,
        GuestOutput::Inherit => Target::Own(stream),
        GuestOutput::Lines(log) => Target::Lines(Lines::new(log.clone(), stream)),
    };
    let kept = stdout.map(Target::Capture);
    let stdout = kept.unwrap_or_else(|| target(GuestStream::Stdout));
    builder.stdout(pipe(GuestStream::Stdout, stdout));
    builder.stderr(pipe(GuestStream::Stderr, target(GuestStream::Stderr)));
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

/// What an error of WASI's functions means for the guest: it exited, or nothing good.
pub(super) fn fault(error: &wiggle::wasmtime_crate::Error) -> Fault {
    match error.downcast_ref::<I32Exit>() {
        Some(exit) => Fault::Exit(exit.0),
        None => Fault::said(error.root_cause().to_string()),
    }
}

/// What takes a guest's output.
enum Target {
    Nothing,
    /// This process's stream of the same name.
    Own(GuestStream),
    Lines(Lines),
    Capture(Capture),
}

impl Target {
    /// Takes all of it, or ends the guest.
    fn take(&mut self, bytes: &[u8]) -> StreamResult<()> {
        let failed = |error: io::Error| StreamError::LastOperationFailed(error.into());
        match self {
            Self::Nothing => Ok(()),
            Self::Own(GuestStream::Stdout) => io::stdout().write_all(bytes).map_err(failed),
            Self::Own(GuestStream::Stderr) => io::stderr().write_all(bytes).map_err(failed),
            Self::Lines(lines) => {
                lines.write(bytes);
                Ok(())
            }
            Self::Capture(capture) if capture.write(bytes) => Ok(()),
            Self::Capture(_) => Err(StreamError::trap("the guest wrote too much")),
        }
    }

    fn flush(&mut self) -> StreamResult<()> {
        let failed = |error: io::Error| StreamError::LastOperationFailed(error.into());
        match self {
            Self::Own(GuestStream::Stdout) => io::stdout().flush().map_err(failed),
            _ => Ok(()),
        }
    }
}

/// The guest's end of its output.
#[derive(Clone)]
struct Pipe {
    leash: Arc<Leash>,
    /// Keeps the end of what goes through.
    printed: Option<Printed>,
    target: Arc<Mutex<Target>>,
}

impl StdoutStream for Pipe {
    /// Only later versions of WASI than ours ask for it.
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(MemoryOutputPipe::new(0))
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl IsTerminal for Pipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

#[async_trait]
impl Pollable for Pipe {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Pipe {
    /// A long text comes in small parts: between two of them the deadline may pass.
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        if self.leash.is_killed() {
            return Err(StreamError::trap("the deadline has passed"));
        }
        if let Some(printed) = &self.printed {
            printed.add(self.leash.number(), &bytes);
        }
        self.target.lock().unwrap_or_else(PoisonError::into_inner).take(&bytes)
    }

    fn flush(&mut self) -> StreamResult<()> {
        self.target.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}
