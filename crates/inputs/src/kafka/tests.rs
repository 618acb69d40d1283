//! Members of groups at librdkafka's own brokers for tests.

use std::time::Duration;

use flb_harness::net::{Desk, block_on};
use flb_harness::{build, build_with, options};
use flb_plugin::{End, Input};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

use super::SPEC;

type Brokers = MockCluster<'static, DefaultProducerContext>;

/// Brokers with a topic `t` of so many partitions.
fn brokers(partitions: i32) -> Brokers {
    let brokers = Brokers::new(1).unwrap();
    brokers.create_topic("t", partitions, 1).unwrap();
    brokers
}

fn input(brokers: &Brokers, given: &[(&str, &str)]) -> Box<dyn Input> {
    let servers = brokers.bootstrap_servers();
    let all = [
        ("brokers", servers.as_str()),
        ("topics", "t"),
        ("poll_ms", "20"),
        ("rdkafka.auto.offset.reset", "earliest"),
        // These brokers wait for most of it when a member leaves, and for three seconds when the first one comes.
        ("rdkafka.session.timeout.ms", "4000"),
        ("rdkafka.heartbeat.interval.ms", "500"),
        ("rdkafka.max.poll.interval.ms", "4000"),
    ];
    build(&SPEC, &[&all, given].concat()).unwrap()
}

fn producer(brokers: &Brokers) -> BaseProducer {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers.bootstrap_servers());
    client.create().unwrap()
}

/// Sends these texts to the first partition.
fn send(brokers: &Brokers, texts: &[&str]) {
    let producer = producer(brokers);
    for text in texts {
        let record = BaseRecord::<[u8], str>::to("t").partition(0).payload(text);
        producer.send(record).unwrap();
    }
    producer.flush(Duration::from_secs(20)).unwrap();
}

/// Lets an input run until so many records have come, then stops it; all that have come.
async fn read(input: Box<dyn Input>, count: usize) -> Vec<String> {
    let desk = Desk::default();
    let client = async {
        desk.records(count).await;
        desk.stop();
    };
    let (end, ()) = tokio::join!(input.run(&desk), client);
    assert_eq!(end.unwrap(), End::Quiet);
    payloads(&desk)
}

