//! What becomes of records on their way to a bucket: by a strict stand-in for S3 that goes wrong on request, by agents that die between any two
//! steps, and by a real server that checks signatures where it was brought.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::atomic::{AtomicI64, Ordering};

use flb_config::Variables;
use flb_harness::{build_in, chunk, options as given_options};
use flb_plugin::Service;
use flb_testkit::servers::{free_port, s3};
use flb_testkit::stub::{Fault, Reply, Request, Stub};
use jiff::Timestamp;

use super::*;

const START: i64 = 1_796_127_697;

/// Runs a future where connections stay for the next one.
fn run<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

/// A clock that is moved by hand.
#[derive(Clone)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn new() -> Self {
        Self(Arc::new(START.into()))
    }

    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

/// An output at work on a folder. When it goes, nothing is finished: as if it were killed.
fn agent(
    folder: &Path,
    endpoint: &str,
    hand: &Hand,
    given: &[(&str, &str)],
) -> Result<S3, BuildError> {
    let environment = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "very-secret-key"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let files = Arc::new(flb_config::Memory::default());
    let variables = Variables::new(BTreeMap::from(environment), None, files);
    let service = Service { variables, ..Service::default() };
    let own = [
        ("bucket", "logs"),
        ("endpoint", endpoint),
        ("store_dir", folder.to_str().unwrap()),
        ("s3_key_format", "/$TAG/$UUID"),
    ];
    let own = own.iter().filter(|(name, _)| !given.iter().any(|(other, _)| other == name));
    let given: Vec<(&str, &str)> = own.chain(given).copied().collect();
    let now = Arc::clone(&hand.0);
    let clock = Clock::new(move || Timestamp::from_second(now.load(Ordering::SeqCst)).unwrap());
    build_in(&service, &given_options(options::OPTIONS, &given), |options, build| {
        Ok(S3(Arc::new(uploader(options, build, clock)?)))
    })
}

/// S3 as its published rules have it, with parts that may be smaller.
#[derive(Default)]
struct Bucketful {
    objects: BTreeMap<String, Vec<u8>>,
    /// Their keys and parts, by names.
    uploads: BTreeMap<String, (String, BTreeMap<u32, Vec<u8>>)>,
    headers: BTreeMap<String, Vec<String>>,
    count: usize,
    /// The answer to this action is lost after it was taken.
    loses: Option<&'static str>,
    /// Why this action is refused, once.
    refuses: Option<(&'static str, u16, &'static str)>,
}

const SHOWN: &[&str] =
    &["content-type", "content-encoding", "content-md5", "x-amz-acl", "x-amz-storage-class"];

fn error(status: u16, code: &str) -> Reply {
    Reply::new(status, format!("<Error><Code>{code}</Code><Message>about it</Message></Error>"))
}

