//! `kafka`: records as messages, each delivered when a broker says so.

mod delivery;
mod message;
mod producer;
#[cfg(test)]
mod tests;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use flb_event::Chunk;
use flb_net::kafka;
use flb_plugin::keys::{Int, Key, Text};
use flb_plugin::log::Label;
use flb_plugin::{
    BoxFuture, Build, BuildError, Flush, Options, Output, OutputError, Spec, Table, keys,
};
use tokio::sync::futures::Notified;

use delivery::Delivery;
use message::Messages;
use producer::Producer;

use super::gelf_message;

pub(super) const SPEC: Spec<dyn Output> =
    Spec { name: "kafka", about: "Send records to Kafka's brokers", options: OPTIONS, build };

const NO_REGISTRY: &str = "messages are JSON, msgpack, GELF or a text here";
const NO_AVRO: &str = "write: format json";

keys! {
    const OWN;
    QUEUE_FULL_RETRIES: Int = Key::new(
        "queue_full_retries",
        "Seconds to wait for room in the full queue before the rest is tried again later; 0 for no end",
    )
    .default("10");
    SCHEMA_STR: Option<Text> = Key::new("schema_str", "Avro schema").refused(NO_REGISTRY, NO_AVRO);
    SCHEMA_ID: Option<Text> =
        Key::new("schema_id", "Number of an Avro schema").refused(NO_REGISTRY, NO_AVRO);
    GROUP_ID: Option<Text> = Key::new("group_id", "").idle("it is for the input kafka");
}

const OPTIONS: Table = Table(&[OWN, message::KEYS, topics::KEYS, gelf_message::KEYS, kafka::KEYS]);

/// Without these properties a record may be taken for delivered that is not, or its fate be told to nobody.
const REFUSED: &[(&str, &str)] = &[
    (
        "delivery.report.only.error",
        "leave it out: a record counts as delivered when a broker says so",
    ),
    (
        "transactional.id",
        "leave it out: records are delivered at least once, and in no transaction",
    ),
];

/// How long the full queue may stand still before that counts as a try.
const STILL: Duration = Duration::from_secs(1);

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Output>, BuildError> {
    let client = kafka::client(options, REFUSED)?;
    let messages = Arc::new(Messages::new(options, build)?);
    let most_tries = usize::try_from(options.get(QUEUE_FULL_RETRIES)).unwrap_or(0);
    if build.service.dry_run {
        return Ok(Box::new(Built));
    }
    let producer = Producer::start(&client, Label::output("kafka", build), build.metrics)?;
    Ok(Box::new(Kafka { producer: Arc::new(producer), messages, most_tries }))
}

/// One that is only built, to see whether it can be: it has nothing to deliver.
struct Built;

impl Output for Built {
    fn flush<'a>(&'a self, _: &'a Chunk) -> BoxFuture<'a, Flush> {
        let reason = "this is a dry run".to_owned();
        Box::pin(std::future::ready(Flush::Retry { reason, after: None }))
    }
}

struct Kafka {
    producer: Arc<Producer>,
    messages: Arc<Messages>,
    /// Seconds that the full queue may stand still; zero is for ever.
    most_tries: usize,
}

impl Output for Kafka {
    fn flush<'a>(&'a self, chunk: &'a Chunk) -> BoxFuture<'a, Flush> {
        Box::pin(async move {
            let delivery = Arc::new(Delivery::new(chunk.len()));
            let (mut sent, mut tries) = (0, 0);
            while sent < chunk.len() {
                // Before the queue is tried, so that no room that is made meanwhile is missed.
                let mut news = Box::pin(self.producer.news());
                news.as_mut().enable();
                sent = match self.send(chunk, sent, &delivery).await {
                    Ok(sent) => sent,
                    Err(error) => return Flush::Fail(error),
                };
                if sent < chunk.len() && !self.may_wait(news.as_mut(), &mut tries).await {
                    break;
                }
            }
            delivery.settled().await;
            self.producer.fate(chunk, &delivery)
        })
    }
}

impl Kafka {
    /// Hands messages of the records from `first` on to the queue, on a thread for such work, until it is full; how many
    /// records are through then.
    async fn send(
        &self,
        chunk: &Chunk,
        first: usize,
        delivery: &Arc<Delivery>,
    ) -> Result<usize, OutputError> {
        let (producer, messages) = (Arc::clone(&self.producer), Arc::clone(&self.messages));
        let (chunk, delivery) = (chunk.clone(), Arc::clone(delivery));
        let send = move || producer.send(&messages, &chunk, first, &delivery);
        tokio::task::spawn_blocking(send).await.map_err(|error| OutputError(error.to_string()))
    }

    /// Waits until the queue may have room; false if it has stood still too often.
    async fn may_wait(&self, news: std::pin::Pin<&mut Notified<'_>>, tries: &mut usize) -> bool {
        if tokio::time::timeout(STILL, news).await.is_ok() {
            *tries = 0;
            return true;
        }
        *tries += 1;
        self.producer.tell_of_full_queue();
        self.most_tries == 0 || *tries < self.most_tries
    }
}
