//! What is put beside what Fluent Bit 5.1.1 puts, limits of batches, streams that are made, and every way in which the service says no;
//! by a strict stand-in, and by a real server where it was brought.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flb_config::Variables;
use flb_harness::net::block_on;
use flb_harness::{bodies, build_in, chunk, options as given_options};
use flb_plugin::Service;
use flb_testkit::servers::{aws, free_port};
use flb_testkit::stub::{Fault, Reply, Request, Stub};
use serde_json::Value;

use super::*;

const RECORDS: &[(u32, u32, &str)] = &[
    (
        1_700_000_001,
        250_000_000,
        r#"{"log":"say \"x\" é\n/","n":1.5,"m":{"a":[1,null]},"app":"shop"}"#,
    ),
    (1_700_000_000, 500_999_000, r#"{"log":"earlier","app":"a:b*c"}"#),
    (1_700_000_002, 0, r#"{"n":5}"#),
    (1_700_000_002, 0, r#"{"log":""}"#),
    (1_700_000_002, 0, r#"{"log":{"x":1}}"#),
];

fn output(given: &[(&str, &str)]) -> Result<CloudWatchLogs, BuildError> {
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "very secret"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let files = Arc::new(flb_config::Memory::default());
    let variables = Variables::new(BTreeMap::from(environment), None, files);
    let service = Service { variables, ..Service::default() };
    let own = [("region", "eu-central-1"), ("log_group_name", "g"), ("log_stream_prefix", "s-")];
    let own = own.iter().filter(|(name, _)| !given.iter().any(|(other, _)| other == name));
    let given: Vec<(&str, &str)> =
        own.chain(given).copied().filter(|(_, text)| !text.is_empty()).collect();
    build_in(&service, &given_options(options::OPTIONS, &given), |options, build| {
        cloudwatch(options, build, Clock::system())
    })
}

/// The bodies that a chunk makes.
fn put(given: &[(&str, &str)], records: &[(u32, u32, &str)]) -> Vec<String> {
    let batches = output(given).unwrap().packer.batches(&chunk("app.one", records));
    batches.batches.into_iter().map(|batch| String::from_utf8(batch.body).unwrap()).collect()
}

#[test]
fn events_are_put_as_fluent_bit_puts_them() {
    assert_eq!(
        put(&[], RECORDS),
        [concat!(
            r#"{"logGroupName":"g","logStreamName":"s-app.one","logEvents":["#,
            r#"{"timestamp":1700000000500,"message":"{\"log\":\"earlier\",\"app\":\"a:b*c\"}"},"#,
            r#"{"timestamp":1700000001250,"message":"{\"log\":\"say \\\"x\\\" \\u00e9\\n/\",\"n\":1.5,\"m\":{\"a\":[1,null]},\"app\":\"shop\"}"},"#,
            r#"{"timestamp":1700000002000,"message":"{\"n\":5}"},{"timestamp":1700000002000,"message":"{\"log\":\"\"}"},"#,
            r#"{"timestamp":1700000002000,"message":"{\"log\":{\"x\":1}}"}]}"#
        )]
    );
}

#[test]
fn of_a_key_only_its_value_is_put() {
    // The real agent writes no JSON of a map here.
    assert_eq!(
        put(&[("log_key", "log"), ("log_stream_prefix", ""), ("log_stream_name", "s")], RECORDS),
        [concat!(
            r#"{"logGroupName":"g","logStreamName":"s","logEvents":[{"timestamp":1700000000500,"message":"earlier"},"#,
            r#"{"timestamp":1700000001250,"message":"say \"x\" \u00e9\n/"},"#,
            r#"{"timestamp":1700000002000,"message":"{\"x\":1}"}]}"#
        )]
    );
    let batches = output(&[("log_key", "$log")]).unwrap().packer.batches(&chunk("t", RECORDS));
    let reasons: Vec<_> = batches.unsendable.iter().map(|(at, why)| (*at, why.reason())).collect();
    assert_eq!(reasons, [(2, "log_key"), (3, "empty")]);
}

#[test]
fn records_say_which_group_and_stream_they_go_to_and_others_go_where_the_options_say() {
    let given = [("log_stream_template", "x-$app.$TAG[1]"), ("log_group_template", "$nope")];
    let names: Vec<String> = put(&given, RECORDS)
        .iter()
        .map(|body| {
            let body: Value = serde_json::from_str(body).unwrap();
            let events = body["logEvents"].as_array().unwrap().len();
            let text = |name: &str| body[name].as_str().unwrap().to_owned();
            format!("{}/{} {events}", text("logGroupName"), text("logStreamName"))
        })
        .collect();
    // What CloudWatch takes in no name becomes `_`; the real agent sends it, and is refused.
    assert_eq!(names, ["g/x-shop.one 1", "g/x-a_b_c.one 1", "g/s-app.one 3"]);
    let group = [("log_group_template", "/logs/$app")];
    let bodies = put(&group, &[(1, 0, &format!(r#"{{"app":"é {}"}}"#, "x".repeat(600)))]);
    let body: Value = serde_json::from_str(&bodies[0]).unwrap();
    let name = body["logGroupName"].as_str().unwrap();
    assert!(name.starts_with("/logs/__xx") && name.len() == 512, "{name}");
}

#[test]
fn a_batch_holds_what_a_request_may_hold() {
    let events = |records: &[(u32, u32, &str)]| -> Vec<usize> {
        let batches = output(&[]).unwrap().packer.batches(&chunk("t", records));
        batches.batches.iter().map(|batch| batch.places.len()).collect()
    };
    let many: Vec<_> = (0..20_001).map(|_| (5, 0, r#"{"a":1}"#)).collect();
    assert_eq!(events(&many), [10_000, 10_000, 1]);
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(300_000));
    let long: Vec<_> = (0..7).map(|_| (5, 0, long.as_str())).collect();
    assert_eq!(events(&long), [3, 3, 1]);
    let day = 24 * 60 * 60;
    let days = [(0, 0, r#"{"a":1}"#), (day - 1, 999_000_000, r#"{"a":1}"#), (day, 0, r#"{"a":1}"#)];
    assert_eq!(events(&days), [2, 1]);
    let longest = format!(r#"{{"a":"{}"}}"#, "é".repeat(600_000));
    let packer = output(&[("log_key", "a")]).unwrap().packer;
    let batches = packer.batches(&chunk("t", &[(1, 0, &longest)]));
    assert_eq!(batches.truncated, 1);
    let body: Value = serde_json::from_slice(&batches.batches[0].body).unwrap();
    assert_eq!(body["logEvents"][0]["message"].as_str().unwrap(), "é".repeat(500_000));
}

/// CloudWatch Logs as its published rules have it.
#[derive(Default)]
struct Logs {
    groups: BTreeSet<String>,
    streams: BTreeMap<(String, String), Vec<(u64, String)>>,
    policies: Vec<String>,
    /// What is said of the next batches.
    rejects: Option<&'static str>,
    stale: usize,
}

fn error(code: &str) -> Reply {
    Reply::new(400, format!(r#"{{"__type":"{code}","message":"about it"}}"#))
}

impl Logs {
    fn answer(&mut self, request: &Request) -> Reply {
        let signed = request.header("authorization").unwrap_or_default();
        let is_signed = signed.contains("Credential=AKID/")
            && signed.contains("/eu-central-1/logs/aws4_request, SignedHeaders=content-type;host;")
            && signed.contains("x-amz-date;x-amz-target");
        if (request.method.as_str(), request.path.as_str()) != ("POST", "/") || !is_signed {
            return error("IncompleteSignature");
        }
        assert_eq!(request.header("content-type"), Some("application/x-amz-json-1.1"));
        if self.stale > 0 {
            self.stale -= 1;
            return error("ExpiredTokenException");
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (group, stream) = (text("logGroupName"), text("logStreamName"));
        let action = request.header("x-amz-target").unwrap();
        match action.strip_prefix("Logs_20140328.").unwrap() {
            "CreateLogGroup" if self.groups.contains(&group) => {
                error("ResourceAlreadyExistsException")
            }
            "CreateLogGroup" => {
                self.groups.insert(group);
                Reply::new(200, "")
            }
            _ if !self.groups.contains(&group) => error("ResourceNotFoundException"),
            "PutRetentionPolicy" => {
                self.policies.push(format!("{group} {}", body["retentionInDays"]));
                Reply::new(200, "")
            }
            "CreateLogStream" => {
                self.streams.entry((group, stream)).or_default();
                Reply::new(200, "")
            }
            "PutLogEvents" => match self.streams.get_mut(&(group, stream)) {
                None => error("ResourceNotFoundException"),
                Some(events) => {
                    let put = body["logEvents"].as_array().unwrap().iter().map(|event| {
                        (event["timestamp"].as_u64().unwrap(), event["message"].to_string())
                    });
                    let put: Vec<_> = put.collect();
                    assert!(put.is_sorted_by_key(|(time, _)| *time));
                    events.extend(put);
                    Reply::new(200, self.rejects.take().unwrap_or(r#"{"nextSequenceToken":"1"}"#))
                }
            },
            other => panic!("{other}"),
        }
    }
}

/// A service, and an output that sends there.
fn service(given: &[(&str, &str)]) -> (Arc<Mutex<Logs>>, Stub, CloudWatchLogs) {
    let logs = Arc::new(Mutex::new(Logs::default()));
    let asked = Arc::clone(&logs);
    let stub = Stub::start(move |request| asked.lock().unwrap().answer(request));
    let endpoint = format!("http://127.0.0.1:{}", stub.port());
    let output = output(&[&[("endpoint", endpoint.as_str())], given].concat()).unwrap();
    (logs, stub, output)
}

fn flush(output: &CloudWatchLogs, records: &[(u32, u32, &str)]) -> Flush {
    let records = chunk("t", records);
    block_on(async { output.flush(&records).await })
}

const ONE: &[(u32, u32, &str)] = &[(1_700_000_000, 0, r#"{"a":1}"#)];
const GROUP: &[(&str, &str)] = &[("auto_create_group", "true"), ("log_retention_days", "14")];

#[test]
fn groups_and_streams_are_made_when_they_are_needed() {
    let (logs, stub, output) = service(GROUP);
    assert!(matches!(flush(&output, ONE), Flush::Done));
    assert!(matches!(flush(&output, ONE), Flush::Done));
    let actions = || -> Vec<String> {
        let requests = stub.requests();
        let action = requests.iter().map(|request| request.header("x-amz-target").unwrap());
        action.map(|action| action.replace("Logs_20140328.", "")).collect()
    };
    let made = [
        "PutLogEvents",
        "CreateLogStream",
        "CreateLogGroup",
        "PutRetentionPolicy",
        "CreateLogStream",
        "PutLogEvents",
        "PutLogEvents",
    ];
    assert_eq!(actions(), made);
    assert_eq!(logs.lock().unwrap().policies, ["g 14"]);
    // A stream that somebody removes is made again.
    logs.lock().unwrap().streams.clear();
    assert!(matches!(flush(&output, ONE), Flush::Done));
    assert_eq!(actions()[7..], ["PutLogEvents", "CreateLogStream", "PutLogEvents"]);
}

#[test]
fn a_group_that_is_not_there_is_told_and_its_records_wait() {
    let (logs, _stub, output) =
        service(&[("log_stream_template", "$stream"), ("log_group_template", "$group")]);
    logs.lock().unwrap().groups.insert("there".to_owned());
    let records = [
        (1, 0, r#"{"group":"missing","stream":"s"}"#),
        (2, 0, r#"{"group":"there","stream":"s"}"#),
    ];
    let Flush::Rest { again, left_out: 0, reason, .. } = flush(&output, &records) else { panic!() };
    assert_eq!(again, [true, false]);
    assert!(
        reason.ends_with(
            "missing/s: there is no such log group; make it, or set auto_create_group on"
        ),
        "{reason}"
    );
    assert!(reason.starts_with("[output:cloudwatch_logs:test.0] 127.0.0.1:"), "{reason}");
}

#[test]
fn events_that_are_rejected_are_counted_by_the_reason() {
    let (logs, _stub, output) = service(GROUP);
    let info = r#"{"rejectedLogEventsInfo":{"expiredLogEventEndIndex":1,"tooOldLogEventEndIndex":2,"tooNewLogEventStartIndex":4}}"#;
    logs.lock().unwrap().rejects = Some(info);
    // They are sorted before they are put, and places are those of the chunk.
    let records: Vec<String> = (0..5).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    let records: Vec<_> =
        records.iter().enumerate().map(|(n, text)| (100 - n as u32, 0, text.as_str())).collect();
    let fate = flush(&output, &records);
    let Flush::Partly { left_out: 3, refused: Some(refused) } = fate else { panic!("{fate:?}") };
    assert_eq!(bodies(&[refused]), [r#"{"n":0}"#, r#"{"n":3}"#, r#"{"n":4}"#]);
    for reason in ["expired", "too_old", "too_new"] {
        assert_eq!(output.books.metrics.counter_of(&REFUSED, reason).get(), 1, "{reason}");
    }
}

#[test]
fn who_is_known_no_longer_asks_again_as_who_he_is_now() {
    let (logs, stub, output) = service(GROUP);
    logs.lock().unwrap().stale = 1;
    assert!(matches!(flush(&output, ONE), Flush::Done));
    assert_eq!(logs.lock().unwrap().stale, 0);
    logs.lock().unwrap().stale = 2;
    let before = stub.asked().len();
    let Flush::Retry { reason, .. } = flush(&output, ONE) else { panic!() };
    assert!(reason.contains("ExpiredTokenException: about it"), "{reason}");
    assert!(!reason.contains("secret"), "{reason}");
    assert_eq!(stub.asked().len() - before, 2);
}

#[test]
fn whatever_the_service_says_or_does_not_say_nothing_is_lost() {
    let (logs, mut stub, output) = service(&[GROUP, &[("net.io_timeout", "1")]].concat());
    assert!(matches!(flush(&output, ONE), Flush::Done));
    let throttled = r#"{"__type":"ThrottlingException","message":"Rate exceeded\u001b[31m"}"#;
    let html = Reply::new(200, "<html>log in</html>");
    for (fault, words, asked, after) in [
        (
            Fault::Instead(Reply::new(400, throttled)),
            "ThrottlingException: Rate exceeded\\u{1b}[31m",
            1,
            None,
        ),
        (Fault::Instead(Reply::new(429, "").with("Retry-After: 7")), "HTTP status=429", 1, Some(7)),
        (Fault::Instead(Reply::new(500, "oops")), "HTTP status=500 : oops", 2, None),
        (Fault::Instead(Reply::new(503, "")), "HTTP status=503", 2, None),
        (Fault::Instead(html), "the answer is none of CloudWatch's", 1, None),
        (Fault::Garbage, "", 2, None),
        (Fault::Half, "", 2, None),
        (Fault::Silence, "timed out", 2, None),
        (Fault::Trickle(Duration::from_millis(300)), "timed out", 2, None),
    ] {
        stub.fail(Some(fault.clone()));
        let before = stub.asked().len();
        let Flush::Retry { reason, after: wished } = flush(&output, ONE) else {
            panic!("{fault:?}")
        };
        assert!(reason.contains(words), "{fault:?}: {reason}");
        assert_eq!(wished, after.map(Duration::from_secs), "{fault:?}");
        assert_eq!(stub.asked().len() - before, asked, "{fault:?}");
    }
    stub.fail(None);
    stub.leave();
    assert!(matches!(flush(&output, ONE), Flush::Retry { .. }));
    stub.come_back();
    assert!(matches!(flush(&output, ONE), Flush::Done));
    assert!(output.books.metrics.counter_of(&FAILED, "ThrottlingException").get() == 1);
    assert_eq!(logs.lock().unwrap().streams.len(), 1);
}

#[test]
fn without_auto_retry_requests_each_is_tried_once() {
    let (_logs, stub, output) = service(&[("auto_retry_requests", "off")]);
    stub.fail(Some(Fault::Instead(Reply::new(500, "oops"))));
    assert!(matches!(flush(&output, ONE), Flush::Retry { .. }));
    assert_eq!(stub.asked().len(), 1);
}

#[test]
fn requests_say_who_asks_and_what_events_are() {
    let (_logs, stub, output) = service(
        &[&[("extra_user_agent", "container-insights"), ("log_format", "json/emf")], GROUP]
            .concat(),
    );
    assert!(matches!(flush(&output, ONE), Flush::Done));
    let put = stub.requests().pop().unwrap();
    let agent = put.header("user-agent").unwrap();
    assert!(agent.starts_with("flb-agent/") && agent.ends_with(" container-insights"), "{agent}");
    assert_eq!(put.header("x-amzn-logs-format"), Some("json/emf"));
}

#[test]
fn a_wrong_configuration_is_refused() {
    for (given, words) in [
        (&[("region", "")][..], "no 'region' was given"),
        (&[("log_group_name", "")], "no 'log_group_name' was given"),
        (&[("log_stream_prefix", "")], "one of log_stream_name and log_stream_prefix"),
        (&[("log_stream_name", "s")], "one of log_stream_name and log_stream_prefix"),
        (&[("log_retention_days", "15")], "log_retention_days is 15"),
        (&[("log_group_template", "$a['b")], "log_group_template: a bracket"),
        (&[("endpoint", "http://")], "endpoint 'http://' is no address"),
        (&[("extra_user_agent", "a\u{7}")], "extra_user_agent may not stand in a header"),
        (&[("port", "100000")], "port is not a port number"),
    ] {
        let error = output(given).err().map(|error| error.message).unwrap_or_default();
        assert!(error.contains(words), "{given:?}: {error}");
    }
}

#[test]
fn a_real_server_has_what_was_sent() {
    let Some(server) = aws(free_port()) else { return };
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    let given =
        [&[("endpoint", endpoint.as_str()), ("log_group_class", "INFREQUENT_ACCESS")], GROUP];
    let output = output(&given.concat()).unwrap();
    // Nothing older than two weeks is taken.
    let now = u32::try_from(jiff::Timestamp::now().as_second()).unwrap();
    let records = [(now, 0, r#"{"n":1}"#), (now - 1, 0, r#"{"n":0}"#)];
    assert!(matches!(flush(&output, &records), Flush::Done));
    let call = flb_net::aws::Call {
        method: reqwest::Method::POST,
        path: "/".to_owned(),
        headers: vec![
            ("content-type", "application/x-amz-json-1.1".to_owned()),
            ("x-amz-target", "Logs_20140328.GetLogEvents".to_owned()),
        ],
        body: r#"{"logGroupName":"g","logStreamName":"s-t","startFromHead":true}"#.into(),
    };
    let answer = block_on(async { output.api.service.call(&call).await }).unwrap();
    let answer: Value = serde_json::from_slice(&answer.body).unwrap();
    let events = answer["events"].as_array().unwrap();
    let messages: Vec<&str> =
        events.iter().map(|event| event["message"].as_str().unwrap()).collect();
    assert_eq!(messages, [r#"{"n":0}"#, r#"{"n":1}"#]);
}
