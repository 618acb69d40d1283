//! A member of a consumer group: which records the pipeline has, and what is committed because of it.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flb_net::kafka::Voice;
use flb_plugin::log::{Label, Mishaps};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::gathered::{Gathered, Partition};

/// How long others wait for partitions of which the pipeline still takes records.
const LEAVE: Duration = Duration::from_secs(10);

/// Whether the batch that was handed over is the pipeline's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flight {
    /// It is, or there is none.
    Landed,
    /// Not yet.
    Open,
    /// It never will: the pipeline takes no more.
    Lost,
}

/// The member.
pub(super) struct Member {
    voice: Voice,
    commits_batches: bool,
    flight: Mutex<Handed>,
    /// Partitions that are no longer this member's, until somebody has asked.
    gone: Mutex<Vec<Partition>>,
    uncommitted: Mishaps,
}

struct Handed {
    /// Where reading goes on behind the batch that was handed over.
    ends: Option<Vec<(Partition, i64)>>,
    taken: Receiver<()>,
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.voice.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.voice.error(&error, reason);
    }
}

impl ConsumerContext for Member {
    /// Before others read on, the pipeline is waited for and what it has is committed, so that as little as can be comes again.
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let Rebalance::Revoke(list) = rebalance else { return };
        if self.settle(consumer, LEAVE) == Flight::Open {
            let label = self.label();
            tracing::warn!(
                "{label} the pipeline is full: another member reads its last batch again"
            );
        }
        self.commit(consumer);
        tracing::info!("{} partitions are given up: {}", self.label(), names(list));
        lock(&self.gone).extend(partitions(list));
    }

    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(list) = rebalance {
            tracing::info!("{} partitions are read: {}", self.label(), names(list));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        self.check(result);
    }
}

impl Member {
    pub(super) fn new(label: Label, taken: Receiver<()>, commits_batches: bool) -> Self {
        Self {
            voice: Voice::new(label),
            commits_batches,
            flight: Mutex::new(Handed { ends: None, taken }),
            gone: Mutex::default(),
            uncommitted: Mishaps::default(),
        }
    }

    pub(super) fn label(&self) -> &Label {
        self.voice.label()
    }

    /// Partitions that have become others' since this was asked last.
    pub(super) fn take_gone(&self) -> Vec<Partition> {
        std::mem::take(&mut *lock(&self.gone))
    }

    /// A batch is handed over. There is no other on its way.
    pub(super) fn begin(&self, batch: &Gathered) {
        lock(&self.flight).ends = Some(batch.ends().to_vec());
    }

    /// Waits so long for the pipeline to take the batch on its way, and notes what it has then.
    pub(super) fn settle(&self, consumer: &BaseConsumer<Self>, patience: Duration) -> Flight {
        let mut handed = lock(&self.flight);
        let Some(ends) = handed.ends.take() else { return Flight::Landed };
        match handed.taken.recv_timeout(patience) {
            Ok(()) => {
                self.store(consumer, &ends);
                Flight::Landed
            }
            Err(RecvTimeoutError::Timeout) => {
                handed.ends = Some(ends);
                Flight::Open
            }
            Err(RecvTimeoutError::Disconnected) => Flight::Lost,
        }
    }

    /// Notes how far the pipeline has each partition. One that is others' by now is theirs to commit.
    fn store(&self, consumer: &BaseConsumer<Self>, ends: &[(Partition, i64)]) {
        let mut list = TopicPartitionList::new();
        for (Partition { topic, number }, offset) in ends {
            // The list has no such partition yet, and an offset is one.
            let _ = list.add_partition_offset(topic, *number, Offset::Offset(*offset));
        }
        if let Err(error) = consumer.store_offsets(&list) {
            tracing::debug!("{} offsets are not noted: {error}", self.label());
        }
        if self.commits_batches {
            self.check(consumer.commit_consumer_state(CommitMode::Async));
        }
    }

    /// Commits what is noted, and waits for it.
    pub(super) fn commit(&self, consumer: &BaseConsumer<Self>) {
        self.check(consumer.commit_consumer_state(CommitMode::Sync));
    }

    fn check(&self, result: KafkaResult<()>) {
        let Err(error) = result else { return };
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset) {
            return;
        }
        if let Some(total) = self.uncommitted.another() {
            let label = self.label();
            tracing::warn!(
                "{label} offsets are not committed, records may come again: {error} ({total} times so far)"
            );
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    let elements = list.elements();
    let partition = |topic: &str, number| Partition { topic: topic.to_owned(), number };
    elements.iter().map(|element| partition(element.topic(), element.partition())).collect()
}

/// For the log: `logs 0, logs 1`.
fn names(list: &TopicPartitionList) -> String {
    let names: Vec<String> =
        partitions(list).iter().map(|one| format!("{} {}", one.topic, one.number)).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
