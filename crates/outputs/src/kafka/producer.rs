//! The producer: hands messages to librdkafka's queue, and hears on a thread of its own what became of each.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use flb_event::Chunk;
use flb_net::kafka::{self, Voice};
use flb_plugin::log::{Kinds, Label, Mishaps};
use flb_plugin::{BuildError, Flush, Metric, Metrics};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, Message as _};
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tracing::Span;

use super::delivery::{Delivery, Fate};
use super::message::Messages;
use crate::fates::Fates;

/// Exported as `flb_output_refused_records_total`.
static REFUSED: Metric =
    Metric::new("refused", "Records that no try gets to the brokers, by the reason.")
        .in_units_of("records")
        .by("reason");

/// Exported as `flb_output_put_off_records_total`.
static PUT_OFF: Metric =
    Metric::new("put_off", "Records that brokers did not take this time, by the reason.")
        .in_units_of("records")
        .by("reason");

/// How often the thread looks whether the producer is still in use.
const LOOK: Duration = Duration::from_millis(100);

/// A producer with its thread, which ends soon after this goes.
pub(super) struct Producer(Arc<BaseProducer<Reports>>);

/// Where the reports of deliveries go.
pub(super) struct Reports {
    voice: Voice,
    metrics: Metrics,
    refusals: Kinds,
    full: Mishaps,
    /// Told of every report: the queue has room.
    news: Notify,
}

/// Of which record a message is.
pub(super) struct Ticket {
    delivery: Arc<Delivery>,
    at: usize,
}

impl ClientContext for Reports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        self.voice.log(level, facility, line);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.voice.error(&error, reason);
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        let fate = match result {
            Ok(_) => Fate::Delivered,
            Err((error, message)) => self.fate(error, message.topic()),
        };
        ticket.delivery.report(ticket.at, fate);
        self.news.notify_waiters();
    }
}

impl Reports {
    /// What becomes of a record whose message did not get through.
    fn fate(&self, error: &KafkaError, topic: &str) -> Fate {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let fate = Fate::of(code);
        match fate {
            Fate::Refused => {
                self.refuse(&class(code), &format!("topic {topic}: {code}{}", kafka::help(code)))
            }
            _ => self.metrics.counter_of(&PUT_OFF, &class(self.cause(code))).add(1),
        }
        fate
    }

    /// Behind a time-out is what went wrong with the brokers.
    fn cause(&self, code: RDKafkaErrorCode) -> RDKafkaErrorCode {
        match code {
            RDKafkaErrorCode::MessageTimedOut => self.voice.last().unwrap_or(code),
            code => code,
        }
    }

    fn refuse(&self, class: &str, why: &str) {
        self.metrics.counter_of(&REFUSED, class).add(1);
        if let Some(times) = self.refusals.another(class) {
            tracing::error!("{} a record is refused: {why}{times}", self.voice.label());
        }
    }
}

/// An error's name as the metrics have it: `message_timed_out`.
fn class(code: RDKafkaErrorCode) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && name.ends_with(|before: char| before.is_ascii_lowercase())
        {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

impl Producer {
    /// Connects to the brokers, in the background.
    pub(super) fn start(
        client: &ClientConfig,
        label: Label,
        metrics: &Metrics,
    ) -> Result<Self, BuildError> {
        let reports = Reports {
            voice: Voice::new(label),
            metrics: metrics.clone(),
            refusals: Kinds::default(),
            full: Mishaps::default(),
            news: Notify::new(),
        };
        let producer: BaseProducer<Reports> =
            client.create_with_context(reports).map_err(kafka::unusable)?;
        let producer = Arc::new(producer);
        let (own, span) = (Arc::clone(&producer), Span::current());
        let hear = move || {
            let _in = span.entered();
            // Until nobody else has it.
            while Arc::strong_count(&own) > 1 {
                own.poll(LOOK);
            }
        };
        let thread = thread::Builder::new().name("kafka-reports".to_owned()).spawn(hear);
        thread.map_err(|error| BuildError::new(format!("no thread can be started: {error}")))?;
        Ok(Self(producer))
    }

    fn reports(&self) -> &Reports {
        self.0.context()
    }

    /// Completes when something was delivered, or failed for good.
    pub(super) fn news(&self) -> Notified<'_> {
        self.reports().news.notified()
    }

    /// Hands messages of the records from `first` on to the queue, until it is full; the place of the record that found no
    /// room, or the number of records.
    pub(super) fn send(
        &self,
        messages: &Messages,
        chunk: &Chunk,
        first: usize,
        delivery: &Arc<Delivery>,
    ) -> usize {
        let (mut printer, mut text) = (messages.printer(), Vec::new());
        for (at, event) in chunk.records().enumerate().skip(first) {
            text.clear();
            if let Err(error) = messages.write(event, &mut printer, &mut text) {
                delivery.refuse(at);
                self.reports().refuse(error.class(), &error.to_string());
                continue;
            }
            let topic = messages.topics.of(event.body);
            if !self.send_one(topic, messages.key(event.body), &text, at, delivery) {
                return at;
            }
        }
        chunk.len()
    }

    /// False if there is no room.
    fn send_one(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        text: &[u8],
        at: usize,
        delivery: &Arc<Delivery>,
    ) -> bool {
        delivery.sending(at);
        let ticket = Box::new(Ticket { delivery: Arc::clone(delivery), at });
        let mut record = BaseRecord::with_opaque_to(topic, ticket).payload(text);
        if let Some(key) = key {
            record = record.key(key);
        }
        let Err((error, _)) = self.0.send(record) else { return true };
        let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
        let fate = if is_full {
            Fate::Again(RDKafkaErrorCode::QueueFull)
        } else {
            self.reports().fate(&error, topic)
        };
        delivery.report(at, fate);
        !is_full
    }

    /// The queue is full and stands still.
    pub(super) fn tell_of_full_queue(&self) {
        let reports = self.reports();
        if let Some(total) = reports.full.another() {
            let label = reports.voice.label();
            tracing::warn!(
                "{label} internal queue is full, and no broker takes anything: waiting ({total} seconds so far)"
            );
        }
    }

    /// What became of a chunk.
    pub(super) fn fate(&self, chunk: &Chunk, delivery: &Delivery) -> Flush {
        let told = delivery.fates();
        let mut fates = Fates::new(chunk.len());
        fates.again = told.iter().map(|fate| fate.is_open()).collect();
        fates.refused = told.iter().map(|fate| *fate == Fate::Refused).collect();
        let open = fates.again.iter().filter(|again| **again).count();
        if open > 0 {
            fates.put_off(Flush::Retry { reason: self.reason(&told, open), after: None });
        }
        fates.of(chunk)
    }

    fn reason(&self, fates: &[Fate], open: usize) -> String {
        let code = fates.iter().find_map(|fate| match fate {
            Fate::Again(code) => Some(*code),
            _ => None,
        });
        let code = code.unwrap_or(RDKafkaErrorCode::QueueFull);
        let cause = self.reports().cause(code);
        let because = if cause == code { String::new() } else { format!(" after {cause}") };
        format!("{open} records not delivered: {code}{because}{}", kafka::help(cause))
    }
}
