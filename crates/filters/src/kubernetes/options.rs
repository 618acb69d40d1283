//! The options of `kubernetes`, and what they come to.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flb_net::api_client::Address;
use flb_net::options::file;
use flb_net::tls::Trust;
use flb_plugin::keys::{Bool, Key, Natural, Options, Size, Text, Time};
use flb_plugin::{Build, BuildError, Parser, Secrecy, keys};

use super::describe::Wanted;

/// Why there is no row that names services of pods.
const NO_SERVICES: &str =
    "the service names that CloudWatch's agent has for pods are not asked for";

keys! {
    pub(super) const KEYS;
    KUBE_URL: Text = Key::new("kube_url", "Where the API server is")
        .default("https://kubernetes.default.svc");
    KUBE_CA_FILE: Text = Key::new("kube_ca_file", "Certificates to trust, PEM")
        .default("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt");
    KUBE_CA_PATH: Option<Text> = Key::new("kube_ca_path", "Folder of certificates to trust");
    KUBE_TOKEN_FILE: Text = Key::new("kube_token_file", "File with the service account's token")
        .default("/var/run/secrets/kubernetes.io/serviceaccount/token");
    KUBE_TOKEN_TTL: Time =
        Key::new("kube_token_ttl", "How long a token is used before it is read again").default("10m");
    KUBE_TOKEN_COMMAND: Option<Text> =
        Key::new("kube_token_command", "A command, for /bin/sh, that prints the token")
            .hiding(Secrecy::Command);
    KUBE_NAMESPACE_FILE: Text = Key::new("kube_namespace_file", "File with the agent's own namespace")
        .default("/var/run/secrets/kubernetes.io/serviceaccount/namespace");
    pub(super) KUBE_TAG_PREFIX: Text =
        Key::new("kube_tag_prefix", "What stands before the file's name in a tag")
            .default("kube.var.log.containers.");
    KUBE_META_PRELOAD_CACHE_DIR: Option<Text> = Key::new(
        "kube_meta_preload_cache_dir",
        "Folder with what the API would say: NAMESPACE_POD.meta, NAMESPACE.namespace_meta",
    );
    KUBE_META_CACHE_TTL: Time =
        Key::new("kube_meta_cache_ttl", "How long a pod is known; 0 for ever").default("0");
    KUBE_META_NAMESPACE_CACHE_TTL: Time =
        Key::new("kube_meta_namespace_cache_ttl", "How long a namespace is known; 0 for ever")
            .default("15m");
    CACHE_USE_DOCKER_ID: Bool =
        Key::new("cache_use_docker_id", "Ask again when a container is another one").default("off");
    MERGE_LOG: Bool =
        Key::new("merge_log", "Take the text under log apart, if it is JSON").default("off");
    MERGE_LOG_KEY: Option<Text> = Key::new("merge_log_key", "Where to put what was found in it");
    MERGE_LOG_TRIM: Bool =
        Key::new("merge_log_trim", "Cut newlines off the ends of texts found in it").default("on");
    MERGE_PARSER: Option<Text> = Key::new("merge_parser", "Parser of the text under log");
    KEEP_LOG: Bool =
        Key::new("keep_log", "Keep log when it was taken apart").default("on");
    pub(super) PARSER_BY_PODS: Bool =
        Key::new("k8s-logging.parser", "Let pods name a parser, by annotations").default("off");
    pub(super) EXCLUDE_BY_PODS: Bool =
        Key::new("k8s-logging.exclude", "Let pods leave their logs out, by annotations")
            .default("off");
    LABELS: Bool = Key::new("labels", "Add the pod's labels").default("on");
    ANNOTATIONS: Bool = Key::new("annotations", "Add the pod's annotations").default("on");
    OWNER_REFERENCES: Bool =
        Key::new("owner_references", "Add what the pod belongs to").default("off");
    NAMESPACE_LABELS: Bool =
        Key::new("namespace_labels", "Add the namespace's labels").default("off");
    NAMESPACE_ANNOTATIONS: Bool =
        Key::new("namespace_annotations", "Add the namespace's annotations").default("off");
    NAMESPACE_METADATA_ONLY: Bool =
        Key::new("namespace_metadata_only", "Add nothing of the pod").default("off");
    pub(super) REGEX_PARSER: Option<Text> =
        Key::new("regex_parser", "Parser that finds pod_name, namespace_name, .. in a tag");
    pub(super) USE_JOURNAL: Bool =
        Key::new("use_journal", "Find the pod in CONTAINER_NAME, not in the tag").default("off");
    pub(super) USE_TAG_FOR_META: Bool =
        Key::new("use_tag_for_meta", "Add what the tag says, and ask nobody").default("off");
    pub(super) DUMMY_META: Bool =
        Key::new("dummy_meta", "Add an example, and ask nobody").default("off");
    USE_KUBELET: Bool =
        Key::new("use_kubelet", "Ask the node's kubelet for its pods, not the API server")
            .default("off");
    KUBELET_HOST: Text = Key::new("kubelet_host", "Where the kubelet is").default("127.0.0.1");
    KUBELET_PORT: Natural = Key::new("kubelet_port", "Its port").default("10250");
    BUFFER_SIZE: Size =
        Key::new("buffer_size", "Most bytes of an answer; 0 for 32M").default("32K");
    TLS_VERIFY: Bool = Key::new("tls.verify", "Check the servers' certificates").default("on");
    TLS_VERIFY_HOSTNAME: Bool =
        Key::new("tls.verify_hostname", "Check that they are for these hosts").default("off");
    TLS_VHOST: Option<Text> = Key::new("tls.vhost", "Name to ask for, instead of the hosts'");
    TLS_DEBUG: Option<Text> = Key::new("tls.debug", "").idle("see log_level");
    DNS_RETRIES: Option<Text> =
        Key::new("dns_retries", "").idle("the start waits for nobody; names are looked up again");
    DNS_WAIT_TIME: Option<Text> =
        Key::new("dns_wait_time", "").idle("the start waits for nobody; names are looked up again");
    USE_POD_ASSOCIATION: Option<Bool> = Key::new("use_pod_association", "").idle(NO_SERVICES);
    AWS_USE_POD_ASSOCIATION: Option<Bool> =
        Key::new("aws_use_pod_association", "").idle(NO_SERVICES);
    AWS_POD: Option<Text> = Key::new("aws_pod_*", "").idle(NO_SERVICES);
    SET_PLATFORM: Option<Text> = Key::new("set_platform", "").idle(NO_SERVICES);
}

