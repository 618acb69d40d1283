//! Deliveries to librdkafka's own brokers for tests, which fail as they are told to.

use std::time::{Duration, Instant};

use flb_event::Chunk;
use flb_harness::net::{PATIENCE, block_on};
use flb_harness::{build, chunk};
use flb_plugin::{Flush, Output};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Message as _};

use super::SPEC;

type Brokers = MockCluster<'static, DefaultProducerContext>;

fn output(brokers: &Brokers, given: &[(&str, &str)]) -> Box<dyn Output> {
    let servers = brokers.bootstrap_servers();
    build(&SPEC, &[&[("brokers", servers.as_str())], given].concat()).unwrap()
}

fn records(bodies: &[&str]) -> Chunk {
    let records: Vec<_> = bodies.iter().map(|body| (5, 0, *body)).collect();
    chunk("t", &records)
}

/// So many messages of a topic: key and payload.
fn messages(brokers: &Brokers, topic: &str, count: usize) -> Vec<String> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers.bootstrap_servers());
    client.set("group.id", topic).set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = client.create().unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"-")).into_owned();
    let (mut messages, begun) = (Vec::new(), Instant::now());
    while messages.len() < count {
        assert!(begun.elapsed() < PATIENCE, "only {messages:?}");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            messages.push(format!("{} {}", text(message.key()), text(message.payload())));
        }
    }
    messages
}

#[track_caller]
fn put_off(fate: Flush, words: &[&str]) {
    let Flush::Retry { reason, .. } = fate else { panic!("{fate:?}") };
    for word in words {
        assert!(reason.contains(word), "no '{word}' in: {reason}");
    }
}

/// Tries until the chunk is through.
#[track_caller]
fn delivered(output: &dyn Output, chunk: &Chunk) {
    let fate = block_on(async {
        loop {
            match output.flush(chunk).await {
                Flush::Retry { .. } => {}
                fate => break fate,
            }
        }
    });
    assert!(matches!(fate, Flush::Done), "{fate:?}");
}

#[test]
fn records_reach_their_topics_in_order_and_with_their_keys() {
    let brokers = Brokers::new(1).unwrap();
    for topic in ["a", "b"] {
        brokers.create_topic(topic, 1, 1).unwrap();
    }
    let given = [("topics", "a,b"), ("topic_key", "t"), ("message_key_field", "k")];
    let output = output(&brokers, &given);
    let chunk = records(&[r#"{"n":1,"k":"x"}"#, r#"{"n":2,"t":"b"}"#, r#"{"n":3,"t":"c"}"#]);
    assert!(matches!(block_on(output.flush(&chunk)), Flush::Done));
    let first = [r#"x {"@timestamp":5.0,"n":1,"k":"x"}"#, r#"- {"@timestamp":5.0,"n":3,"t":"c"}"#];
    assert_eq!(messages(&brokers, "a", 2), first);
    assert_eq!(messages(&brokers, "b", 1), [r#"- {"@timestamp":5.0,"n":2,"t":"b"}"#]);
}

#[test]
fn a_record_that_is_too_large_is_refused_alone() {
    let brokers = Brokers::new(1).unwrap();
    let output = output(&brokers, &[("rdkafka.message.max.bytes", "1000")]);
    let long = format!(r#"{{"log":"{}"}}"#, "x".repeat(2000));
    let fate = block_on(output.flush(&records(&["{}", &long, "{}"])));
    let Flush::Partly { left_out: 1, refused: Some(refused) } = fate else { panic!("{fate:?}") };
    assert!(refused.len() == 1 && refused.bytes().len() > 2000);
    assert_eq!(messages(&brokers, "fluent-bit", 2).len(), 2);
}

#[test]
fn what_the_brokers_take_is_delivered_and_the_rest_comes_again() {
    let brokers = Brokers::new(1).unwrap();
    for topic in ["a", "b"] {
        brokers.create_topic(topic, 1, 1).unwrap();
    }
    let output = output(&brokers, &[("topics", "a,b"), ("topic_key", "t")]);
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    brokers.request_errors(RDKafkaApiKey::Produce, &[denied]);
    let chunk = records(&[r#"{"t":"a"}"#, r#"{"t":"b"}"#]);
    let fate = block_on(output.flush(&chunk));
    let Flush::Rest { again, left_out: 0, refused: None, reason, .. } = fate else {
        panic!("{fate:?}")
    };
    assert!(
        reason.contains("1 records not delivered") && reason.contains("give this user the right")
    );
    assert_eq!(again.iter().filter(|again| **again).count(), 1);
    delivered(&*output, &chunk.only(&again));
    for topic in ["a", "b"] {
        assert_eq!(messages(&brokers, topic, 1).len(), 1);
    }
}

#[test]
fn brokers_that_are_away_are_waited_for_and_then_the_chunk_comes_again() {
    let brokers = Brokers::new(1).unwrap();
    let output = output(&brokers, &[("rdkafka.message.timeout.ms", "400")]);
    let chunk = records(&["{}"]);
    brokers.broker_down(1).unwrap();
    put_off(block_on(output.flush(&chunk)), &["Message timed out", "check brokers"]);
    brokers.broker_up(1).unwrap();
    delivered(&*output, &chunk);
}

#[test]
fn a_topic_that_is_not_there_may_come() {
    let brokers = Brokers::new(1).unwrap();
    let unknown = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    brokers.topic_error("fluent-bit", unknown).unwrap();
    let given = [
        ("rdkafka.topic.metadata.propagation.max.ms", "100"),
        ("rdkafka.message.timeout.ms", "5000"),
    ];
    let output = output(&brokers, &given);
    let chunk = records(&["{}"]);
    put_off(block_on(output.flush(&chunk)), &["create the topic"]);
    let none = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
    brokers.topic_error("fluent-bit", none).unwrap();
    brokers.create_topic("known", 1, 1).unwrap();
    let output = self::output(&brokers, &[("topics", "known")]);
    assert!(matches!(block_on(output.flush(&chunk)), Flush::Done));
}

#[test]
fn a_full_queue_holds_records_up_and_loses_none() {
    let brokers = Brokers::new(1).unwrap();
    brokers.create_topic("fluent-bit", 1, 1).unwrap();
    let output = output(&brokers, &[("rdkafka.queue.buffering.max.messages", "2")]);
    let bodies: Vec<String> = (0..20).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    let chunk = records(&bodies.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(matches!(block_on(output.flush(&chunk)), Flush::Done));
    let expected: Vec<String> =
        (0..20).map(|n| format!(r#"- {{"@timestamp":5.0,"n":{n}}}"#)).collect();
    assert_eq!(messages(&brokers, "fluent-bit", 20), expected);
}

#[test]
fn a_queue_that_stays_full_gives_the_chunk_back() {
    let brokers = Brokers::new(1).unwrap();
    brokers.broker_down(1).unwrap();
    let given = [
        ("rdkafka.queue.buffering.max.messages", "1"),
        ("rdkafka.message.timeout.ms", "2500"),
        ("queue_full_retries", "1"),
    ];
    let output = output(&brokers, &given);
    put_off(block_on(output.flush(&records(&["{}", "{}", "{}"]))), &["3 records not delivered"]);
}
