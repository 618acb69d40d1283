//! Where credentials come from, and when they are asked for anew; by files, and by servers that hold to the published rules.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use flb_config::Variables;
use flb_harness::net::block_on;
use flb_testkit::imds::Instance;
use flb_testkit::stub::{Fault, Reply, Request as Asked, Stub};
use jiff::Timestamp;

use super::*;

const START: i64 = 1_796_127_697;

/// A clock that is moved by hand.
#[derive(Clone)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn new() -> Self {
        Self(Arc::new(START.into()))
    }

    fn clock(&self) -> Clock {
        let now = Arc::clone(&self.0);
        Clock::new(move || Timestamp::from_second(now.load(Ordering::SeqCst)).unwrap())
    }

    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

fn later(seconds: i64) -> String {
    Timestamp::from_second(START + seconds).unwrap().to_string()
}

fn environment(pairs: &[(&str, &str)]) -> Variables {
    let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let none = Arc::new(flb_config::Memory::default());
    Variables::new(pairs.collect::<BTreeMap<_, _>>(), None, none)
}

fn wallet(identity: Identity<'_>, pairs: &[(&str, &str)], hand: &Hand) -> Wallet {
    let identity = Identity { region: "eu-central-1", ..identity };
    let off = [("AWS_EC2_METADATA_DISABLED", "true")];
    let variables = environment(&[&off, pairs].concat());
    Wallet::new(&identity, &variables, hand.clock()).unwrap()
}

fn ask(wallet: &Wallet) -> Result<String, String> {
    let given = block_on(async { wallet.credentials().await });
    given.map(|given| given.key_id).map_err(|error| error.to_string())
}

/// An STS that lends `lent-1`, `lent-2`, .. for so many seconds from the start on.
fn sts(seconds: i64) -> Stub {
    let count = Mutex::new(0);
    Stub::start(move |request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let signed = request.header("authorization").is_some_and(|text| {
            text.starts_with("AWS4-HMAC-SHA256 Credential=own/")
                && text.contains(
                    "/eu-central-1/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date",
                )
        });
        let is_role = body.starts_with("Action=AssumeRole&") && signed;
        let is_web = body.starts_with("Action=AssumeRoleWithWebIdentity&")
            && body.ends_with("&WebIdentityToken=web%20token%2F1");
        let names_role = body.contains("&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr");
        if request.method != "POST" || !names_role || !(is_role || is_web) {
            return Reply::new(
                400,
                "<Error><Code>ValidationError</Code><Message>no</Message></Error>",
            );
        }
        let mut count = count.lock().unwrap();
        *count += 1;
        let until = later(seconds * *count);
        Reply::new(
            200,
            format!(
                "<R><Credentials><AccessKeyId>lent-{count}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
                 <SessionToken>t&amp;1</SessionToken><Expiration>{until}</Expiration></Credentials></R>"
            ),
        )
    })
}

const OWN: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "own"), ("AWS_SECRET_ACCESS_KEY", "secret")];
const ROLE: &str = "arn:aws:iam::1:role/r";