fn payloads(desk: &Desk) -> Vec<String> {
    let payload = |record: String| {
        let (_, payload) = record.split_once(r#""payload":"#).unwrap();
        payload.trim_end_matches('}').trim_matches('"').to_owned()
    };
    desk.so_far().into_iter().map(payload).collect()
}

#[test]
fn a_record_says_where_its_message_was_and_what_it_said() {
    let brokers = brokers(1);
    let producer = producer(&brokers);
    let headers = OwnedHeaders::new().insert(Header { key: "h", value: Some("v") });
    let full = BaseRecord::to("t").partition(0).key("k").payload(r#"{"a":1}"#).headers(headers);
    producer.send(full.timestamp(7000)).unwrap();
    let empty = BaseRecord::<str, [u8]>::to("t").partition(0).key("gone");
    producer.send(empty.timestamp(8000)).unwrap();
    producer.flush(Duration::from_secs(20)).unwrap();
    block_on(async {
        let desk = Desk::default();
        let client = async {
            let records = desk.records(2).await;
            desk.stop();
            records
        };
        let (end, records) =
            tokio::join!(input(&brokers, &[("format", "json")]).run(&desk), client);
        assert_eq!(end.unwrap(), End::Quiet);
        let at = |offset| format!(r#""topic":"t","partition":0,"offset":{offset},"error":null"#);
        let headers = r#"{"kafka":{"headers":{"h":"v"}}}"#;
        let (first, second) = (at(0), at(1));
        assert_eq!(
            records,
            [
                format!(r#"t 7.000000000 {headers} {{{first},"key":"k","payload":{{"a":1}}}}"#),
                format!(r#"t 8.000000000 {{{second},"key":"gone","payload":null}}"#),
            ]
        );
    });
}

/// Two members, one after the other.
fn reads_on(enable_auto_commit: &str) {
    let brokers = brokers(1);
    let given = [("enable_auto_commit", enable_auto_commit)];
    send(&brokers, &["1", "2", "3"]);
    assert_eq!(block_on(read(input(&brokers, &given), 3)), ["1", "2", "3"]);
    send(&brokers, &["4"]);
    assert_eq!(block_on(read(input(&brokers, &given), 1)), ["4"]);
}

#[test]
fn what_the_pipeline_has_is_not_read_again_by_the_next_member() {
    reads_on("off");
}

#[test]
fn what_is_committed_now_and_then_is_committed_at_the_end() {
    reads_on("on");
}

#[test]
fn what_the_pipeline_does_not_take_is_read_again_by_the_next_member() {
    let brokers = brokers(1);
    send(&brokers, &["1", "2"]);
    block_on(async {
        let desk = Desk::default();
        desk.set_full(true);
        let full = input(&brokers, &[]).run(&desk);
        // The task ends as that of a pipeline does that is given up.
        assert!(tokio::time::timeout(Duration::from_secs(6), full).await.is_err());
        assert_eq!(desk.so_far(), [""; 0]);
        assert_eq!(read(input(&brokers, &[]), 2).await, ["1", "2"]);
    });
}

#[test]
fn a_member_keeps_its_place_while_the_pipeline_is_full() {
    let brokers = brokers(1);
    block_on(async {
        let desk = Desk::default();
        let client = async {
            send(&brokers, &["1"]);
            desk.records(1).await;
            desk.set_full(true);
            send(&brokers, &["2", "3"]);
            // Longer than a member may be silent.
            tokio::time::sleep(Duration::from_secs(6)).await;
            desk.set_full(false);
            send(&brokers, &["4"]);
            desk.records(4).await;
            desk.stop();
        };
        let (end, ()) = tokio::join!(input(&brokers, &[]).run(&desk), client);
        assert_eq!(end.unwrap(), End::Quiet);
        assert_eq!(payloads(&desk), ["1", "2", "3", "4"]);
    });
}

#[test]
fn members_share_partitions_and_take_over_from_one_that_leaves() {
    let brokers = brokers(2);
    let texts: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let all = |send_to: &dyn Fn(i32, &str)| {
        for (at, text) in texts.iter().enumerate() {
            send_to(i32::from(at % 2 == 1), text);
        }
    };
    let producer = producer(&brokers);
    let send = |partition, text: &str| {
        let record = BaseRecord::<[u8], str>::to("t").partition(partition).payload(text);
        producer.send(record).unwrap();
    };
    block_on(async {
        let (stays, leaves) = (Desk::default(), Desk::default());
        let client = async {
            for (round, leaving) in [false, true].into_iter().enumerate() {
                all(&send);
                producer.flush(Duration::from_secs(20)).unwrap();
                while payloads(&stays).len() + payloads(&leaves).len() < 40 * (round + 1) {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                if !leaving {
                    leaves.stop();
                }
            }
            stays.stop();
        };
        let members = [input(&brokers, &[]), input(&brokers, &[])];
        let [one, other] = members;
        let (end, other_end, ()) = tokio::join!(one.run(&stays), other.run(&leaves), client);
        assert_eq!((end.unwrap(), other_end.unwrap()), (End::Quiet, End::Quiet));
        let mut read = [payloads(&stays), payloads(&leaves)].concat();
        read.sort_by_key(|text| text.parse::<usize>().unwrap());
        let twice: Vec<String> =
            texts.iter().flat_map(|text| [text.clone(), text.clone()]).collect();
        assert_eq!(read, twice);
    });
}

#[test]
fn what_decides_about_offsets_cannot_be_given() {
    for (given, message) in [
        (&[("topics", "t")][..], "no 'brokers' were given"),
        (&[("brokers", "a:1")], "no 'topics' were given"),
        (&[("brokers", "a:1"), ("topics", "t:0-3")], "topics: 't:0-3' names partitions"),
        (
            &[("brokers", "a:1"), ("topics", "t"), ("rdkafka.enable.auto.commit", "true")],
            "'rdkafka.enable.auto.commit' cannot be given",
        ),
    ] {
        let error = build(&SPEC, given).err().unwrap();
        assert!(error.help.is_some());
        assert_eq!(error.message, message);
    }
}

#[test]
fn what_is_fetched_at_a_time_is_about_a_batch() {
    for (size, fetched) in [("4M", "4000000"), ("1", "1000000"), ("9G", "2000000000")] {
        let given = [("brokers", "a:1"), ("topics", "t"), ("buffer_max_size", size)];
        let options = options(SPEC.options, &given);
        let most = options.get(super::BUFFER_MAX_SIZE);
        let client = build_with(&options, |options, _| super::client(options, most)).unwrap();
        assert_eq!(client.get("fetch.max.bytes"), Some(fetched));
    }
}
