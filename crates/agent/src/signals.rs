//! Signals: the first one asks the pipeline to stop, the second one does not wait for it. SIGHUP asks for a reload.
//!
//! They have a thread and a runtime of their own, so that they are heard however busy or stuck the pipeline is.

use std::io;
use std::time::{Duration, Instant};

use flb_pipeline::Stop;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::reload::Reloads;

/// One signal that comes twice within this time is one: `timeout` sends it to the process and to its group.
const TWICE: Duration = Duration::from_millis(500);

/// Takes the signals over from their default action, which would end the process. At the first one the pipeline is asked
/// to stop; at the second one `cut_off` ends the process.
pub(crate) fn listen(
    stop: Stop,
    reloads: Reloads,
    cut_off: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let mut signals = runtime.block_on(async { Signals::listen(reloads) })?;
    let run = move || {
        let first = runtime.block_on(signals.next());
        stop.ask();
        runtime.block_on(signals.another(first));
        cut_off();
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(run)?;
    Ok(())
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
    quit: Signal,
    hang_up: Signal,
    reloads: Reloads,
}

impl Signals {
    fn listen(reloads: Reloads) -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            hang_up: signal(SignalKind::hangup())?,
            reloads,
        })
    }

    /// Waits for another signal that asks to stop.
    async fn another(&mut self, first: &str) {
        let heard = Instant::now();
        while self.next().await == first && heard.elapsed() < TWICE {}
    }

    /// Waits for a signal that asks to stop: its name.
    async fn next(&mut self) -> &'static str {
        loop {
            let name = tokio::select! {
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.quit.recv() => "SIGQUIT",
                _ = self.hang_up.recv() => {
                    tracing::warn!("[engine] caught signal (SIGHUP)");
                    self.reloads.ask();
                    continue;
                }
            };
            tracing::warn!("[engine] caught signal ({name})");
            return name;
        }
    }
}