#[test]
fn the_first_source_that_has_credentials_counts() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("credentials");
    let text = "[default]\naws_access_key_id=file\naws_secret_access_key=s\n[other]\ncredential_process=cat \"$HOME/../x\"\n";
    std::fs::write(&file, text).unwrap();
    let files = [("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap())];
    let hand = Hand::new();
    let asked = |identity, pairs: &[(&str, &str)]| ask(&wallet(identity, pairs, &hand));
    assert_eq!(asked(Identity::default(), &[&OWN[..], &files].concat()).unwrap(), "own");
    assert_eq!(asked(Identity::default(), &files).unwrap(), "file");
    let named = Identity { profile: Some("none"), ..Identity::default() };
    let error = asked(named, &files).unwrap_err();
    assert_eq!(error, "no credentials: profile: 'none' has neither keys nor a credential_process");
    assert!(asked(Identity::default(), &[]).unwrap_err().contains("neither in the environment"));
}

#[test]
fn a_profile_may_name_a_program_that_prints_credentials() {
    let folder = tempfile::tempdir().unwrap();
    let (config, program) = (folder.path().join("config"), folder.path().join("printed"));
    std::fs::write(
        &config,
        format!("[profile p]\ncredential_process = cat {}\n", program.display()),
    )
    .unwrap();
    let hand = Hand::new();
    let identity = Identity { profile: Some("p"), ..Identity::default() };
    let wallet = wallet(identity, &[("AWS_CONFIG_FILE", config.to_str().unwrap())], &hand);
    assert!(ask(&wallet).unwrap_err().contains("credential_process of 'p'"));
    let print = |key: &str, until: &str| {
        let text = format!(
            r#"{{"Version":1,"AccessKeyId":"{key}","SecretAccessKey":"s","Expiration":"{until}"}}"#
        );
        std::fs::write(&program, text).unwrap();
    };
    print("one", &later(3600));
    assert_eq!(ask(&wallet).unwrap(), "one");
    print("two", &later(7200));
    assert_eq!(ask(&wallet).unwrap(), "one");
    hand.pass(3600 - 299);
    assert_eq!(ask(&wallet).unwrap(), "two");
}

#[test]
fn a_role_is_assumed_and_assumed_again_before_it_ends() {
    let (stub, hand) = (sts(900), Hand::new());
    let server = format!("http://127.0.0.1:{}", stub.port());
    let identity = Identity {
        role_arn: Some(ROLE),
        external_id: Some("a b"),
        sts_endpoint: Some(&server),
        ..Identity::default()
    };
    let wallet = wallet(identity, &OWN, &hand);
    assert_eq!(ask(&wallet).unwrap(), "lent-1");
    hand.pass(599);
    assert_eq!(ask(&wallet).unwrap(), "lent-1");
    hand.pass(2);
    assert_eq!(ask(&wallet).unwrap(), "lent-2");
    let bodies: Vec<String> = stub
        .requests()
        .iter()
        .map(|asked| String::from_utf8_lossy(&asked.body).into_owned())
        .collect();
    assert_eq!(bodies.len(), 2);
    assert!(bodies[0].ends_with("&ExternalId=a%20b"), "{}", bodies[0]);
    assert!(bodies[0].contains("&RoleSessionName=flb-agent-"), "{}", bodies[0]);
}

#[test]
fn what_there_is_serves_until_it_ends_while_nobody_gives_more() {
    let (stub, hand) = (sts(900), Hand::new());
    let server = format!("http://127.0.0.1:{}", stub.port());
    let identity =
        Identity { role_arn: Some(ROLE), sts_endpoint: Some(&server), ..Identity::default() };
    let wallet = wallet(identity, &OWN, &hand);
    assert_eq!(ask(&wallet).unwrap(), "lent-1");
    let busy = Reply::new(503, "<Error><Code>Throttling</Code><Message>slow</Message></Error>");
    stub.fail(Some(Fault::Instead(busy)));
    hand.pass(700);
    for _ in 0..3 {
        assert_eq!(ask(&wallet).unwrap(), "lent-1");
    }
    assert_eq!(stub.asked().len(), 2, "it is not asked at each request");
    hand.pass(31);
    assert_eq!(ask(&wallet).unwrap(), "lent-1");
    assert_eq!(stub.asked().len(), 3);
    hand.pass(200);
    let error = ask(&wallet).unwrap_err();
    assert!(error.contains("role_arn: 127.0.0.1"), "{error}");
    assert!(error.ends_with("HTTP status=503 Throttling: slow"), "{error}");
    stub.fail(None);
    assert_eq!(ask(&wallet).unwrap(), "lent-2");
}

#[test]
fn what_a_service_knows_no_longer_is_asked_for_anew_at_once() {
    let (stub, hand) = (sts(9000), Hand::new());
    let server = format!("http://127.0.0.1:{}", stub.port());
    let identity =
        Identity { role_arn: Some(ROLE), sts_endpoint: Some(&server), ..Identity::default() };
    let wallet = wallet(identity, &OWN, &hand);
    assert_eq!(ask(&wallet).unwrap(), "lent-1");
    block_on(async { wallet.renew().await });
    assert_eq!(ask(&wallet).unwrap(), "lent-2");
}

#[test]
fn a_web_identity_is_exchanged_and_nobody_else_stands_in_for_it() {
    let (stub, hand) = (sts(900), Hand::new());
    let server = format!("http://127.0.0.1:{}", stub.port());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let pairs = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap()),
        ("AWS_ROLE_ARN", ROLE),
        ("AWS_ROLE_SESSION_NAME", "me"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/x"),
    ];
    let identity = Identity { sts_endpoint: Some(&server), ..Identity::default() };
    let wallet = wallet(identity, &pairs, &hand);
    let error = ask(&wallet).unwrap_err();
    assert!(error.contains("web identity: ") && error.ends_with(": it is not there"), "{error}");
    std::fs::write(&file, "web token/1\n").unwrap();
    assert_eq!(ask(&wallet).unwrap(), "lent-1");
    let body = String::from_utf8_lossy(&stub.requests()[0].body).into_owned();
    assert!(body.contains("&RoleSessionName=me&"), "{body}");
}