impl Bucketful {
    fn answer(&mut self, request: &Request) -> Reply {
        let signed = request.header("authorization").unwrap_or_default();
        let is_signed = signed.contains("Credential=AKIDEXAMPLE/")
            && signed.contains("/us-east-1/s3/aws4_request, SignedHeaders=")
            && signed.contains("host;x-amz-")
            && signed.contains("x-amz-content-sha256;x-amz-date");
        let Some(path) = request.path.strip_prefix("/logs").filter(|_| is_signed) else {
            return error(403, "SignatureDoesNotMatch");
        };
        let (key, query) = path.split_once('?').unwrap_or((path, ""));
        let key = key.trim_start_matches('/').to_owned();
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
        };
        let upload = value("uploadId");
        let action = match (request.method.as_str(), query, &upload) {
            ("PUT", "", _) => "put",
            ("POST", "uploads=", _) => "begin",
            ("PUT", _, Some(_)) => "part",
            ("POST", _, Some(_)) => "complete",
            ("DELETE", _, Some(_)) => "abort",
            ("HEAD", "", _) => "head",
            ("GET", _, _) if value("uploads").is_some() => "list",
            other => panic!("{other:?}"),
        };
        if let Some((_, status, code)) = self.refuses.take_if(|(refused, ..)| *refused == action) {
            return error(status, code);
        }
        let shown =
            SHOWN.iter().filter_map(|name| Some(format!("{name}: {}", request.header(name)?)));
        self.headers.entry(action.to_owned()).or_default().extend(shown);
        let reply = self.take(action, &key, upload, &value, request);
        if self.loses.take_if(|lost| *lost == action).is_some() {
            return error(500, "InternalError");
        }
        reply
    }

    fn take(
        &mut self,
        action: &str,
        key: &str,
        upload: Option<String>,
        value: &dyn Fn(&str) -> Option<String>,
        request: &Request,
    ) -> Reply {
        let upload = upload.unwrap_or_default();
        match action {
            "put" => {
                self.objects.insert(key.to_owned(), request.body.clone());
                Reply::new(200, "").with("ETag: \"whole\"")
            }
            "begin" => {
                self.count += 1;
                let name = format!("upload-{}", self.count);
                self.uploads.insert(name.clone(), (key.to_owned(), BTreeMap::new()));
                Reply::new(200, format!("<R><UploadId>{name}</UploadId></R>"))
            }
            "head" if self.objects.contains_key(key) => Reply::new(200, ""),
            "head" => Reply::new(404, ""),
            "list" => {
                let uploads = self.uploads.iter().map(|(name, (key, _))| {
                    format!("<Upload><Key>{key}</Key><UploadId>{name}</UploadId></Upload>")
                });
                Reply::new(200, format!("<R>{}</R>", uploads.collect::<String>()))
            }
            _ if !self.uploads.contains_key(&upload) => error(404, "NoSuchUpload"),
            "abort" => {
                self.uploads.remove(&upload);
                Reply::new(204, "")
            }
            "part" => {
                let number = value("partNumber").unwrap().parse().unwrap();
                let (_, parts) = self.uploads.get_mut(&upload).unwrap();
                parts.insert(number, request.body.clone());
                Reply::new(200, "").with(&format!("ETag: \"part-{number}\""))
            }
            "complete" => {
                let (key, mut parts) = self.uploads.remove(&upload).unwrap();
                let body = String::from_utf8(request.body.clone()).unwrap();
                let mut object = Vec::new();
                for part in flb_net::aws::elements(&body, "Part") {
                    let number: u32 =
                        flb_net::aws::element(part, "PartNumber").unwrap().parse().unwrap();
                    assert_eq!(
                        flb_net::aws::element(part, "ETag").unwrap(),
                        format!("\"part-{number}\"")
                    );
                    object.extend(parts.remove(&number).unwrap());
                }
                self.objects.insert(key, object);
                Reply::new(200, "<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
            }
            other => panic!("{other}"),
        }
    }
}

/// A folder, a clock and a server.
struct Place {
    folder: tempfile::TempDir,
    hand: Hand,
    bucket: Arc<Mutex<Bucketful>>,
    stub: Stub,
}

impl Place {
    fn new() -> Self {
        let bucket = Arc::new(Mutex::new(Bucketful::default()));
        let asked = Arc::clone(&bucket);
        let stub = Stub::start(move |request| asked.lock().unwrap().answer(request));
        Self { folder: tempfile::tempdir().unwrap(), hand: Hand::new(), bucket, stub }
    }

    fn agent(&self, given: &[(&str, &str)]) -> S3 {
        let endpoint = format!("http://127.0.0.1:{}", self.stub.port());
        let own = [("auto_retry_requests", "off")];
        agent(self.folder.path(), &endpoint, &self.hand, &[&own, given].concat()).unwrap()
    }

