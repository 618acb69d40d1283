//! What is posted, beside what Fluent Bit posts; the fates of records, by a server that says what it is told to; and a real one.

use std::time::Duration;

use flb_harness::net::block_on;
use flb_harness::{bodies, build_with, chunk, options};
use flb_testkit::servers::{free_port, opensearch};
use flb_testkit::stub::{Fault, Reply, Stub};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::scripted::read;
use flb_event::Timestamp;

fn output(given: &[(&str, &str)]) -> Result<Es, BuildError> {
    build_with(&options(OPTIONS, given), |options, build| es("es", options, build))
}

/// A body for these records.
fn body(given: &[(&str, &str)], tag: &str, records: &[(u32, u32, &str)]) -> Request {
    let chunk = chunk(tag, records);
    let now = Timestamp { sec: 1_796_127_697, nsec: 5_000_000 };
    output(given).unwrap().0.bulk.request(&chunk, 0..records.len(), now)
}

fn text(request: Request) -> String {
    String::from_utf8(request.body).unwrap()
}

const RECORDS: [&str; 4] = [
    r#"{"log":"hello","n":1,"f":1.5,"k.d":{"x.y":2,"l":[{"p.q":1},[{"r.s":null}]]},"id":"abc","idx":"own"}"#,
    r#"{"log":"wörld \"q\" 日","id":7,"kubernetes":{"namespace":"Shop","pod_id":"u-1","labels":{"app.name":"web"}},"@timestamp":"mine","flb-key":"x"}"#,
    "{}",
    r#"{"log":"hello","log":"twice","idx":"UP/er","id":""}"#,
];

#[test]
fn records_are_posted_as_fluent_bit_posts_them() {
    let recorded = include_str!("recorded.txt");
    let mut sections = recorded.split("--- ");
    let head = sections.next().unwrap();
    let times = |plugin: &str| -> Vec<(u32, u32)> {
        let line = head.lines().find_map(|line| line.strip_prefix(&format!("times.{plugin} = ")));
        let parts = line.unwrap().split(' ').map(|time| time.split_once('.').unwrap());
        parts.map(|(sec, nsec)| (sec.parse().unwrap(), nsec.parse().unwrap())).collect()
    };
    let mut count = 0;
    for section in sections {
        let (title, expected) = section.split_once('\n').unwrap();
        let (plugin, given) = title.split_once(':').unwrap();
        let given: Vec<(String, &str)> = given
            .split("; ")
            .filter_map(|option| option.trim().split_once(' '))
            .map(|(name, value)| (name.to_lowercase(), value))
            .collect();
        let given: Vec<(&str, &str)> =
            given.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        let mut posted = String::new();
        for (number, (record, (sec, nsec))) in RECORDS.iter().zip(times(plugin)).enumerate() {
            posted += &text(body(&given, &format!("app.one.{number}"), &[(sec, nsec, record)]));
        }
        assert_eq!(posted, expected, "{title}");
        count += 1;
    }
    assert!(count > 30, "{count} sections");
}

