//! The filter against a stand-in for the API, which goes wrong in every way.

use std::io::Write as _;
use std::time::{Duration, Instant};

use flb_harness::net::Identity;
use flb_harness::{NOW, bodies, build_with, chunk, options};
use flb_plugin::Service;
use flb_testkit::kubernetes::{Cluster as World, pod, pod_with};
use flb_testkit::stub::{Fault, Reply};

use super::*;

const TOKEN: &str = "sesame";
const ID: &str = "0a1b2c3d4e5f0a1b0a1b2c3d4e5f0a1b0a1b2c3d4e5f0a1b0a1b2c3d4e5f0a1b";

/// Longer than a good server takes, and short enough to wait for a bad one.
const SHORT: Duration = Duration::from_millis(300);

fn tag(pod: &str) -> String {
    format!("kube.var.log.containers.{pod}_shop_nginx-{ID}.log")
}

/// A file with this token.
fn token_file(token: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "{token}").unwrap();
    file
}

/// A filter that asks a server, at a time of its own.
struct Scene {
    filter: Box<dyn Filter>,
    now: Timestamp,
    metrics: flb_plugin::Metrics,
    _token: tempfile::NamedTempFile,
}

impl Scene {
    fn new(port: u16, given: &[(&str, &str)]) -> Self {
        Self::at(&format!("http://127.0.0.1:{port}"), Duration::from_secs(30), given)
    }

    fn at(url: &str, patience: Duration, given: &[(&str, &str)]) -> Self {
        let token = token_file(TOKEN);
        let path = token.path().to_str().unwrap().to_owned();
        let usual = [("kube_url", url), ("kube_token_file", path.as_str())];
        let usual = usual.iter().filter(|(key, _)| given.iter().all(|(other, _)| other != key));
        let given: Vec<(&str, &str)> = usual.chain(given).copied().collect();
        let mut parsers = flb_parsers::builtin_parsers();
        let logfmt = flb_parsers::ALL.iter().find(|spec| spec.name == "logfmt").unwrap();
        parsers.insert("logfmt", flb_harness::build(logfmt, &[]).unwrap().into());
        let (filter, metrics) = build_with(&options(SPEC.options, &given), |options, build| {
            let build = Build { parsers: &parsers, ..*build };
            (build_patient(options, &build, patience).unwrap(), build.metrics.clone())
        });
        Self { filter, now: NOW, metrics, _token: token }
    }

    fn later(&mut self, seconds: u32) {
        self.now.sec += seconds;
    }

    fn given(&mut self, tag: &str, records: &[&str]) -> String {
        let records: Vec<(u32, u32, &str)> = records.iter().map(|record| (1, 0, *record)).collect();
        let mut outlet = Outlet::new(self.now);
        self.filter.filter(chunk(tag, &records), &mut outlet);
        assert_eq!(outlet.tally().records(), records.len() as u64);
        bodies(outlet.passed()).join("\n")
    }

    /// What a record of a pod gets.
    fn of(&mut self, pod: &str) -> String {
        self.given(&tag(pod), &["{}"])
    }