/// The port of the API server where the address has none.
const API_PORT: u16 = 443;

/// The most bytes of an answer where no limit is wanted.
const LARGEST_ANSWER: u64 = 32 << 20;

/// What is asked for in vain, if anything is.
pub(super) fn in_vain(options: &Options) -> Option<&'static str> {
    let keys = [USE_POD_ASSOCIATION, AWS_USE_POD_ASSOCIATION];
    keys.iter().any(|key| options.get(*key) == Some(true)).then_some(NO_SERVICES)
}

/// What of an object goes into records.
pub(super) fn wanted(options: &Options) -> Wanted {
    Wanted {
        labels: options.get(LABELS),
        annotations: options.get(ANNOTATIONS),
        owner_references: options.get(OWNER_REFERENCES),
        namespace_labels: options.get(NAMESPACE_LABELS),
        namespace_annotations: options.get(NAMESPACE_ANNOTATIONS),
        pod: !options.get(NAMESPACE_METADATA_ONLY),
    }
}

/// What becomes of the text under `log`.
pub(super) struct Merging {
    pub(super) is_on: bool,
    /// Where to put what was found in it.
    pub(super) key: Option<String>,
    pub(super) trims: bool,
    pub(super) keeps_log: bool,
    pub(super) parser: Option<Arc<dyn Parser>>,
}

impl Merging {
    pub(super) fn of(options: &Options, build: &Build<'_>) -> Result<Self, BuildError> {
        let key = options.get(MERGE_LOG_KEY).filter(|key| !key.is_empty());
        Ok(Self {
            is_on: options.get(MERGE_LOG),
            key: key.map(str::to_owned),
            trims: options.get(MERGE_LOG_TRIM),
            keeps_log: options.get(KEEP_LOG),
            parser: options.get(MERGE_PARSER).map(|name| parser(name, build)).transpose()?,
        })
    }
}