    fn bucket(&self) -> MutexGuard<'_, Bucketful> {
        self.bucket.lock().unwrap()
    }

    /// What objects hold together, in the order of their keys.
    fn text(&self) -> String {
        let bucket = self.bucket();
        String::from_utf8(bucket.objects.values().flatten().copied().collect()).unwrap()
    }

    /// What is left in the folder.
    fn left(&self) -> usize {
        let folder = self.folder.path().join("logs");
        std::fs::read_dir(folder)
            .map_or(0, |entries| entries.flatten().filter(|entry| entry.path().is_dir()).count())
    }
}

fn flush(agent: &S3, tag: &str, records: &[(u32, u32, &str)]) -> Flush {
    let records = chunk(tag, records);
    run(async { agent.flush(&records).await })
}

fn send(agent: &S3) -> Duration {
    run(async { agent.0.send_what_is_due(false).await })
}

/// The agent ends as it should.
fn end(agent: S3) {
    run(async { agent.finish().await });
}

/// Numbers as records, two MB together.
fn numbers(from: u32, count: u32) -> Vec<(u32, u32, String)> {
    let pad = "x".repeat(2_000_000 / count as usize);
    (from..from + count)
        .map(|n| (START as u32, 0, format!(r#"{{"n":{n},"pad":"{pad}"}}"#)))
        .collect()
}

fn put_numbers(agent: &S3, from: u32, count: u32) {
    let records = numbers(from, count);
    let records: Vec<_> =
        records.iter().map(|(sec, nsec, body)| (*sec, *nsec, body.as_str())).collect();
    assert!(matches!(flush(agent, "t", &records), Flush::Done));
}

/// The numbers in a text, in its order.
fn read_numbers(text: &str) -> Vec<u32> {
    text.lines()
        .map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            u32::try_from(line["n"].as_u64().unwrap()).unwrap()
        })
        .collect()
}

const PARTS: &[(&str, &str)] = &[("total_file_size", "20M")];
const AT_ONCE: &[(&str, &str)] = &[("total_file_size", "9M")];

#[test]
fn records_are_lines_as_fluent_bit_writes_them() {
    let place = Place::new();
    let records = [
        (
            1_700_000_001,
            250_000_000,
            r#"{"log":"say \"x\" é\n/","n":1.5,"m":{"a":[1,null]},"app":"shop"}"#,
        ),
        (1_700_000_002, 0, r#"{"n":5}"#),
    ];
    let agent = place.agent(&[("s3_key_format", "/fluent-bit-logs/$TAG/%Y/%m/%d/%H/%M/%S")]);
    assert!(matches!(flush(&agent, "app.one", &records), Flush::Done));
    send(&agent);
    assert!(place.bucket().objects.is_empty(), "it waits for more");
    end(agent);
    assert_eq!(
        place.text(),
        "{\"date\":\"2023-11-14T22:13:21.250000Z\",\"log\":\"say \\\"x\\\" \\u00e9\\n/\",\"n\":1.5,\"m\":{\"a\":[1,null]},\"app\":\"shop\"}\n\
         {\"date\":\"2023-11-14T22:13:22.000000Z\",\"n\":5}\n"
    );
    let key = place.bucket().objects.keys().next().unwrap().clone();
    let (key, letters) = key.split_at(key.len() - 8);
    assert_eq!(key, "fluent-bit-logs/app.one/2023/11/14/22/13/21-object");
    assert!(letters.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{letters}");
    assert_eq!(place.left(), 0);
}

#[test]
fn of_a_key_only_its_value_is_kept() {
    let place = Place::new();
    let agent = place.agent(&[("log_key", "log")]);
    let records = [(1, 0, r#"{"log":"a b"}"#), (1, 0, "{}"), (1, 0, r#"{"log":{"x":1}}"#)];
    let fate = flush(&agent, "t", &records);
    assert!(matches!(fate, Flush::Partly { left_out: 1, .. }), "{fate:?}");
    end(agent);
    assert_eq!(place.text(), "a b\n{\"x\":1}\n");
}

#[test]
fn an_object_is_complete_when_it_is_large_or_old_enough() {
    let place = Place::new();
    let agent = place.agent(&[("total_file_size", "1M"), ("upload_timeout", "60")]);
    assert!(matches!(flush(&agent, "old", &[(1, 0, r#"{"n":0}"#)]), Flush::Done));
    put_numbers(&agent, 0, 10);
    send(&agent);
    assert_eq!(read_numbers(&place.text()), (0..10).collect::<Vec<_>>());
    place.hand.pass(59);
    let wait = send(&agent);
    assert_eq!((place.bucket().objects.len(), wait), (1, Duration::from_secs(1)));
    place.hand.pass(1);
    send(&agent);
    assert_eq!((place.bucket().objects.len(), place.left()), (2, 0));
}

#[test]
fn large_objects_are_sent_in_parts_and_in_order() {
    let place = Place::new();
    let agent = place.agent(PARTS);
    for step in 0..11 {
        put_numbers(&agent, step * 10, 10);
        send(&agent);
    }
    // Three parts of six MB, and a fourth that makes it large enough.
    assert_eq!(place.bucket().objects.len(), 0);
    put_numbers(&agent, 110, 10);
    send(&agent);
    assert_eq!(read_numbers(&place.text()), (0..120).collect::<Vec<_>>());
    assert_eq!((place.bucket().uploads.len(), place.left()), (0, 0));
    let asked = place.stub.asked();
    assert_eq!(asked.iter().filter(|asked| asked.contains("partNumber=")).count(), 4);
    assert!(!asked.iter().any(|asked| asked.starts_with("GET")), "{asked:?}");
}

#[test]
fn what_objects_are_made_with_stands_in_headers() {
    let given = [
        ("content_type", "text/plain"),
        ("canned_acl", "private"),
        ("storage_class", "STANDARD_IA"),
        ("send_content_md5", "on"),
    ];
    let place = Place::new();
    let agent = place.agent(&[&given[..], &[("log_key", "a")]].concat());
    assert!(matches!(flush(&agent, "t", &[(1, 0, r#"{"a":"b"}"#)]), Flush::Done));
    end(agent);
    let told = place.bucket().headers["put"].join("; ");
    assert_eq!(
        told,
        "content-type: text/plain; content-md5: O11cNxKVUEIhIxYXPM83vg==; x-amz-acl: private; x-amz-storage-class: STANDARD_IA"
    );
    let place = Place::new();
    let agent = place.agent(&[&given[..], PARTS].concat());
    (0..4).for_each(|step| put_numbers(&agent, step * 10, 10));
    send(&agent);
    let bucket = place.bucket();
    let begun = bucket.headers["begin"].join("; ");
    assert_eq!(
        begun,
        "content-type: text/plain; x-amz-acl: private; x-amz-storage-class: STANDARD_IA"
    );
    assert!(bucket.headers["part"][0].starts_with("content-md5: "));
}

#[test]
fn objects_are_compressed_and_say_so() {
    for (compression, given) in [("gzip", &[][..]), ("gzip", PARTS)] {
        let place = Place::new();
        let agent = place.agent(&[&[("compression", compression)], given].concat());
        (0..4).for_each(|step| put_numbers(&agent, step * 10, 10));
        end(agent);
        let mut text = String::new();
        for object in place.bucket().objects.values() {
            flate2::read::MultiGzDecoder::new(&object[..]).read_to_string(&mut text).unwrap();
        }
        let mut found = read_numbers(&text);
        found.sort_unstable();
        assert_eq!(found, (0..40).collect::<Vec<_>>());
        assert_eq!(place.bucket().headers["put"][0], "content-encoding: gzip");
    }
}

#[test]
fn indices_go_on_after_a_restart() {
    let place = Place::new();
    for expected in ["t/0", "t/1"] {
        let agent = place.agent(&[("s3_key_format", "/$TAG/$INDEX")]);
        assert!(matches!(flush(&agent, "t", &[(1, 0, r#"{"n":0}"#)]), Flush::Done));
        end(agent);
        assert_eq!(place.bucket().objects.keys().last().unwrap(), expected);
    }
}

#[test]
fn an_agent_that_is_killed_leaves_its_lines_to_the_next() {
    let place = Place::new();
    let agent = place.agent(&[]);
    put_numbers(&agent, 0, 10);
    assert_eq!(place.left(), 1);
    drop(agent);
    // It was cut off within a line.
    let lines = glob(place.folder.path(), "1.lines");
    let text = std::fs::read(&lines).unwrap();
    std::fs::write(&lines, [&text[..], b"{\"n\":999,\"p"].concat()).unwrap();
    let agent = place.agent(&[]);
    send(&agent);
    put_numbers(&agent, 10, 10);
    end(agent);
    assert_eq!(read_numbers(&place.text()), (0..20).collect::<Vec<_>>());
    assert_eq!((place.bucket().objects.len(), place.left()), (1, 0));
}

fn glob(folder: &Path, name: &str) -> PathBuf {
    let objects = std::fs::read_dir(folder.join("logs")).unwrap().flatten();
    let mut files = objects.map(|entry| entry.path().join(name));
    files.find(|path| path.exists()).unwrap()
}

#[test]
fn two_agents_share_a_folder_and_neither_touches_what_is_the_other_s() {
    let place = Place::new();
    let (one, other) = (place.agent(&[]), place.agent(&[]));
    put_numbers(&one, 0, 10);
    end(other);
    assert_eq!((place.bucket().objects.len(), place.left()), (0, 1));
    end(one);
    assert_eq!((place.bucket().objects.len(), place.left()), (1, 0));
}

/// The answer to an action is lost, and then the agent is killed, or it goes on: the object is there once and whole.
#[test]
fn an_answer_that_is_lost_makes_no_record_twice() {
    for is_killed in [false, true] {
        for action in ["put", "begin", "part", "complete"] {
            let place = Place::new();
            let given = if action == "put" { AT_ONCE } else { PARTS };
            let mut agent = place.agent(given);
            place.bucket().loses = Some(action);
            for step in 0..4 {
                put_numbers(&agent, step * 10, 10);
                send(&agent);
            }
            if action == "complete" || action == "put" {
                place.hand.pass(601);
                send(&agent);
            }
            assert_eq!(place.bucket().loses, None, "{action}");
            if is_killed {
                drop(agent);
                agent = place.agent(given);
            }
            end(agent);
            let what = format!("{action}, killed: {is_killed}");
            assert_eq!(read_numbers(&place.text()), (0..40).collect::<Vec<_>>(), "{what}");
            let bucket = place.bucket();
            assert_eq!((bucket.objects.len(), bucket.uploads.len()), (1, 0), "{what}");
            drop(bucket);
            assert_eq!(place.left(), 0, "{what}");
        }
    }
}

#[test]
fn an_upload_that_somebody_else_gave_up_is_begun_again() {
    let place = Place::new();
    let agent = place.agent(PARTS);
    (0..4).for_each(|step| put_numbers(&agent, step * 10, 10));
    send(&agent);
    place.bucket().uploads.clear();
    (4..8).for_each(|step| put_numbers(&agent, step * 10, 10));
    send(&agent);
    assert_eq!(agent.0.metrics.counter_of(&FAILED, "NoSuchUpload").get(), 1);
    end(agent);
    assert_eq!(read_numbers(&place.text()), (0..80).collect::<Vec<_>>());
    assert_eq!(place.left(), 0);
}

#[test]
fn strays_that_may_not_be_looked_for_hold_nothing_up() {
    let place = Place::new();
    let agent = place.agent(PARTS);
    place.bucket().loses = Some("begin");
    (0..4).for_each(|step| put_numbers(&agent, step * 10, 10));
    send(&agent);
    place.bucket().refuses = Some(("list", 403, "AccessDenied"));
    end(agent);
    assert_eq!(read_numbers(&place.text()), (0..40).collect::<Vec<_>>());
}

#[test]
fn whatever_the_server_says_or_does_not_say_nothing_is_lost() {
    let mut place = Place::new();
    let agent = place.agent(&[("net.io_timeout", "1")]);
    assert!(matches!(flush(&agent, "t", &[(1, 0, r#"{"n":0}"#)]), Flush::Done));
    let slow =
        "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    let expired = "<Error><Code>ExpiredToken</Code><Message>It has run out</Message></Error>";
    let denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
    let mut reasons = Vec::new();
    for (fault, reason) in [
        (Fault::Instead(Reply::new(503, slow)), "SlowDown"),
        (Fault::Instead(Reply::new(429, "").with("Retry-After: 7")), "429"),
        (Fault::Instead(Reply::new(500, "oops")), "500"),
        (Fault::Instead(Reply::new(400, expired)), "ExpiredToken"),
        (Fault::Instead(Reply::new(403, denied)), "AccessDenied"),
        (Fault::Garbage, "connection"),
        (Fault::Silence, "timeout"),
    ] {
        place.stub.fail(Some(fault));
        // The last try of an agent that ends asks whatever happened before.
        run(async { agent.finish().await });
        reasons.push(reason);
        let failed = agent.0.metrics.counter_of(&FAILED, reason).get();
        let expected = reasons.iter().filter(|known| **known == reason).count();
        assert_eq!(failed as usize, expected, "{reason}");
        assert_eq!(place.left(), 1, "{reason}");
    }
    place.stub.fail(None);
    place.stub.leave();
    run(async { agent.finish().await });
    assert_eq!(place.left(), 1);
    place.stub.come_back();
    end(agent);
    assert_eq!((read_numbers(&place.text()), place.left()), (vec![0], 0));
}

#[test]
fn a_server_that_is_away_is_asked_ever_more_rarely() {
    let mut place = Place::new();
    let agent = place.agent(&[("total_file_size", "1M")]);
    put_numbers(&agent, 0, 10);
    place.stub.leave();
    let wait = send(&agent);
    assert!(wait > Duration::from_secs(4) && wait <= Duration::from_secs(5), "{wait:?}");
    let failed = |agent: &S3| agent.0.metrics.counter_of(&FAILED, "connection").get();
    send(&agent);
    assert_eq!(failed(&agent), 1, "it is not asked before its time");
    run(async { agent.finish().await });
    assert_eq!(failed(&agent), 2);
    let wait = send(&agent);
    assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10), "{wait:?}");
}

#[test]
fn what_one_object_meets_with_costs_no_other() {
    let place = Place::new();
    let agent = place.agent(&[]);
    for tag in ["one", "other"] {
        assert!(matches!(flush(&agent, tag, &[(1, 0, r#"{"n":0}"#)]), Flush::Done));
    }
    place.bucket().refuses = Some(("put", 400, "InvalidArgument"));
    run(async { agent.finish().await });
    assert_eq!((place.bucket().objects.len(), place.left()), (1, 1));
    end(agent);
    assert_eq!((place.bucket().objects.len(), place.left()), (2, 0));
}

#[test]
fn a_folder_that_is_full_takes_nothing_more_until_something_is_sent() {
    let place = Place::new();
    let agent = place.agent(&[("store_dir_limit_size", "3M")]);
    put_numbers(&agent, 0, 10);
    let records = numbers(10, 10);
    let records: Vec<_> =
        records.iter().map(|(sec, nsec, body)| (*sec, *nsec, body.as_str())).collect();
    let Flush::Retry { reason, .. } = flush(&agent, "t", &records) else { panic!() };
    assert!(reason.contains("store_dir_limit_size is reached"), "{reason}");
    place.hand.pass(601);
    send(&agent);
    assert!(matches!(flush(&agent, "t", &records), Flush::Done));
}

#[test]
fn what_cannot_be_read_stays_where_it_is() {
    let place = Place::new();
    let agent = place.agent(&[]);
    put_numbers(&agent, 0, 10);
    drop(agent);
    let about = glob(place.folder.path(), "about.json");
    std::fs::write(&about, "{").unwrap();
    let agent = place.agent(&[]);
    send(&agent);
    end(agent);
    assert_eq!((place.bucket().objects.len(), place.left()), (0, 1));
}

#[test]
fn options_of_blobs_are_taken_and_do_nothing() {
    let place = Place::new();
    let agent = place.agent(&[("part_size", "10M"), ("upload_parts_timeout", "5M")]);
    assert!(matches!(flush(&agent, "t", &[(1, 0, r#"{"n":0}"#)]), Flush::Done));
    end(agent);
    assert_eq!(read_numbers(&place.text()), [0]);
}

#[test]
fn a_wrong_configuration_is_refused() {
    for (given, words) in [
        (&[("bucket", "s3://logs")][..], "bucket 's3://logs' is no name of a bucket"),
        (&[("bucket", "../logs")], "bucket '../logs' is no name of a bucket"),
        (&[("total_file_size", "100K")], "total_file_size is 100000"),
        (&[("total_file_size", "2G"), ("use_put_object", "on")], "with use_put_object"),
        (&[("upload_chunk_size", "1M")], "upload_chunk_size is 1000000"),
        (&[("upload_chunk_size", "40M"), ("total_file_size", "50M")], "less than two of"),
        (&[("compression", "arrow")], "columns, as in parquet and arrow"),
        (&[("format", "parquet")], "columns, as in parquet and arrow"),
        (&[("format", "otlp_json")], "format otlp_json is not written here"),
        (&[("s3_key_format", "logs")], "does not begin with '/'"),
        (&[("canned_acl", "é")], "may not stand in a header"),
    ] {
        let made = agent(Path::new("x"), "http://127.0.0.1:1", &Hand::new(), given);
        let error = made.err().map(|error| error.message).unwrap_or_default();
        assert!(error.contains(words), "{given:?}: {error}");
    }
}

#[test]
fn a_real_server_checks_signatures_and_has_what_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = folder.path().join("bucket");
    std::fs::create_dir_all(bucket.join("logs")).unwrap();
    let (key, secret) = ("AKIDEXAMPLE", "very-secret-key");
    let Some(server) = s3(free_port(), &bucket, key, secret) else { return };
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    let hand = Hand::new();
    hand.0.store(Timestamp::now().as_second(), Ordering::SeqCst);
    let store = folder.path().join("store");
    for (given, name) in [
        (
            &[("s3_key_format", "/put/a b+c é&$TAG"), ("static_file_path", "on")][..],
            "put/a b+c é&t",
        ),
        (&[("s3_key_format", "/parts/x"), ("total_file_size", "20M")], "parts/x"),
    ] {
        let agent = agent(&store, &endpoint, &hand, given).unwrap();
        (0..4).for_each(|step| put_numbers(&agent, step * 10, 10));
        send(&agent);
        end(agent);
        let text = std::fs::read_to_string(bucket.join("logs").join(name)).unwrap();
        assert_eq!(read_numbers(&text), (0..40).collect::<Vec<_>>(), "{name}");
    }
    // Another secret makes signatures that this one does not take.
    let Some(other) = s3(free_port(), &bucket, key, "another-secret-key") else { return };
    let endpoint = format!("http://127.0.0.1:{}", other.port);
    let agent = agent(&store, &endpoint, &hand, &[]).unwrap();
    put_numbers(&agent, 0, 10);
    end(agent);
    assert_eq!(std::fs::read_dir(store.join("logs")).unwrap().count(), 1);
}
