//! The thread that reads: gathers messages while the pipeline takes those before them, and keeps the group going while the
//! pipeline is full.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use flb_net::kafka;
use flb_plugin::BuildError;
use flb_plugin::log::Label;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use tokio::sync::mpsc::Sender;

use super::Settings;
use super::gathered::Gathered;
use super::group::{Flight, Member};

/// How long a look for messages takes at most, so that a stop is seen.
const LOOK: Duration = Duration::from_millis(100);
/// How long the pipeline may take for a batch before the partitions are paused.
const SLOW: Duration = Duration::from_secs(1);

/// A member of the group that reads.
pub(super) struct Reader {
    consumer: BaseConsumer<Member>,
    settings: Settings,
}

impl Reader {
    /// Joins the group. `taken` tells of each batch that the pipeline has.
    pub(super) fn new(
        client: &ClientConfig,
        topics: &[String],
        settings: Settings,
        label: Label,
        taken: Receiver<()>,
    ) -> Result<Self, BuildError> {
        let member = Member::new(label, taken, settings.commits_batches);
        let consumer: BaseConsumer<Member> =
            client.create_with_context(member).map_err(kafka::unusable)?;
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&topics).map_err(kafka::unusable)?;
        Ok(Self { consumer, settings })
    }

    /// Reads until it is to stop, or the pipeline takes no more. An error is one that ends the group for this member.
    pub(super) fn read(
        &self,
        batches: &Sender<Result<Gathered, String>>,
        stop: &AtomicBool,
    ) -> Result<(), String> {
        let member = self.consumer.context();
        while !stop.load(Ordering::Relaxed) {
            let mut batch = Gathered::default();
            self.gather(&mut batch, stop)?;
            if !self.wait(&mut batch)? {
                break;
            }
            if !batch.is_empty() && !stop.load(Ordering::Relaxed) {
                member.begin(&batch);
                if batches.blocking_send(Ok(batch)).is_err() {
                    break;
                }
            }
        }
        // What was gathered and not handed over is read again. What was handed over is the pipeline's soon.
        while member.settle(&self.consumer, LOOK) == Flight::Open {}
        member.commit(&self.consumer);
        Ok(())
    }

    /// Gathers messages for a while from the first one on, or until there are enough. If none comes soon, that is that.
    fn gather(&self, batch: &mut Gathered, stop: &AtomicBool) -> Result<(), String> {
        self.look(batch, LOOK)?;
        let begun = Instant::now();
        while !batch.is_empty() && batch.size() < self.settings.most {
            let left = self.settings.gather.saturating_sub(begun.elapsed());
            if left.is_zero() || stop.load(Ordering::Relaxed) {
                break;
            }
            self.look(batch, left.min(LOOK))?;
        }
        Ok(())
    }

    /// Looks for one message, and does what the group asks for.
    fn look(&self, batch: &mut Gathered, patience: Duration) -> Result<(), String> {
        let found = self.consumer.poll(patience);
        batch.give_up(&self.consumer.context().take_gone());
        match found {
            Some(Ok(message)) => batch.add(&message, self.settings.format),
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                return Err(format!(
                    "the group cannot be read any more: {code}{}",
                    kafka::help(code)
                ));
            }
            // The log has it.
            Some(Err(_)) | None => {}
        }
        Ok(())
    }

    /// Waits until the pipeline has the batch before; false if it takes no more. If that takes long nothing new is fetched, and
    /// the group is told that this member lives.
    fn wait(&self, batch: &mut Gathered) -> Result<bool, String> {
        let member = self.consumer.context();
        let mut flight = member.settle(&self.consumer, SLOW);
        let is_slow = flight == Flight::Open;
        while flight == Flight::Open {
            self.pause();
            self.look(batch, LOOK)?;
            flight = member.settle(&self.consumer, LOOK);
        }
        if is_slow {
            self.resume();
        }
        Ok(flight == Flight::Landed)
    }

    /// Partitions that come meanwhile are paused by the next call.
    fn pause(&self) {
        let paused = self.consumer.assignment().and_then(|list| self.consumer.pause(&list));
        self.tell("paused", paused);
    }

    fn resume(&self) {
        let resumed = self.consumer.assignment().and_then(|list| self.consumer.resume(&list));
        self.tell("resumed", resumed);
    }

    fn tell(&self, what: &str, result: Result<(), KafkaError>) {
        if let Err(error) = result {
            let label = self.consumer.context().label();
            tracing::debug!("{label} partitions are not {what}: {error}");
        }
    }
}