#[test]
fn an_index_may_have_todays_date_the_tag_and_what_a_record_says() {
    let index = |given: &[(&str, &str)], record: &str| {
        let text = text(body(given, "kube.web", &[(1_700_000_000, 0, record)]));
        let action: Value = serde_json::from_str(text.lines().next().unwrap_or("{}")).unwrap();
        action["create"]["_index"].as_str().map(str::to_owned)
    };
    let found =
        |given: &[(&str, &str)]| index(given, r#"{"app":"shop","n":5,"m":{"a":"x"}}"#).unwrap();
    assert_eq!(found(&[("index", "x-%Y.%m.%d")]), "x-2026.12.01");
    assert_eq!(found(&[("index", "logs.$app.$m['a']-$TAG[1]-%Y")]), "logs.shop.x-web-2026");
    assert_eq!(
        found(&[("logstash_format", "on"), ("current_time_index", "on")]),
        "logstash-2026.12.01"
    );
    let by_key = |key| found(&[("logstash_format", "on"), ("logstash_prefix_key", key)]);
    assert_eq!(by_key("n"), "5-2023.11.14");
    assert_eq!(by_key("$TAG"), "kube.web-2023.11.14");
    assert_eq!(by_key("missing"), "logstash-2023.11.14");
    // A record without any index is refused here, as a server refuses the whole request for it.
    assert_eq!(index(&[("index", "$missing")], "{}"), None);
    let long = format!(r#"{{"app":"{}é"}}"#, "a".repeat(127));
    let given = [("logstash_format", "on"), ("logstash_prefix_key", "app")];
    assert_eq!(index(&given, &long).unwrap(), "a".repeat(127) + "-2023.11.14");
    // What a record says is a text, whatever it looks like.
    assert_eq!(index(&given, r#"{"app":"a\"},%Y$n"}"#).unwrap(), "a\"},%Y$n-2023.11.14");
}

#[test]
fn names_of_documents_are_those_of_records_or_made_of_them() {
    let ids = |given: &[(&str, &str)], records: &[(u32, u32, &str)]| -> Vec<Option<String>> {
        let text = text(body(given, "t", records));
        let actions = text.lines().step_by(2).map(|line| serde_json::from_str(line).unwrap());
        actions.map(|action: Value| action["create"]["_id"].as_str().map(str::to_owned)).collect()
    };
    let records = [(1, 0, "{}"), (1, 1, "{}"), (1, 0, "{}"), (1, 0, r#"{"id":"mine"}"#)];
    let made = ids(&[("generate_id", "on")], &records);
    assert_eq!(made, ids(&[("generate_id", "on")], &records));
    assert!(made[0] == made[2] && made[0] != made[1] && made[0] != made[3], "{made:?}");
    assert_eq!(made[0].as_deref().map(str::len), Some(36));
    let own = ids(&[("generate_id", "on"), ("id_key", "id")], &records);
    assert_eq!((own[3].as_deref(), &own[0]), (Some("mine"), &made[0]));
    assert_eq!(ids(&[("id_key", "id")], &records)[0], None);
}

#[test]
fn what_cannot_be_sent_is_no_part_of_the_request() {
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(513));
    let records = [(1, 0, r#"{"id":"a"}"#), (1, 0, "{}"), (1, 0, long.as_str())];
    let given = [("write_operation", "upsert"), ("id_key", "id"), ("suppress_type_name", "on")];
    let request = body(&given, "t", &records);
    assert_eq!(request.places, [0]);
    let classes: Vec<_> =
        request.unsendable.iter().map(|(at, error)| (*at, error.class())).collect();
    assert_eq!(classes, [(1, "id"), (2, "id")]);
    assert_eq!(
        text(request),
        "{\"update\":{\"_index\":\"fluent-bit\",\"_id\":\"a\"}}\n{\"doc_as_upsert\":true,\"doc\":{\"@timestamp\":\"1970-01-01T00:00:01.000Z\",\"id\":\"a\"}}\n"
    );
}

fn five() -> Chunk {
    let bodies = ["{\"n\":0}", "{\"n\":1}", "{\"n\":2}", "{\"n\":3}", "{\"n\":4}"];
    chunk("t", &bodies.map(|body| (1, 0, body)))
}

/// Flushes to a server that says these things, one to each request, and ends the connection after each; the fate, and the requests.
fn told(
    given: &[(&str, &str)],
    chunk: &Chunk,
    replies: &[String],
) -> (Flush, Vec<(String, String)>) {
    block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let output = output(&[&[("port", port.as_str())], given].concat()).unwrap();
        let server = async {
            let mut requests = Vec::new();
            for reply in replies {
                let (mut stream, _): (TcpStream, _) = listener.accept().await.unwrap();
                let (head, body) = read(&mut stream).await;
                requests.push((head, String::from_utf8_lossy(&body).into_owned()));
                // Nobody reads more of it than it is worth.
                let _ = stream.write_all(reply.as_bytes()).await;
            }
            requests
        };
        let (flush, requests) = tokio::join!(output.flush(chunk), server);
        (flush, requests)
    })
}

fn reply(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}")
}

/// An answer with these statuses.
fn items(statuses: &[u16]) -> String {
    let item = |status: &u16| match status {
        200..=299 => format!(r#"{{"create":{{"_index":"a","status":{status}}}}}"#),
        _ => format!(
            r#"{{"create":{{"_index":"a","status":{status},"error":{{"type":"some_exception","reason":"no [x]"}}}}}}"#
        ),
    };
    let errors = statuses.iter().any(|status| *status > 299);
    let items: Vec<String> = statuses.iter().map(item).collect();
    format!(r#"{{"took":1,"errors":{errors},"items":[{}]}}"#, items.join(","))
}

fn fate_of_five(reply: String) -> Flush {
    told(&[], &five(), &[reply]).0
}

#[test]
fn each_record_has_its_own_fate_and_only_those_that_may_get_through_are_tried_again() {
    let flush = fate_of_five(reply("200 OK", &items(&[201, 400, 429, 409, 503])));
    let Flush::Rest { again, left_out, refused, reason, after } = flush else {
        panic!("{flush:?}")
    };
    assert_eq!(again, [false, false, true, false, true]);
    assert_eq!((left_out, after), (1, None));
    assert_eq!(bodies(&[refused.unwrap()]), [r#"{"n":1}"#]);
    assert!(reason.contains("status 429 some_exception: no [x]"), "{reason}");
    let flush = fate_of_five(reply("200 OK", &items(&[201, 200, 400, 404, 409])));
    assert!(matches!(flush, Flush::Partly { left_out: 2, refused: Some(_) }), "{flush:?}");
    let flush = fate_of_five(reply("200 OK", &items(&[201; 5])));
    assert!(matches!(flush, Flush::Done), "{flush:?}");
    let flush = fate_of_five(reply("200 OK", &items(&[429; 5])));
    assert!(matches!(flush, Flush::Retry { .. }), "{flush:?}");
}

#[test]
fn refused_records_are_counted_by_the_reason() {
    let output = output(&[]).unwrap();
    let mut fates = Fates::new(3);
    output.0.settle(items(&[201, 400, 404]).as_bytes(), &[0, 1, 2], &mut fates);
    output.0.refuse(&mut fates, 2, "document", "told again");
    assert_eq!((fates.again, fates.refused), (vec![false; 3], vec![false, true, true]));
    assert_eq!(output.0.metrics.counter_of(&REFUSED, "document").get(), 2);
}

#[test]
fn a_request_that_is_not_taken_is_tried_again_whatever_the_reason() {
    for (status, body, words) in [
        ("429 Slow\r\nRetry-After: 7", "", "HTTP status=429"),
        ("500 Oops", "broken", "HTTP status=500 Internal Server Error broken"),
        ("401 No", "", "check http_user and http_passwd"),
        ("403 No", "", "check http_user and http_passwd"),
        ("404 No", "", "check host, port and path"),
        ("400 No", "unknown parameter [_type]", "suppress_type_name on"),
        ("302 Elsewhere", "", "HTTP status=302"),
    ] {
        let flush = fate_of_five(reply(status, body));
        let Flush::Retry { reason, after } = flush else { panic!("{status}: {flush:?}") };
        assert!(reason.contains(words), "{reason}");
        assert_eq!(after, status.contains("After").then_some(Duration::from_secs(7)));
    }
}

#[test]
fn an_answer_that_says_too_little_loses_no_record() {
    let whole = items(&[201, 400, 201, 201, 201]);
    let half = format!("HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n{}", &whole[..110]);
    let again = |flush: Flush| match flush {
        Flush::Retry { .. } => 5,
        Flush::Rest { again, .. } => again.into_iter().filter(|again| *again).count(),
        _ => 0,
    };
    for (text, expected) in [
        (reply("200 OK", r#"{"errors":true}"#), 5),
        (reply("200 OK", r#"{"errors":true,"items":[]}"#), 5),
        (reply("200 OK", "<html>hello</html>"), 5),
        (reply("200 OK", ""), 5),
        ("\x16\x03\x01 what?\r\n\r\n".to_owned(), 5),
        (reply("200 OK", &items(&[201, 400, 201])), 2),
        (half, 4),
        (reply("200 OK", &format!(r#"{{"pad":"{}","errors":false}}"#, "x".repeat(2_000_000))), 5),
    ] {
        assert_eq!(again(fate_of_five(text.clone())), expected, "{}", &text[..80.min(text.len())]);
    }
}

#[test]
fn a_request_that_is_too_large_is_split_down_to_the_record_that_is() {
    let (large, good) =
        (reply("413 Large", ""), |count| reply("200 OK", &items(&vec![201; count])));
    let replies = [large.clone(), good(2), large.clone(), large, good(2)];
    let (flush, requests) = told(&[], &five(), &replies);
    let Flush::Partly { left_out: 1, refused: Some(refused) } = flush else { panic!("{flush:?}") };
    assert_eq!(bodies(&[refused]), [r#"{"n":2}"#]);
    let counts: Vec<usize> = requests.iter().map(|(_, body)| body.lines().count() / 2).collect();
    assert_eq!(counts, [5, 2, 3, 1, 2]);
    // What was delivered before the server went away is not sent again.
    let (flush, _) = told(&[], &five(), &[reply("413 Large", ""), good(2), reply("500 Oops", "")]);
    let Flush::Rest { again, left_out: 0, .. } = flush else { panic!("{flush:?}") };
    assert_eq!(again, [false, false, true, true, true]);
}

#[test]
fn nobody_there_is_a_retry() {
    let port = free_port().to_string();
    let output = output(&[("port", &port)]).unwrap();
    let flush = block_on(async { output.flush(&five()).await });
    assert!(matches!(flush, Flush::Retry { .. }), "{flush:?}");
}

#[test]
fn requests_say_who_asks_and_for_what() {
    let good = reply("200 OK", r#"{"errors":false}"#);
    for (given, words) in [
        (&[("path", "/x/"), ("pipeline", "a b")][..], "POST /x/_bulk?pipeline=a%20b HTTP/1.1"),
        (&[], "POST /_bulk HTTP/1.1"),
        (&[], "content-type: application/x-ndjson"),
        (&[("http_user", "me"), ("http_passwd", "secret")], "authorization: Basic bWU6c2VjcmV0"),
        (&[("cloud_auth", "me:secret")], "authorization: Basic bWU6c2VjcmV0"),
        (&[("http_api_key", "abc")], "authorization: ApiKey abc"),
        (&[("compress", "gzip")], "content-encoding: gzip"),
        (&[("aws_auth", "off"), ("aws_region", "eu-central-1")], "host: 127.0.0.1:"),
    ] {
        let (flush, requests) = told(given, &five(), std::slice::from_ref(&good));
        assert!(matches!(flush, Flush::Done), "{flush:?}");
        assert!(requests[0].0.contains(words), "no {words} in {}", requests[0].0);
    }
}

#[test]
fn servers_of_an_upstream_file_take_turns_and_may_have_options_of_their_own() {
    let stubs = [(); 2].map(|()| Stub::start(|_| Reply::new(200, r#"{"errors":false}"#)));
    let ports = stubs.each_ref().map(Stub::port);
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "[UPSTREAM]\n    name u\n[NODE]\n    name a\n    host 127.0.0.1\n    port {}\n\
         [NODE]\n    name b\n    port {}\n    index mine\n    http_user me\n",
        ports[0], ports[1]
    );
    std::fs::write(file.path(), text).unwrap();
    let path = file.path().to_str().unwrap();
    let given = options(OPTIONS, &[("upstream", path), ("index", "all"), ("port", "1")]);
    let output = build_with(&given, |options, build| super::output("es", options, build)).unwrap();
    block_on(async {
        for _ in 0..4 {
            assert!(matches!(output.flush(&five()).await, Flush::Done));
        }
        // Who does not take a chunk leaves it to the next one.
        stubs[0].fail(Some(Fault::Instead(Reply::new(503, "busy"))));
        assert!(matches!(output.flush(&five()).await, Flush::Retry { .. }));
        assert!(matches!(output.flush(&five()).await, Flush::Done));
    });
    for (stub, count, index, user) in [(&stubs[0], 3, "all", false), (&stubs[1], 3, "mine", true)] {
        let requests = stub.requests();
        assert_eq!(requests.len(), count);
        let first = String::from_utf8_lossy(&requests[0].body).into_owned();
        assert!(first.contains(&format!("\"_index\":\"{index}\"")), "{first}");
        assert_eq!(requests[0].header("authorization").is_some(), user);
    }
    let refused = build_with(&options(OPTIONS, &[("upstream", "/nowhere")]), |options, build| {
        super::output("es", options, build).err().unwrap().to_string()
    });
    assert!(refused.contains("could not open"), "{refused}");
}

#[test]
fn a_wrong_configuration_is_refused() {
    for (given, words) in [
        (&[("port", "es")][..], "is not a port number"),
        (&[("aws_auth", "on")], "aws_auth is on, and region or service are not known"),
        (&[("write_operation", "update")], "documents that have names"),
        (&[("index", "$a['b")], "index: a bracket"),
        (&[("id_key", "$a.b")], "id_key: "),
        (&[("logstash_format", "on"), ("logstash_dateformat", "%!")], "logstash_dateformat '%!': "),
        (&[("cloud_id", "x:eA==")], "cloud_id is none"),
        (&[("cloud_id", "mine:ZXUuZXhhbXBsZS5pbyRhYmM=")], "speak TLS"),
        (&[("cloud_auth", "me")], "has no ':'"),
    ] {
        let error = output(given).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(words), "{given:?}: {error}");
    }
}

/// What a real server says of a path.
fn asked(port: u16, path: &str) -> Value {
    serde_json::from_str(&flb_testkit::get(port, path, "").body).unwrap()
}

#[test]
fn a_real_server_finds_what_was_sent_and_its_mapping_refuses_one_record_only() {
    let Some(server) = opensearch(free_port()) else { return };
    let port = server.port.to_string();
    let send = |given: &[(&str, &str)], records: &[(u32, u32, &str)]| {
        let own = [("port", port.as_str()), ("suppress_type_name", "on")];
        let output = output(&[&own, given].concat()).unwrap();
        block_on(async { output.flush(&chunk("app", records)).await })
    };
    let daily = [("logstash_format", "on"), ("logstash_prefix", "web"), ("compress", "gzip")];
    let two = [(1_700_000_000, 0, r#"{"n":1}"#), (1_700_100_000, 0, r#"{"n":2}"#)];
    assert!(matches!(send(&daily, &two), Flush::Done));
    for index in ["web-2023.11.14", "web-2023.11.16"] {
        assert_eq!(asked(server.port, &format!("/{index}/_count"))["count"], 1, "{index}");
    }
    // The index has learnt that n is a number.
    let mixed = [
        (1_700_000_000, 0, r#"{"n":3}"#),
        (1_700_000_000, 0, r#"{"n":"no number"}"#),
        (1_700_000_000, 0, r#"{"n":4}"#),
    ];
    let flush = send(&daily, &mixed);
    let Flush::Partly { left_out: 1, refused: Some(refused) } = flush else { panic!("{flush:?}") };
    assert_eq!(bodies(&[refused]), [r#"{"n":"no number"}"#]);
    assert_eq!(asked(server.port, "/web-2023.11.14/_count")["count"], 3);
    // Sent twice, stored once.
    let named = [("index", "named"), ("generate_id", "on"), ("include_tag_key", "on")];
    assert!(matches!(send(&named, &two), Flush::Done));
    assert!(matches!(send(&named, &two), Flush::Done));
    assert_eq!(asked(server.port, "/named/_count")["count"], 2);
    let found = asked(server.port, "/named/_search");
    let source = &found["hits"]["hits"][0]["_source"];
    assert_eq!((&source["flb-key"], source["@timestamp"].is_string()), (&Value::from("app"), true));
}

#[test]
fn a_part_of_a_chunk_keeps_its_places() {
    let output = output(&[]).unwrap();
    let request = output.0.bulk.request(&five(), 1..4, Timestamp::default());
    assert_eq!(request.places, [1, 2, 3]);
    let numbers: Vec<String> =
        text(request).lines().skip(1).step_by(2).map(str::to_owned).collect();
    assert!(numbers[0].ends_with("\"n\":1}") && numbers[2].ends_with("\"n\":3}"), "{numbers:?}");
}