/// The parser of this name.
pub(super) fn parser(name: &str, build: &Build<'_>) -> Result<Arc<dyn Parser>, BuildError> {
    let found = build.parsers.find(name).map(Arc::clone);
    found.ok_or_else(|| {
        let known: Vec<&str> = build.parsers.names().collect();
        BuildError::new(format!("parser '{name}' is not known"))
            .help(format!("known parsers are: {}", known.join(", ")))
    })
}

/// Where what is asked for comes from, and how long it is good.
pub(super) struct Access {
    pub(super) api: Address,
    pub(super) kubelet: Option<Address>,
    pub(super) trust: Trust,
    /// The most bytes of an answer.
    pub(super) most: usize,
    pub(super) token: TokenSource,
    pub(super) token_life: Duration,
    pub(super) folder: Option<PathBuf>,
    pub(super) namespace_file: PathBuf,
    pub(super) lives: Lives,
}

/// Where tokens come from.
pub(super) enum TokenSource {
    File(PathBuf),
    Command(String),
}

/// How long objects are known, in seconds; for ever where there is nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lives {
    pub(super) pods: Option<u64>,
    pub(super) namespaces: Option<u64>,
    /// Whether a pod is asked for again when a container of it is another one.
    pub(super) by_container: bool,
}

impl Access {
    pub(super) fn of(options: &Options, build: &Build<'_>) -> Result<Self, BuildError> {
        let path = |text: &str| file(text, build.service);
        let most = match options.get(BUFFER_SIZE) {
            0 => LARGEST_ANSWER,
            most => most.min(LARGEST_ANSWER),
        };
        let lives = |key: Key<Time>| Some(options.get(key).as_secs()).filter(|life| *life > 0);
        Ok(Self {
            api: api(options.get(KUBE_URL))?,
            kubelet: options.get(USE_KUBELET).then(|| kubelet(options)).transpose()?,
            trust: trust(options, build),
            most: usize::try_from(most).unwrap_or(usize::MAX),
            token: match options.get(KUBE_TOKEN_COMMAND) {
                Some(command) => TokenSource::Command(command.to_owned()),
                None => TokenSource::File(path(options.get(KUBE_TOKEN_FILE))),
            },
            token_life: options.get(KUBE_TOKEN_TTL),
            folder: options.get(KUBE_META_PRELOAD_CACHE_DIR).map(path),
            namespace_file: path(options.get(KUBE_NAMESPACE_FILE)),
            lives: Lives {
                pods: lives(KUBE_META_CACHE_TTL),
                namespaces: lives(KUBE_META_NAMESPACE_CACHE_TTL),
                by_container: options.get(CACHE_USE_DOCKER_ID),
            },
        })
    }
}

/// Whom to take for a server. With a folder of certificates no file needs to be there.
fn trust(options: &Options, build: &Build<'_>) -> Trust {
    let path = |text: &str| file(text, build.service);
    let (authorities, folder) =
        (path(options.get(KUBE_CA_FILE)), options.get(KUBE_CA_PATH).map(path));
    Trust {
        verify: options.get(TLS_VERIFY),
        verify_hostname: options.get(TLS_VERIFY_HOSTNAME),
        vhost: options.get(TLS_VHOST).map(str::to_owned),
        file: (folder.is_none() || authorities.exists()).then_some(authorities),
        folder,
        options: ("kube_ca_file", "kube_ca_path"),
    }
}

fn api(text: &str) -> Result<Address, BuildError> {
    Address::parse(text, API_PORT).ok_or_else(|| {
        BuildError::new(format!("kube_url '{text}' is no address"))
            .help("write it as https://kubernetes.default.svc:443")
    })
}

fn kubelet(options: &Options) -> Result<Address, BuildError> {
    let (host, port) = (options.get(KUBELET_HOST).to_owned(), options.get(KUBELET_PORT));
    let port = u16::try_from(port).map_err(|_| {
        BuildError::new(format!("kubelet_port {port} is not a port number"))
            .help("use a number from 1 to 65535")
    })?;
    Ok(Address { is_tls: true, host, port })
}
