//! The thread that a filter's guests run on: its stack is large enough and guarded, whatever stack the agent calls from.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use crate::signals;

/// As much as the main thread of a program has on most systems.
const STACK: usize = 8 << 20;

/// Does work one piece at a time while its owner waits. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Worker<J, A> {
    /// Both are `None` only while it is dropped.
    jobs: Option<SyncSender<J>>,
    answers: Receiver<Option<A>>,
    thread: Option<JoinHandle<()>>,
}

impl<J: Send + 'static, A: Send + 'static> Worker<J, A> {
    /// Starts the thread, whose work this is.
    pub(crate) fn start(mut work: impl FnMut(J) -> A + Send + 'static) -> io::Result<Self> {
        let (jobs, todo) = sync_channel::<J>(1);
        let (done, answers) = sync_channel(1);
        let each = move || {
            for job in todo {
                let answer = catch_unwind(AssertUnwindSafe(|| work(job))).ok();
                if done.send(answer).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("aot filter".to_owned()).stack_size(STACK);
        let thread = signals::unbothered(|| thread.spawn(each))?;
        Ok(Self { jobs: Some(jobs), answers, thread: Some(thread) })
    }

    /// Has one piece of work done; nothing comes of it if that panics.
    pub(crate) fn run(&self, job: J) -> Option<A> {
        self.jobs.as_ref()?.send(job).ok()?;
        self.answers.recv().ok()?
    }
}

impl<J, A> Drop for Worker<J, A> {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // It has caught every panic.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_in_order_and_a_panic_ends_only_its_piece() {
        let mut count = 0;
        let worker = Worker::start(move |number: u32| {
            count += 1;
            assert_ne!(number, 2, "a panic");
            (count, number * 10)
        });
        let worker = worker.unwrap();
        let answers = [1, 2, 3].map(|number| worker.run(number));
        assert_eq!(answers, [Some((1, 10)), None, Some((3, 30))]);
    }
}
