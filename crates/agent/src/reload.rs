//! Who asks for another configuration, one at a time, and what became of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

/// Where reloads are asked for and counted. Clones share one.
#[derive(Debug, Clone)]
pub(crate) struct Reloads(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Whether the configuration at work allows it.
    is_on: AtomicBool,
    /// From when one is begun until its end.
    is_busy: AtomicBool,
    done: AtomicU64,
    failed: AtomicU64,
    requests: mpsc::Sender<Request>,
}

/// Whom to tell what became of a reload, if anybody waits.
pub(crate) type Request = Option<oneshot::Sender<bool>>;

/// Why nobody reloads now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotEnabled,
    InProgress,
}

/// Where reloads are asked for, and where they come out.
pub(crate) fn reloads(is_on: bool) -> (Reloads, mpsc::Receiver<Request>) {
    // One may wait while another is in progress: the configuration may have changed since that one read it.
    let (requests, receiver) = mpsc::channel(1);
    let shared = Shared {
        is_on: is_on.into(),
        is_busy: false.into(),
        done: 0.into(),
        failed: 0.into(),
        requests,
    };
    (Reloads(Arc::new(shared)), receiver)
}

impl Reloads {
    /// A signal asks.
    pub(crate) fn ask(&self) {
        if !self.0.is_on.load(Ordering::Acquire) {
            tracing::warn!("[reload] hot reloading is not enabled");
        } else if self.0.requests.try_send(None).is_err() {
            tracing::info!("[reload] another one waits already");
        }
    }

    /// Somebody asks who wants to know what becomes of it: whether the new configuration is at work.
    pub(crate) fn ask_and_wait(&self) -> Result<oneshot::Receiver<bool>, Refusal> {
        if !self.0.is_on.load(Ordering::Acquire) {
            return Err(Refusal::NotEnabled);
        }
        if self.0.is_busy.swap(true, Ordering::AcqRel) {
            return Err(Refusal::InProgress);
        }
        let (told, answer) = oneshot::channel();
        // If one waits already it is about to begin, and says itself that it is busy.
        self.0.requests.try_send(Some(told)).map_err(|_| Refusal::InProgress)?;
        Ok(answer)
    }

    /// One is begun.
    pub(crate) fn begin(&self) {
        self.0.is_busy.store(true, Ordering::Release);
    }

    /// It is over, and the configuration that is at work now allows another one, or not.
    pub(crate) fn end(&self, request: Request, is_done: bool, is_on: bool) {
        let count = if is_done { &self.0.done } else { &self.0.failed };
        count.fetch_add(1, Ordering::Relaxed);
        self.0.is_on.store(is_on, Ordering::Release);
        self.0.is_busy.store(false, Ordering::Release);
        if let Some(told) = request {
            // Who asked may be gone.
            let _ = told.send(is_done);
        }
    }

    /// How often another configuration took over.
    pub(crate) fn done(&self) -> u64 {
        self.0.done.load(Ordering::Relaxed)
    }

    /// How often one was refused.
    pub(crate) fn failed(&self) -> u64 {
        self.0.failed.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_in_progress_and_one_may_wait() {
        let (reloads, mut requests) = reloads(true);
        reloads.ask();
        assert_eq!(reloads.ask_and_wait().unwrap_err(), Refusal::InProgress);
        let request = requests.try_recv().unwrap();
        reloads.begin();
        reloads.ask();
        reloads.ask();
        reloads.end(request, true, true);
        let request = requests.try_recv().unwrap();
        assert!(requests.try_recv().is_err());
        reloads.begin();
        reloads.end(request, false, true);
        let mut answer = reloads.ask_and_wait().unwrap();
        let request = requests.try_recv().unwrap();
        reloads.end(request, true, false);
        assert_eq!(answer.try_recv(), Ok(true));
        assert_eq!(reloads.ask_and_wait().unwrap_err(), Refusal::NotEnabled);
        reloads.ask();
        assert!(requests.try_recv().is_err());
        assert_eq!((reloads.done(), reloads.failed()), (2, 1));
    }
}