    /// Waits until a record of the pod gets what the API says.
    fn until_known(&mut self, pod: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !self.of(pod).contains("pod_id") {
            assert!(Instant::now() < deadline, "it never comes");
            self.later(31);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn failed(&self, reason: &str) -> u64 {
        self.metrics.counter_of(&cluster::FAILED, reason).get()
    }
}

/// What a record gets of a pod that is known.
fn whole(pod: &str, labels: &str) -> String {
    format!(
        r#"{{"kubernetes":{{"pod_name":"{pod}","namespace_name":"shop","pod_id":"6d1e2042-8013-449c-aa93-e7238391c45f","labels":{labels},"annotations":{{"team":"pay"}},"host":"node-1","pod_ip":"10.1.2.3","container_name":"nginx","docker_id":"{ID}","container_hash":"docker.io/library/nginx@sha256:9f86d081884c7d65","container_image":"docker.io/library/nginx:1.27"}}}}"#
    )
}

/// What it gets of one that is not.
fn bare(pod: &str) -> String {
    format!(
        r#"{{"kubernetes":{{"pod_name":"{pod}","namespace_name":"shop","container_name":"nginx","docker_id":"{ID}"}}}}"#
    )
}

fn world() -> World {
    let world = World::new(TOKEN);
    world.put_pod("shop", "web", &pod("shop", "web", r#"{"app":"web"}"#));
    world.put_pod("shop", "api", &pod("shop", "api", r#"{"app":"api"}"#));
    world
}

#[test]
fn a_record_gets_what_the_api_knows_of_its_pod_and_that_is_asked_once() {
    let server = world().api_server();
    let mut scene = Scene::new(server.port(), &[]);
    for _ in 0..3 {
        assert_eq!(scene.of("web"), whole("web", r#"{"app":"web"}"#));
        scene.later(100_000);
    }
    assert_eq!(
        scene.given(&tag("api"), &[r#"{"log":"x"}"#]),
        whole("api", r#"{"app":"api"}"#).replacen('{', r#"{"log":"x","#, 1)
    );
    assert_eq!(
        server.asked(),
        ["GET /api/v1/namespaces/shop/pods/web", "GET /api/v1/namespaces/shop/pods/api"]
    );
}

#[test]
fn what_is_not_wanted_is_left_out_and_what_is_may_be_added() {
    let server = world().api_server();
    let mut scene = Scene::new(
        server.port(),
        &[("labels", "off"), ("annotations", "off"), ("owner_references", "on")],
    );
    let found = scene.of("web");
    assert!(!found.contains("labels") && !found.contains("annotations"), "{found}");
    assert!(found.contains(r#""ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"web","uid":"1"}],"host""#), "{found}");
}

#[test]
fn the_namespace_is_asked_for_when_it_is_wanted() {
    let world = world();
    world.put_namespace("shop", r#"{"kind":"Namespace","metadata":{"name":"shop","labels":{"env":"prod"},"annotations":{"a":"b"}},"status":{"phase":"Active"}}"#);
    let server = world.api_server();
    let wanted = [
        ("namespace_labels", "on"),
        ("namespace_metadata_only", "on"),
        ("kube_meta_namespace_cache_ttl", "15m"),
    ];
    let mut scene = Scene::new(server.port(), &wanted);
    let expected = r#"{"kubernetes_namespace":{"name":"shop","labels":{"env":"prod"}}}"#;
    assert_eq!(scene.of("web"), expected);
    assert_eq!(scene.of("api"), expected);
    assert_eq!(server.asked(), ["GET /api/v1/namespaces/shop"]);
    scene.later(900);
    assert_eq!(scene.of("api"), expected);
    assert_eq!(server.asked().len(), 2);
    let both = [("namespace_labels", "on"), ("namespace_annotations", "on")];
    let found = Scene::new(server.port(), &both).of("web");
    assert!(found.ends_with(r#""kubernetes_namespace":{"name":"shop","labels":{"env":"prod"},"annotations":{"a":"b"}}}"#), "{found}");
}

#[test]
fn a_kubelet_tells_all_pods_at_once() {
    let (world, identity) = (World::new(TOKEN), Identity::new());
    world.put_many(250);
    let server = world.kubelet();
    let port = identity.front(server.port()).to_string();
    let given = [
        ("use_kubelet", "on"),
        ("kubelet_port", port.as_str()),
        ("buffer_size", "0"),
        ("kube_ca_file", identity.certificate()),
    ];
    let mut scene = Scene::at("https://127.0.0.1:1", Duration::from_secs(30), &given);
    for number in 0..250 {
        let pod = format!("web-{number}");
        assert_eq!(scene.of(&pod), whole(&pod, &format!(r#"{{"app":"web","number":"{number}"}}"#)));
    }
    assert_eq!(server.asked(), ["GET /pods"]);
    assert_eq!(scene.of("other"), bare("other"));
    assert_eq!(scene.of("other"), bare("other"));
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn what_amazon_s_container_insights_writes_works() {
    let (server, identity) = (world().kubelet(), Identity::new());
    let port = identity.front(server.port()).to_string();
    let given = [
        ("kube_tag_prefix", "application.var.log.containers."),
        ("merge_log", "On"),
        ("merge_log_key", "log_processed"),
        ("k8s-logging.parser", "On"),
        ("k8s-logging.exclude", "Off"),
        ("labels", "Off"),
        ("annotations", "Off"),
        ("use_kubelet", "On"),
        ("kubelet_port", port.as_str()),
        ("buffer_size", "0"),
        ("kube_ca_file", identity.certificate()),
    ];
    let url = "https://kubernetes.default.svc:443";
    let mut scene = Scene::at(url, Duration::from_secs(30), &given);
    let tag = tag("web").replacen("kube.", "application.", 1);
    let found = scene.given(&tag, &[r#"{"log":"{\"a\":1}","stream":"stdout"}"#]);
    let pod = whole("web", "{}").replace(r#""labels":{},"annotations":{"team":"pay"},"#, "");
    let before = r#"{"log":"{\"a\":1}","stream":"stdout","log_processed":{"a":1},"#;
    assert_eq!(found, pod.replacen('{', before, 1));
}

#[test]
fn two_thousand_pods_are_known_at_once() {
    let world = World::new(TOKEN);
    world.put_many(2000);
    let server = world.api_server();
    let mut scene = Scene::new(server.port(), &[]);
    for _ in 0..2 {
        for number in 0..2000 {
            assert!(scene.of(&format!("web-{number}")).contains("pod_id"), "{number}");
        }
    }
    assert_eq!(server.asked().len(), 2000);
}

#[test]
fn the_server_s_certificate_must_be_of_those_that_are_trusted() {
    let (server, identity, other) = (world().api_server(), Identity::new(), Identity::new());
    let port = identity.front(server.port());
    let asked = |host: &str, given: &[(&str, &str)]| {
        let url = format!("https://{host}:{port}");
        Scene::at(&url, Duration::from_secs(30), given).of("web").contains("pod_id")
    };
    let (trusted, strange) =
        (("kube_ca_file", identity.certificate()), ("kube_ca_file", other.certificate()));
    assert!(asked("localhost", &[trusted]));
    assert!(asked("127.0.0.1", &[trusted]));
    assert!(!asked("127.0.0.1", &[trusted, ("tls.verify_hostname", "on")]));
    assert!(asked(
        "127.0.0.1",
        &[trusted, ("tls.verify_hostname", "on"), ("tls.vhost", "localhost")]
    ));
    assert!(!asked("localhost", &[strange]));
    assert!(asked("localhost", &[strange, ("tls.verify", "off")]));
    assert!(!asked("localhost", &[("kube_ca_file", "/no/such/file")]));
}

#[test]
fn authorities_that_come_later_are_read_then() {
    let (server, identity) = (world().api_server(), Identity::new());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.crt");
    let url = format!("https://localhost:{}", identity.front(server.port()));
    let mut scene = Scene::at(&url, SHORT, &[("kube_ca_file", path.to_str().unwrap())]);
    assert_eq!(scene.of("web"), bare("web"));
    std::fs::copy(identity.certificate(), &path).unwrap();
    scene.until_known("web");
}

#[test]
fn a_token_is_read_again_when_it_is_old_or_refused() {
    let (world, path) = (world(), token_file("first"));
    world.take_token("first");
    let server = world.api_server();
    let given = [
        ("kube_token_file", path.path().to_str().unwrap()),
        ("kube_meta_cache_ttl", "60"),
        ("kube_token_ttl", "100"),
    ];
    let mut scene = Scene::new(server.port(), &given);
    assert_eq!(scene.of("web"), whole("web", r#"{"app":"web"}"#));
    // Refused, and asked again with the new one.
    world.take_token("second");
    std::fs::write(path.path(), "second\n").unwrap();
    scene.later(60);
    assert_eq!(scene.of("api"), whole("api", r#"{"app":"api"}"#));
    assert_eq!(server.asked().len(), 3);
    // Old, so that nothing is refused.
    world.take_token("third");
    std::fs::write(path.path(), "third\n").unwrap();
    scene.later(101);
    assert_eq!(scene.of("web"), whole("web", r#"{"app":"web"}"#));
    assert_eq!(server.asked().len(), 4);
    assert_eq!(scene.failed("denied"), 0);
}

#[test]
fn a_token_that_is_refused_for_good_is_told_and_records_pass() {
    let world = world();
    world.take_token("another");
    let server = world.api_server();
    let mut scene = Scene::new(server.port(), &[]);
    assert_eq!(scene.of("web"), bare("web"));
    assert_eq!(scene.of("api"), bare("api"));
    assert_eq!((server.asked().len(), scene.failed("denied")), (1, 1));
    world.take_token(TOKEN);
    scene.until_known("api");
}

#[test]
fn a_command_may_print_the_token() {
    let server = world().api_server();
    let command = format!("echo {TOKEN}");
    let mut scene = Scene::new(server.port(), &[("kube_token_command", &command)]);
    assert_eq!(scene.of("web"), whole("web", r#"{"app":"web"}"#));
    let mut scene = Scene::new(server.port(), &[("kube_token_command", "exit 1")]);
    assert_eq!(scene.of("web"), bare("web"));
}

/// A server that goes wrong and is well again: no record waits for it twice, and no record is lost.
fn check_fault(fault: Fault, reason: &str) {
    let server = world().api_server();
    let mut scene = Scene::at(&format!("http://127.0.0.1:{}", server.port()), SHORT, &[]);
    server.fail(Some(fault));
    let start = Instant::now();
    for number in 0..200 {
        let pod = if number % 2 == 0 { "web" } else { "api" };
        assert_eq!(scene.of(pod), bare(pod), "{reason}");
    }
    assert!(start.elapsed() < 10 * SHORT, "{reason}: {:?}", start.elapsed());
    assert!(server.asked().len() <= 2, "{reason}: {:?}", server.asked());
    server.fail(None);
    scene.later(60);
    scene.until_known("web");
    scene.until_known("api");
    assert!(scene.failed(reason) > 0, "{reason}");
}

#[test]
fn a_server_that_goes_wrong_holds_nobody_up_and_is_asked_again() {
    let instead = |status, body: &str| Fault::Instead(Reply::new(status, body));
    check_fault(instead(500, "oops"), "status");
    check_fault(Fault::Instead(Reply::new(429, "").with("Retry-After: 20")), "too_many_requests");
    check_fault(
        Fault::Instead(Reply::new(302, "").with("Location: http://127.0.0.1:1/")),
        "status",
    );
    check_fault(instead(403, r#"{"kind":"Status","message":"pods is forbidden"}"#), "denied");
    check_fault(Fault::Garbage, "connection");
    check_fault(Fault::Half, "connection");
    check_fault(Fault::Trickle(Duration::from_millis(5)), "timeout");
    check_fault(Fault::Silence, "timeout");
}

#[test]
fn a_server_that_lies_is_not_believed() {
    let instead = |body: &str| Fault::Instead(Reply::new(200, body));
    check_fault(instead(&pod("shop", "another", "{}")), "answer");
    check_fault(instead(&pod("pay", "web", "{}")), "answer");
    check_fault(instead("[]"), "answer");
    check_fault(instead("<html>"), "answer");
    check_fault(instead("{}"), "answer");
    check_fault(instead(&"[".repeat(30_000)), "answer");
    check_fault(instead(&" ".repeat(40_000)), "too_large");
}

#[test]
fn a_server_asks_for_patience_and_gets_it() {
    let server = world().api_server();
    let mut scene = Scene::new(server.port(), &[]);
    server.fail(Some(Fault::Instead(Reply::new(429, "").with("Retry-After: 100"))));
    assert_eq!(scene.of("web"), bare("web"));
    server.fail(None);
    scene.later(99);
    assert_eq!(scene.of("web"), bare("web"));
    assert_eq!(server.asked().len(), 1);
    scene.later(1);
    scene.until_known("web");
}

#[test]
fn a_server_may_be_away_for_a_minute() {
    let mut server = world().api_server();
    let mut scene = Scene::at(
        &format!("http://127.0.0.1:{}", server.port()),
        SHORT,
        &[("kube_meta_cache_ttl", "20")],
    );
    assert_eq!(scene.of("web"), whole("web", r#"{"app":"web"}"#));
    server.leave();
    let start = Instant::now();
    for _ in 0..60 {
        scene.later(1);
        // What is known stays so, however old it is.
        assert_eq!(scene.of("web"), whole("web", r#"{"app":"web"}"#));
        assert_eq!(scene.of("api"), bare("api"));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(start.elapsed() < 10 * SHORT, "{:?}", start.elapsed());
    assert!((1..=20).contains(&scene.failed("connection")), "{}", scene.failed("connection"));
    server.come_back();
    scene.until_known("api");
}

#[test]
fn a_pod_that_is_not_there_is_asked_for_again_after_a_while() {
    let world = World::new(TOKEN);
    let server = world.api_server();
    let mut scene = Scene::new(server.port(), &[]);
    for _ in 0..9 {
        assert_eq!(scene.of("web"), bare("web"));
        scene.later(1);
    }
    assert_eq!(server.asked().len(), 1);
    world.put_pod("shop", "web", &pod("shop", "web", "{}"));
    scene.later(1);
    assert_eq!(scene.of("web"), whole("web", "{}"));
}

#[test]
fn a_pod_is_asked_for_again_when_a_container_is_another_one() {
    let world = World::new(TOKEN);
    let other = "f".repeat(64);
    world.put_pod("shop", "web", &pod("shop", "web", "{}").replace(ID, &other));
    let server = world.api_server();
    let mut scene = Scene::new(server.port(), &[("cache_use_docker_id", "on")]);
    assert!(scene.of("web").contains("pod_id"));
    world.put_pod("shop", "web", &pod("shop", "web", r#"{"new":"yes"}"#));
    scene.later(10);
    assert_eq!(scene.of("web"), whole("web", r#"{"new":"yes"}"#));
    scene.later(10);
    assert_eq!(scene.of("web"), whole("web", r#"{"new":"yes"}"#));
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn labels_may_be_anything_and_large() {
    let world = World::new(TOKEN);
    let large = format!(r#"{{"a":1,"b":null,"c":{{"d":[true]}},"e":"{}"}}"#, "x".repeat(20_000));
    for labels in ["7", "null", r#"["x"]"#, r#""text""#, large.as_str()] {
        world.put_pod("shop", "web", &pod("shop", "web", labels));
        let server = world.api_server();
        assert_eq!(Scene::new(server.port(), &[]).of("web"), whole("web", labels));
    }
    world.put_pod("shop", "web", &pod("shop", "web", &large.replace('x', "xx")));
    let server = world.api_server();
    assert_eq!(Scene::new(server.port(), &[]).of("web"), bare("web"));
    assert_eq!(
        Scene::new(server.port(), &[("buffer_size", "0")]).of("web").len(),
        40_000 + whole("web", r#"{"a":1,"b":null,"c":{"d":[true]},"e":""}"#).len()
    );
}

#[test]
fn a_tag_may_be_all_that_is_known() {
    let given = [("use_tag_for_meta", "on")];
    let mut scene = Scene::at("http://127.0.0.1:1", SHORT, &given);
    assert_eq!(scene.of("web"), bare("web"));
    for tag in ["kube.var.log.containers.", "kube", "kube.var.log.containers.web.log"] {
        assert_eq!(scene.given(tag, &[r#"{"log":"{}"}"#]), r#"{"log":"{}"}"#);
    }
    let parser =
        [("use_tag_for_meta", "on"), ("kube_tag_prefix", "app."), ("regex_parser", "logfmt")];
    let mut scene = Scene::at("http://127.0.0.1:1", SHORT, &parser);
    let found = scene.given("app.pod_name=web namespace_name=shop other=x", &["{}"]);
    assert_eq!(found, r#"{"kubernetes":{"pod_name":"web","namespace_name":"shop"}}"#);
}

#[test]
fn a_journal_names_the_container_of_each_record() {
    let server = world().api_server();
    let mut scene = Scene::new(
        server.port(),
        &[("use_journal", "on"), ("labels", "off"), ("annotations", "off")],
    );
    let records = [
        r#"{"CONTAINER_NAME":"k8s_nginx.b1_web_shop_1_0","MESSAGE":"a"}"#,
        r#"{"CONTAINER_NAME":"k8s_side_api_shop_1_0","MESSAGE":"b"}"#,
        r#"{"CONTAINER_NAME":"docker","MESSAGE":"c"}"#,
        r#"{"MESSAGE":"d"}"#,
    ];
    let pod =
        r#""pod_id":"6d1e2042-8013-449c-aa93-e7238391c45f","host":"node-1","pod_ip":"10.1.2.3""#;
    let expected = [
        format!(
            r#"{{"CONTAINER_NAME":"k8s_nginx.b1_web_shop_1_0","MESSAGE":"a","kubernetes":{{"pod_name":"web","namespace_name":"shop",{pod},"container_name":"nginx","docker_id":"{ID}","container_hash":"b1","container_image":"docker.io/library/nginx:1.27"}}}}"#
        ),
        format!(
            r#"{{"CONTAINER_NAME":"k8s_side_api_shop_1_0","MESSAGE":"b","kubernetes":{{"pod_name":"api","namespace_name":"shop",{pod},"container_name":"side"}}}}"#
        ),
        records[2].to_owned(),
        records[3].to_owned(),
    ];
    assert_eq!(scene.given("journal", &records), expected.join("\n"));
}

#[test]
fn files_may_stand_in_for_the_api() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("shop_web.meta"), pod("elsewhere", "other", "{}")).unwrap();
    let list = format!(r#"{{"items":[{},{}]}}"#, pod("shop", "api", "{}"), pod("shop", "db", "{}"));
    std::fs::write(folder.path().join("shop_api.meta"), list).unwrap();
    std::fs::write(
        folder.path().join("shop.namespace_meta"),
        r#"{"metadata":{"name":"shop","labels":{"a":"b"}}}"#,
    )
    .unwrap();
    let given = [("kube_meta_preload_cache_dir", folder.path().to_str().unwrap())];
    let mut scene = Scene::at("http://127.0.0.1:1", Duration::from_secs(30), &given);
    assert_eq!(scene.of("web"), whole("web", "{}"));
    assert_eq!(scene.of("api"), whole("api", "{}"));
    let with = [given[0], ("namespace_labels", "on"), ("namespace_metadata_only", "on")];
    let mut scene = Scene::at("http://127.0.0.1:1", Duration::from_secs(30), &with);
    assert_eq!(scene.of("web"), r#"{"kubernetes_namespace":{"name":"shop","labels":{"a":"b"}}}"#);
}

#[test]
fn an_example_needs_no_cluster() {
    let mut scene = Scene::at("http://127.0.0.1:1", SHORT, &[("dummy_meta", "on")]);
    assert_eq!(scene.given("any", &["{}"]), r#"{"kubernetes":{"dummy":"1700000000"}}"#);
}

#[test]
fn the_agent_s_own_pod_is_asked_for_at_the_start() {
    let world = world();
    let server = world.api_server();
    let (token, namespace) = (token_file(TOKEN), token_file("shop"));
    let url = format!("http://127.0.0.1:{}", server.port());
    let given = [
        ("kube_url", url.as_str()),
        ("kube_token_file", token.path().to_str().unwrap()),
        ("kube_namespace_file", namespace.path().to_str().unwrap()),
    ];
    let mut service = Service::default();
    service.variables.set("HOSTNAME", "web");
    let dry = Service { dry_run: true, ..service.clone() };
    let options = options(SPEC.options, &given);
    let built = |service: &Service| flb_harness::build_in(service, &options, build).unwrap();
    drop(built(&dry));
    let _filter = built(&service);
    let deadline = Instant::now() + Duration::from_secs(30);
    while server.asked().is_empty() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(server.asked(), ["GET /api/v1/namespaces/shop/pods/web"]);
}

#[test]
fn lanes_share_what_is_known() {
    let server = world().api_server();
    let mut scene = Scene::new(server.port(), &[]);
    scene.of("web");
    scene.filter = scene.filter.fork().unwrap();
    assert_eq!(scene.of("web"), whole("web", r#"{"app":"web"}"#));
    assert_eq!(server.asked().len(), 1);
}

/// What a text under `log` becomes.
fn merged(given: &[(&str, &str)], record: &str) -> String {
    let given = [&[("use_tag_for_meta", "on"), ("merge_log", "on")], given].concat();
    let found = Scene::at("http://127.0.0.1:1", SHORT, &given).given(&tag("web"), &[record]);
    let (before, _) = found.split_once(r#""kubernetes":"#).unwrap();
    format!("{}}}", before.trim_end_matches(','))
}

#[test]
fn the_text_under_log_is_taken_apart() {
    let record = r#"{"a":1,"log":"{\"b\":2,\"c\":{\"d\":\"x\\n\"}}\n","e":3}"#;
    let log = r#""log":"{\"b\":2,\"c\":{\"d\":\"x\\n\"}}\n","#;
    let found = r#""b":2,"c":{"d":"x\n"}"#;
    assert_eq!(merged(&[], record), format!(r#"{{"a":1,{log}"e":3,{found}}}"#));
    assert_eq!(merged(&[("keep_log", "off")], record), format!(r#"{{"a":1,"e":3,{found}}}"#));
    let under = [("keep_log", "off"), ("merge_log_key", "log_processed")];
    assert_eq!(merged(&under, record), format!(r#"{{"a":1,"e":3,"log_processed":{{{found}}}}}"#));
    assert_eq!(merged(&under, r#"{"log":"{}"}"#), "{}");
}

#[test]
fn a_map_under_log_is_lifted() {
    let record = r#"{"log":{"b":"x\n"},"e":3}"#;
    assert_eq!(merged(&[("keep_log", "off")], record), r#"{"e":3,"b":"x\n"}"#);
    assert_eq!(merged(&[], record), r#"{"log":{"b":"x\n"},"e":3,"b":"x\n"}"#);
    assert_eq!(
        merged(&[("merge_log_key", "m"), ("keep_log", "off")], record),
        r#"{"e":3,"m":{"b":"x\n"}}"#
    );
}

#[test]
fn what_cannot_be_taken_apart_stays() {
    for log in [
        r#""text""#,
        r#""[1]""#,
        r#""7""#,
        r#""{\"a\":1}{\"b\":2}""#,
        r#""{\"a\":1""#,
        r#""""#,
        "7",
        "null",
        "[1]",
    ] {
        let record = format!(r#"{{"log":{log},"e":3}}"#);
        assert_eq!(merged(&[("keep_log", "off")], &record), record);
    }
    assert_eq!(merged(&[("keep_log", "off")], r#"{"log":" {\"a\":1} junk"}"#), r#"{"a":1}"#);
    assert_eq!(merged(&[], r#"{"message":"{\"a\":1}"}"#), r#"{"message":"{\"a\":1}"}"#);
}

#[test]
fn newlines_at_the_ends_of_texts_are_cut_off() {
    for (text, expected) in [
        (r"x\n", "x"),
        (r"x\n\n", "x"),
        (r"x\\n\\r\n", "x"),
        (r"x\r\n", r"x\r"),
        (r"\n", r"\n"),
        (r"x\\", r"x\\"),
        ("", ""),
    ] {
        let log = format!(r#"{{"a":"{text}","b":1}}"#).replace('\\', r"\\").replace('"', "\\\"");
        let record = format!(r#"{{"log":"{log}"}}"#);
        let found = merged(&[("keep_log", "off")], &record);
        assert_eq!(found, format!(r#"{{"a":"{expected}","b":1}}"#), "{text}");
        let kept = merged(&[("keep_log", "off"), ("merge_log_trim", "off")], &record);
        assert_eq!(kept, format!(r#"{{"a":"{text}","b":1}}"#));
    }
}

#[test]
fn another_parser_may_take_it_apart() {
    let given = [("merge_parser", "logfmt"), ("keep_log", "off")];
    assert_eq!(merged(&given, r#"{"log":"a=1 b=x"}"#), r#"{"a":"1","b":"x"}"#);
}

/// What becomes of a record of each stream, and of one without, for a pod with these annotations.
fn wished(annotations: &str, given: &[(&str, &str)]) -> String {
    let world = World::new(TOKEN);
    world.put_pod(
        "shop",
        "web",
        &pod_with("shop", "web", &format!(r#""annotations":{annotations}"#)),
    );
    let server = world.api_server();
    let given = [&[("merge_log", "on"), ("keep_log", "off")], given].concat();
    let mut scene = Scene::new(server.port(), &given);
    let mut fates = Vec::new();
    for stream in [r#""stream":"stdout","#, r#""stream":"stderr","#, ""] {
        let found = scene.given(&tag("web"), &[&format!(r#"{{{stream}"log":"a=1"}}"#)]);
        let fate = if found.is_empty() {
            "gone"
        } else if found.contains(r#""log":"a=1""#) {
            "kept"
        } else {
            "parsed"
        };
        fates.push(fate);
    }
    fates.join(" ")
}

const GRANTED: &[(&str, &str)] = &[("k8s-logging.parser", "on"), ("k8s-logging.exclude", "on")];

#[test]
fn a_pod_names_a_parser_for_its_streams() {
    for (annotations, expected) in [
        (r#"{"fluentbit.io/parser":"logfmt"}"#, "parsed parsed parsed"),
        (r#"{"fluentbit.io/parser_stdout":"logfmt"}"#, "parsed kept kept"),
        (r#"{"fluentbit.io/parser_stderr":"logfmt"}"#, "kept parsed kept"),
        (r#"{"fluentbit.io/parser-nginx":"logfmt"}"#, "parsed parsed parsed"),
        (r#"{"fluentbit.io/parser-other":"logfmt"}"#, "kept kept kept"),
        (r#"{"fluentbit.io/parser_stderr-nginx":"logfmt"}"#, "kept parsed kept"),
        (
            r#"{"fluentbit.io/parser":"json","fluentbit.io/parser_stdout-nginx":"logfmt"}"#,
            "parsed kept kept",
        ),
        (
            r#"{"fluentbit.io/parser":"json","fluentbit.io/parser_stdout":"logfmt"}"#,
            "kept kept kept",
        ),
        (r#"{"fluentbit.io/parser":"none"}"#, "kept kept kept"),
        (r#"{"fluentbit.io/parser":7}"#, "kept kept kept"),
        (
            r#"{"fluentbit.io/parser_stdin":"logfmt","fluentbit.io/parser-":"logfmt","fluentbit.io/x":"","fluentbit.io/parserx":"logfmt"}"#,
            "kept kept kept",
        ),
    ] {
        assert_eq!(wished(annotations, GRANTED), expected, "{annotations}");
    }
}

#[test]
fn a_pod_leaves_its_logs_out() {
    for (annotations, expected) in [
        (r#"{"fluentbit.io/exclude":"true"}"#, "gone gone gone"),
        (r#"{"fluentbit.io/exclude":"On"}"#, "gone gone gone"),
        (r#"{"fluentbit.io/exclude":"false"}"#, "kept kept kept"),
        (r#"{"fluentbit.io/exclude":"what"}"#, "kept kept kept"),
        (r#"{"fluentbit.io/exclude_stderr":"true"}"#, "kept gone kept"),
        (r#"{"fluentbit.io/exclude_stdout-nginx":"true"}"#, "gone kept kept"),
        (r#"{"fluentbit.io/exclude-other":"true"}"#, "kept kept kept"),
        (
            r#"{"fluentbit.io/exclude":"true","fluentbit.io/exclude-nginx":"false"}"#,
            "kept kept kept",
        ),
    ] {
        assert_eq!(wished(annotations, GRANTED), expected, "{annotations}");
    }
}

#[test]
fn a_pod_wishes_in_vain_for_what_it_is_not_allowed() {
    for annotations in [r#"{"fluentbit.io/parser":"logfmt"}"#, r#"{"fluentbit.io/exclude":"true"}"#]
    {
        assert_eq!(wished(annotations, &[]), "kept kept kept");
    }
}

#[test]
fn a_wrong_configuration_is_refused() {
    let refused = |given: &[(&str, &str)]| flb_harness::build(&SPEC, given).err().unwrap().message;
    assert_eq!(refused(&[("kube_url", "kubernetes")]), "kube_url 'kubernetes' is no address");
    assert_eq!(refused(&[("merge_parser", "none")]), "parser 'none' is not known");
    assert_eq!(refused(&[("regex_parser", "none")]), "parser 'none' is not known");
    assert_eq!(
        refused(&[("use_kubelet", "on"), ("kubelet_port", "70000")]),
        "kubelet_port 70000 is not a port number"
    );
}

#[test]
fn what_other_places_have_is_taken_with_a_word() {
    let given = [
        ("aws_use_pod_association", "on"),
        ("aws_pod_association_port", "1"),
        ("set_platform", "eks"),
        ("dns_retries", "3"),
        ("dns_wait_time", "1"),
        ("tls.debug", "0"),
        ("use_tag_for_meta", "on"),
    ];
    let log = flb_harness::Scene::new(0.0);
    let mut scene = log.logged(|| Scene::at("http://127.0.0.1:1", SHORT, &given));
    assert_eq!(scene.of("web"), bare("web"));
    assert!(log.log().contains("use_pod_association has no effect"), "{}", log.log());
}

#[test]
fn whatever_was_answered_once_is_read_without_harm() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    flb_testkit::replay(&corpus.join("kubernetes"), oracle::check);
}