#[test]
fn a_container_shows_its_token_which_may_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let stub = Stub::start(|request: &Asked| match request.header("authorization") {
        Some(token) if request.path == "/v1/credentials" => Reply::new(
            200,
            format!(
                r#"{{"AccessKeyId":"{token}","SecretAccessKey":"s","Token":"t","Expiration":"2000-01-01T00:00:00Z"}}"#
            ),
        ),
        _ => Reply::new(403, r#"{"code":"AccessDenied","message":"who?"}"#),
    });
    let uri = format!("http://127.0.0.1:{}/v1/credentials", stub.port());
    let pairs = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().unwrap()),
    ];
    let wallet = wallet(Identity::default(), &pairs, &Hand::new());
    for token in ["one", "two"] {
        std::fs::write(&file, format!("{token}\n")).unwrap();
        assert_eq!(ask(&wallet).unwrap(), token);
    }
}

#[test]
fn credentials_do_not_come_from_anywhere() {
    for (name, uri) in [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/x"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1@example.com/x"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "nowhere"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", ".example.com/x"),
    ] {
        let identity = Identity { region: "r", ..Identity::default() };
        let made = Wallet::new(&identity, &environment(&[(name, uri)]), Clock::system());
        let error = made.err().unwrap().message;
        assert!(error.contains("no address that gives credentials"), "{uri}: {error}");
    }
}

#[test]
fn an_instance_s_role_gives_credentials_to_who_shows_a_token() {
    let path = "/latest/meta-data/iam/security-credentials/";
    let instance = Instance::new(true, &[]);
    let stub = instance.serve();
    let server = format!("http://127.0.0.1:{}", stub.port());
    let pairs = [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", server.as_str()),
        ("AWS_EC2_METADATA_DISABLED", "no"),
    ];
    let wallet = wallet(Identity::default(), &pairs, &Hand::new());
    assert!(ask(&wallet).unwrap_err().contains("neither in the environment"));
    instance.put(path, "my-role");
    instance.put(
        &format!("{path}my-role"),
        r#"{"Code":"Success","AccessKeyId":"instance","SecretAccessKey":"s","Token":"t","Expiration":"2099-01-01T00:00:00Z"}"#,
    );
    assert_eq!(ask(&wallet).unwrap(), "instance");
    instance.put(path, "../../x");
}

#[test]
fn nobody_reads_a_secret_in_what_is_shown() {
    let variables = environment(&OWN);
    let identity = Identity { region: "r", ..Identity::default() };
    let wallet = Wallet::new(&identity, &variables, Clock::system()).unwrap();
    let held = block_on(async { wallet.credentials().await }).unwrap();
    assert!(!format!("{held:?}").contains("secret"));
    let signer = Signer::new(wallet, "r", "s3", Clock::system());
    let request = Request { method: "GET", path: "/", headers: &[("host", "h")], body: b"" };
    let headers = block_on(async { signer.sign(&request).await }).unwrap();
    assert!(headers.contains_key("authorization"));
    assert!(!format!("{headers:?}").contains("Signature"), "{headers:?}");
}

#[test]
fn inputs_that_were_interesting_once_are_read() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/aws");
    flb_testkit::replay(&corpus, oracle::check);
}
