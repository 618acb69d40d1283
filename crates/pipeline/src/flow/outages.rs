//! What an outage of a receiver costs, beside the schedule of Fluent Bit, which tries each chunk by itself: backlog, limit
//! and waits as they are, with a clock that the test turns on.

use std::collections::BTreeMap;
use std::time::Duration;

use flb_event::Tag;
use tokio::time::Instant;

use super::backlog::Backlog;
use super::backlog::tests::task;
use super::retry::{Backoff, Dice, Retries, RetryLimit};

/// Every random number is another one in each of them.
const RUNS: u64 = 100;

/// A receiver that is down for a time in which a chunk of its tag comes each second.
struct Outage {
    start: Instant,
    seconds: u64,
    limit: RetryLimit,
}

/// What the output did with one chunk.
#[derive(Default)]
struct Story {
    /// When it was tried.
    tries: Vec<Instant>,
    /// What it was told to wait after each of the tries that failed, but for the last one if it was given up.
    waits: Vec<Duration>,
    is_lost: bool,
}

impl Outage {
    fn retries(&self, seed: u64) -> Retries {
        Retries { limit: self.limit, backoff: Backoff::PLAIN, dice: Dice(seed) }
    }

    fn made(&self, number: u64) -> Instant {
        self.start + Duration::from_secs(number)
    }

    fn end(&self) -> Instant {
        self.made(self.seconds)
    }

    /// What becomes of all chunks. They reach the output in their order.
    fn stories(&self, seed: u64) -> BTreeMap<u64, Story> {
        let (mut backlog, mut retries) = (Backlog::default(), self.retries(seed));
        let mut stories = BTreeMap::new();
        let (mut made, mut now) = (0, self.start);
        loop {
            while made < self.seconds && self.made(made) <= now {
                backlog.push(task(made, "t"), now);
                made += 1;
            }
            while self.try_one(&mut backlog, &mut retries, now, &mut stories) {}
            let next = (made < self.seconds).then(|| self.made(made));
            let Some(next) = next.into_iter().chain(backlog.due()).min() else { return stories };
            now = next;
        }
    }

    /// As the worker does it. Whether there was anything to try.
    fn try_one(
        &self,
        backlog: &mut Backlog,
        retries: &mut Retries,
        now: Instant,
        stories: &mut BTreeMap<u64, Story>,
    ) -> bool {
        let tag = Tag::new("t").unwrap();
        let Some(task) = backlog.take(now) else { return false };
        let story: &mut Story = stories.entry(task.number).or_default();
        story.tries.push(now);
        if now >= self.end() {
            backlog.answered(&tag);
            backlog.leave(&tag);
        } else if let Some(wait) = retries.wait(backlog.failed(&tag, now), None) {
            story.waits.push(wait);
            backlog.put_off(&tag, now, wait);
        } else {
            story.is_lost = true;
            backlog.leave(&tag);
        }
        true
    }

    /// How many chunks are lost where each is tried by itself: at once, and after each of its waits.
    fn lost_alone(&self, seed: u64) -> usize {
        let mut retries = self.retries(seed);
        let mut is_lost = |number: &u64| {
            let mut due = self.made(*number);
            let mut failures = 0;
            while due < self.end() {
                failures += 1;
                let Some(wait) = retries.wait(failures, None) else { return true };
                due += wait;
            }
            false
        };
        (0..self.seconds).filter(|number| is_lost(number)).count()
    }
}

/// Chunks lost in a hundred outages: in Fluent Bit, and here.
fn lost(seconds: u64, limit: u32) -> (usize, usize) {
    let outage = Outage { start: Instant::now(), seconds, limit: RetryLimit::Times(limit) };
    let alone = (0..RUNS).map(|seed| outage.lost_alone(seed)).sum();
    let here = (0..RUNS).map(|seed| outage.stories(seed).into_values());
    (alone, here.flatten().filter(|story| story.is_lost).count())
}

#[test]
fn no_outage_costs_more_than_where_each_chunk_is_tried_by_itself() {
    // docs/pipeline.md has these numbers, divided by the number of runs.
    for (seconds, limit, alone, here) in [
        (5, 1, 0, 0),
        (11, 1, 242, 181),
        (30, 1, 2149, 2081),
        (90, 1, 8148, 8072),
        (30, 3, 35, 4),
        (90, 3, 4436, 2979),
    ] {
        assert!(here <= alone);
        assert_eq!(lost(seconds, limit), (alone, here), "{seconds} seconds, Retry_Limit {limit}");
    }
}

#[test]
fn a_chunk_is_given_up_after_all_its_own_tries_and_waits() {
    for (seconds, limit) in [(11, 1), (30, 1), (30, 3), (90, 1), (90, 2)] {
        let outage = Outage { start: Instant::now(), seconds, limit: RetryLimit::Times(limit) };
        for (number, story) in outage.stories(7) {
            if story.is_lost {
                assert_eq!(story.tries.len(), limit as usize + 1, "chunk {number}");
            }
            let waited: Duration = story.waits.iter().sum();
            let alone = outage.made(number) + waited;
            // Had it waited so from the beginning, it would be lost, too.
            assert!(!story.is_lost || alone < outage.end(), "chunk {number} of {seconds}");
            assert!(story.tries.last() >= Some(&alone).filter(|_| story.is_lost), "chunk {number}");
        }
    }
}

#[test]
fn what_a_dead_receiver_is_owed_does_not_grow() {
    let outage = Outage { start: Instant::now(), seconds: 600, limit: RetryLimit::Times(1) };
    for (number, story) in outage.stories(7) {
        let last = *story.tries.last().unwrap();
        assert!(last < outage.made(number) + Duration::from_secs(13), "chunk {number}");
    }
}
