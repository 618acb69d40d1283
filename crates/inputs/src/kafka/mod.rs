//! `kafka`: messages as records, read by a member of a consumer group. An offset is committed only when the pipeline has all
//! records before it.

mod gathered;
mod group;
mod reader;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use flb_event::{Chunk, ChunkBuilder, Tag, Timestamp};
use flb_net::kafka;
use flb_plugin::keys::{Bool, Choice, Key, List, Natural, Required, Size, Text, Word};
use flb_plugin::log::Label;
use flb_plugin::{
    BoxFuture, Build, BuildError, Context, End, Input, InputError, Options, Spec, Table, keys,
};
use rdkafka::ClientConfig;
use tokio::sync::mpsc;
use tracing::Span;

use gathered::Gathered;
use reader::Reader;

pub(super) const SPEC: Spec<dyn Input> = Spec {
    name: "kafka",
    about: "Read messages from Kafka's brokers",
    options: Table(&[OWN, kafka::KEYS]),
    build,
};

keys! {
    const OWN;
    TOPICS: Required<List> = Key::new("topics", "Topics to read; one that begins with ^ is a pattern")
        .required("no 'topics' were given", "add Topics logs");
    GROUP_ID: Text =
        Key::new("group_id", "Group whose members share the topics out").default("fluent-bit");
    FORMAT: Choice<Format> = Key::new("format", "What a message is").default("none");
    POLL_MS: Natural =
        Key::new("poll_ms", "Milliseconds for which messages are gathered to a batch").default("500");
    BUFFER_MAX_SIZE: Size = Key::new("buffer_max_size", "Most bytes of a batch").default("4M");
    POLL_TIMEOUT_MS: Option<Natural> =
        Key::new("poll_timeout_ms", "").idle("a thread of its own waits for messages");
    ENABLE_AUTO_COMMIT: Bool = Key::new(
        "enable_auto_commit",
        "Commit now and then (rdkafka.auto.commit.interval.ms), not after each batch",
    )
    .default("off");
}

/// What messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

impl Word for Format {
    const ALL: &'static [(&'static str, Self)] = &[("none", Self::Text), ("json", Self::Json)];
}

/// What decides about offsets is the plugin's.
const REFUSED: &[(&str, &str)] = &[
    ("enable.auto.commit", "say enable_auto_commit on, or off"),
    (
        "enable.auto.offset.store",
        "leave it out: an offset counts when the pipeline has the records",
    ),
];

/// The least and the most bytes that librdkafka fetches at a time, unless other properties are changed.
const FETCHED: RangeInclusive<u64> = 1_000_000..=2_000_000_000;

fn build(options: &Options, build: &Build<'_>) -> Result<Box<dyn Input>, BuildError> {
    let topics = options.get(TOPICS)?;
    if let Some(topic) = topics.iter().find(|topic| topic.contains(':')) {
        return Err(BuildError::new(format!("topics: '{topic}' names partitions"))
            .help("name topics only: the members of a group share their partitions out"));
    }
    if topics.is_empty() {
        return Err(BuildError::new("topics has none in it").help("write: Topics logs"));
    }
    let most = options.get(BUFFER_MAX_SIZE);
    Ok(Box::new(Kafka {
        client: client(options, most)?,
        topics,
        settings: Settings {
            format: options.get(FORMAT),
            gather: Duration::from_millis(options.get(POLL_MS)),
            most: usize::try_from(most).unwrap_or(usize::MAX),
            commits_batches: !options.get(ENABLE_AUTO_COMMIT),
        },
        tag: build.tag.clone(),
        label: Label::input("kafka", build),
    }))
}

fn client(options: &Options, most: u64) -> Result<ClientConfig, BuildError> {
    let mut client = kafka::client(options, REFUSED)?;
    let switch = |is_on| if is_on { "true" } else { "false" };
    client.set("group.id", options.get(GROUP_ID));
    client.set("enable.auto.commit", switch(options.get(ENABLE_AUTO_COMMIT)));
    client.set("enable.auto.offset.store", switch(false));
    if client.get("fetch.max.bytes").is_none() {
        let fetched = most.clamp(*FETCHED.start(), *FETCHED.end());
        client.set("fetch.max.bytes", fetched.to_string());
    }
    client.create_native_config().map_err(kafka::unusable)?;
    Ok(client)
}

/// How messages are read.
#[derive(Debug, Clone, Copy)]
struct Settings {
    format: Format,
    /// How long messages are gathered to a batch.
    gather: Duration,
    /// Most bytes of a batch.
    most: usize,
    commits_batches: bool,
}

struct Kafka {
    client: ClientConfig,
    topics: Vec<String>,
    settings: Settings,
    tag: Tag,
    label: Label,
}

impl Input for Kafka {
    fn run<'a>(self: Box<Self>, context: &'a dyn Context) -> BoxFuture<'a, Result<End, InputError>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            let tag = self.tag.clone();
            let stop = Arc::new(AtomicBool::new(false));
            let (mut batches, taken) = self.start(Arc::clone(&stop))?;
            let mut taken = Some(taken);
            loop {
                tokio::select! {
                    biased;
                    () = context.stopped(), if !stop.load(Ordering::Relaxed) => {
                        stop.store(true, Ordering::Relaxed);
                    }
                    batch = batches.recv() => match batch {
                        Some(Ok(batch)) => {
                            let chunk = chunk(&tag, &batch, context.now())?;
                            // Where nobody hears that it was taken, nothing is committed.
                            match context.emit(chunk).await {
                                Ok(()) => taken.iter().for_each(|taken| _ = taken.send(())),
                                Err(_) => taken = None,
                            }
                        }
                        Some(Err(error)) => return Err(InputError(error)),
                        None => return Ok(End::Quiet),
                    }
                }
            }
        })
    }
}

/// What the thread hands over: a batch, or why there will be no more.
type Batches = mpsc::Receiver<Result<Gathered, String>>;

impl Kafka {
    /// Starts the thread that reads. It is told of every batch that the pipeline has taken.
    fn start(
        self,
        stop: Arc<AtomicBool>,
    ) -> Result<(Batches, std::sync::mpsc::Sender<()>), InputError> {
        let (batches, handed) = mpsc::channel(1);
        let (taken, acknowledged) = std::sync::mpsc::channel();
        let Self { client, topics, settings, label, .. } = self;
        let reader = Reader::new(&client, &topics, settings, label, acknowledged)
            .map_err(|error| InputError(error.to_string()))?;
        let span = Span::current();
        let read = move || {
            let _in = span.entered();
            let end = reader.read(&batches, &stop);
            // Whoever comes next joins the group when this member has left it.
            drop(reader);
            if let Err(error) = end {
                let _ = batches.blocking_send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("kafka-reader".to_owned()).spawn(read);
        thread.map_err(|error| InputError(format!("no thread can be started: {error}")))?;
        Ok((handed, taken))
    }
}

/// The records of a batch.
fn chunk(tag: &Tag, batch: &Gathered, now: Timestamp) -> Result<Chunk, InputError> {
    let mut builder = ChunkBuilder::new(tag.clone());
    builder.reserve(batch.size());
    for event in batch.events(now) {
        builder.push(event).map_err(|error| InputError(error.to_string()))?;
    }
    Ok(builder.build())
}
