//! A thread beside the lanes, on which filters have their questions to the network asked. A filter is no task and must not hold
//! up its lane: it looks at what is known, and waits for an answer no longer than it likes.

use std::future::Future;
use std::io;
use std::process::Stdio;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::stream::stalled;

/// The thread. What it does ends when this is dropped.
#[derive(Debug)]
pub struct Background {
    tasks: Handle,
    _alive: oneshot::Sender<()>,
}

impl Background {
    /// Starts a thread of this name.
    pub fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let tasks = runtime.handle().clone();
        let (alive, end) = oneshot::channel();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            // Nobody sends anything: it ends when the sender is dropped.
            let _ = runtime.block_on(end);
            runtime.shutdown_background();
        })?;
        Ok(Self { tasks, _alive: alive })
    }

    /// Has a task done, which logs as whoever asks for it.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(task.instrument(Span::current()));
    }
}

/// Something that tasks in the background change, and that filters look at.
#[derive(Debug, Default)]
pub struct Board<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Board<T> {
    /// A board with this on it.
    pub fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    /// What is on it.
    pub fn look(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes what is on it, and tells those who wait.
    pub fn change(&self, change: impl FnOnce(&mut T)) {
        change(&mut self.look());
        self.changed.notify_all();
    }

    /// Goes on looking while `is_open`, but no longer than `patience`.
    pub fn wait_while<'b>(
        &'b self,
        seen: MutexGuard<'b, T>,
        patience: Duration,
        mut is_open: impl FnMut(&T) -> bool,
    ) -> MutexGuard<'b, T> {
        let waited = self.changed.wait_timeout_while(seen, patience, |value| is_open(value));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What comes of a task, and how long it took.
pub async fn timed<T>(task: impl Future<Output = T>) -> (T, Duration) {
    let start = Instant::now();
    let outcome = task.await;
    (outcome, start.elapsed())
}

/// What a command, for /bin/sh, prints: so many bytes of it, within a time, and only if it succeeds.
pub async fn printed_by(command: &str, limit: Duration, most: usize) -> io::Result<Vec<u8>> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut printed = Vec::new();
    let read = async {
        if let Some(stdout) = child.stdout.take() {
            stdout.take(most as u64).read_to_end(&mut printed).await?;
        }
        child.wait().await
    };
    let status = tokio::time::timeout(limit, read).await.unwrap_or_else(|_| Err(stalled(limit)))?;
    match status.success() {
        true => Ok(printed),
        false => Err(io::Error::other(format!("the command ends with {status}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_filter_waits_for_what_a_task_writes_down() {
        let background = Background::start("test").unwrap();
        let board = Arc::new(Board::new(0));
        let written = Arc::clone(&board);
        background.spawn(async move { written.change(|value| *value = 7) });
        let seen = board.wait_while(board.look(), Duration::from_secs(30), |value| *value == 0);
        assert_eq!(*seen, 7);
    }

    #[test]
    fn nobody_waits_longer_than_he_likes() {
        let board = Board::new(0);
        let seen = board.wait_while(board.look(), Duration::from_millis(1), |value| *value == 0);
        assert_eq!(*seen, 0);
    }

    #[test]
    fn a_command_prints_in_time_or_not_at_all() {
        let printed = |command, millis| {
            let limit = Duration::from_millis(millis);
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            let printed = runtime.block_on(printed_by(command, limit, 5));
            printed.map(|text| String::from_utf8(text).unwrap()).map_err(|error| error.to_string())
        };
        assert_eq!(printed("echo one", 30_000).as_deref(), Ok("one\n"));
        assert_eq!(
            printed("echo one; exit 3", 30_000).unwrap_err(),
            "the command ends with exit status: 3"
        );
        assert!(printed("sleep 60", 10).is_err());
    }

    #[test]
    fn tasks_end_with_the_background() {
        let background = Background::start("test").unwrap();
        let (ended, end) = mpsc::channel::<()>();
        background.spawn(async move {
            let _ended = ended;
            std::future::pending::<()>().await;
        });
        drop(background);
        assert_eq!(
            end.recv_timeout(Duration::from_secs(30)),
            Err(mpsc::RecvTimeoutError::Disconnected)
        );
    }
}
