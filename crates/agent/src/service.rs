//! The agent's own keys of the service section: its log, its HTTP server, reloads. And the table of all keys there, whosever
//! they are.

use std::time::Duration;

use flb_config::keys;
use flb_config::keys::{Bool, Choice, Key, Kind, Natural, Options, Shape, Table, Text, Word};
use flb_config::value::ValueError;
use flb_pipeline::LogLevel;

keys! {
    const OWN;
    DAEMON: Option<Bool> = Key::new("daemon", "Run in the background")
        .refused("the agent stays in the foreground", "let a service manager such as systemd run it in the background");
    pub(crate) LOG_LEVEL: Choice<LogLevel> =
        Key::new("log_level", "How much is logged").default("info");
    pub(crate) LOG_FORMAT: Choice<LogFormat> =
        Key::new("log_format", "What the lines of the log look like").default("text");
    pub(crate) LOG_FILE: Option<Text> =
        Key::new("log_file", "Where the log goes instead of stderr");
    HTTP_SERVER: Bool =
        Key::new("http_server", "Tell over HTTP how the pipeline is").default("off");
    HTTP_LISTEN: Text = Key::new("http_listen", "Address of that server").default("0.0.0.0");
    HTTP_PORT: Port = Key::new("http_port", "Its port; 0 is any that is free").default("2020");
    HTTP_TAP: Bool = Key::new(
        "http_tap",
        "Show single records to who asks that server, without what is secret in them",
    )
    .default("off");
    HEALTH_CHECK: Bool = Key::new("health_check", "Serve /api/v1/health").default("off");
    HC_ERRORS_COUNT: Natural =
        Key::new("hc_errors_count", "More errors of outputs are bad health").default("5");
    HC_RETRY_FAILURE_COUNT: Natural = Key::new(
        "hc_retry_failure_count",
        "More chunks that ran out of retries are bad health",
    )
    .default("5");
    HC_PERIOD: Natural = Key::new("hc_period", "Within so many seconds").default("60");
    STORAGE_METRICS: Option<Bool> =
        Key::new("storage.metrics", "").idle("the HTTP server always tells about storage");
    HOT_RELOAD: Option<Bool> =
        Key::new("hot_reload", "Whether the configuration is read again on SIGHUP or by HTTP");
    ENSURE_THREAD_SAFETY: Bool = Key::new(
        "hot_reload.ensure_thread_safety",
        "Whether a reload waits for deliveries",
    )
    .default("on");
    HOT_RELOAD_TIMEOUT: Natural =
        Key::new("hot_reload.timeout", "For how many seconds; 0 for no limit").default("0");
}

/// All keys of the service section.
pub(crate) const TABLE: Table =
    Table(&[OWN, flb_pipeline::SERVICE, flb_plugin::SERVICE, flb_plugins::service::SERVICE]);

/// What the lines of the log look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// A JSON object each.
    Json,
}

impl Word for LogFormat {
    const ALL: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

impl Default for LogFormat {
    fn default() -> Self {
        LOG_FORMAT.default_value()
    }
}

/// A port to listen on.
#[derive(Debug)]
enum Port {}

impl Kind for Port {
    type Value<'a> = u16;
    const SHAPE: Shape = Shape::Int;

    fn parse(text: &str) -> Result<u16, ValueError> {
        let number = Natural::parse(text)?;
        u16::try_from(number)
            .map_err(|_| ValueError::saying("not a port", text, "use a number up to 65535"))
    }
}

/// The HTTP server that tells how the pipeline is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpSettings {
    /// Whether there is one.
    pub(crate) is_on: bool,
    /// The address that it listens on.
    pub(crate) listen: String,
    /// The port; 0 is any that is free.
    pub(crate) port: u16,
    /// Whether it shows records.
    pub(crate) tap: bool,
    /// Whether `/api/v1/health` is served.
    pub(crate) health_check: bool,
    /// More errors of outputs than these within the period are bad health.
    pub(crate) errors: u64,
    /// More chunks than these that ran out of retries within the period are bad health.
    pub(crate) retries_failed: u64,
    /// Seconds.
    pub(crate) period: u64,
}

impl HttpSettings {
    /// As the service section says.
    pub(crate) fn of(keys: &Options) -> Self {
        Self {
            is_on: keys.get(HTTP_SERVER),
            listen: keys.get(HTTP_LISTEN).to_owned(),
            port: keys.get(HTTP_PORT),
            tap: keys.get(HTTP_TAP),
            health_check: keys.get(HEALTH_CHECK),
            errors: keys.get(HC_ERRORS_COUNT),
            retries_failed: keys.get(HC_RETRY_FAILURE_COUNT),
            period: keys.get(HC_PERIOD).max(1),
        }
    }
}

/// How another configuration takes the place of this one while the agent runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HotReload {
    /// Whether it may, if the configuration says.
    pub(crate) is_on: Option<bool>,
    /// Whether deliveries that are under way are waited for to their end.
    waits: bool,
    /// How long they are waited for even so, if there is a limit.
    limit: Option<Duration>,
}

/// Longer waits are no different, and shorter ones than this never overflow a clock.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

impl HotReload {
    /// As the service section says.
    pub(crate) fn of(keys: &Options) -> Self {
        let limit = Duration::from_secs(keys.get(HOT_RELOAD_TIMEOUT)).min(LONGEST);
        Self {
            is_on: keys.get(HOT_RELOAD),
            waits: keys.get(ENSURE_THREAD_SAFETY),
            limit: Some(limit).filter(|limit| !limit.is_zero()),
        }
    }

    /// How long deliveries and inputs that are to end are waited for, if there is a limit.
    pub(crate) fn patience(self, grace: Option<Duration>) -> Option<Duration> {
        if self.waits { self.limit } else { grace.or(self.limit) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::sync::Arc;

    use flb_config::{Document, FileKind, Memory, Variables, read_classic};
    use flb_pipeline::{Findings, Settings};

    use super::*;

    /// What is said of a service section.
    fn said(text: &str) -> String {
        let path = Path::new("main.conf");
        let files = Memory([(path.to_owned(), format!("[SERVICE]\n    {text}\n"))].into());
        let mut document = Document::default();
        let found = read_classic(&mut document, path, FileKind::Main, &files);
        assert!(found.is_empty(), "{}", found.render(document.sources()));
        let variables = Variables::new(BTreeMap::new(), None, Arc::new(Memory::default()));
        let mut findings = Findings::default();
        Settings::read(TABLE, &document, &variables, &mut findings);
        findings.config.render(document.sources())
    }

    #[test]
    fn the_table_is_sound() {
        assert_eq!(TABLE.mistakes(), [""; 0]);
    }

    #[test]
    fn service_keys_are_checked_whosever_they_are() {
        for (text, words) in [
            ("Log_Level loud", &["service property 'log_level'", "use one of"]),
            ("Daemon on", &["foreground", "service manager"]),
            ("Daemon perhaps", &["'daemon'", "use on"]),
            ("HTTP_Port 65536", &["'http_port'", "up to 65535"]),
            ("HC_Period -1", &["'hc_period'", "from 0"]),
            ("Wasm.Trusted_Keys ${X}", &["'wasm.trusted_keys' is empty", "leave it out"]),
            ("Wasm.Require_Signatures on", &["unknown service", "'wasm.require_signature'"]),
        ] {
            let said = said(text);
            for word in words {
                assert!(said.contains(word) && said.contains("error"), "{text}: {said}");
            }
        }
        assert_eq!(said("Dns.Resolver legacy"), "");
        assert_eq!(said("Daemon off\n    Hot_Reload off\n    Storage.Metrics on"), "");
    }

    #[test]
    fn patience_is_the_grace_period_where_deliveries_are_not_waited_for() {
        let reload = |pairs: &[(&str, &str)]| {
            HotReload::of(&Options::from_pairs(TABLE, pairs.iter().copied()).unwrap())
        };
        let (grace, limit) = (Duration::from_secs(5), Duration::from_secs(9));
        assert_eq!(reload(&[]).patience(Some(grace)), None);
        let timeout = ("hot_reload.timeout", "9");
        assert_eq!(reload(&[timeout]).patience(Some(grace)), Some(limit));
        let careless = ("hot_reload.ensure_thread_safety", "off");
        assert_eq!(reload(&[careless, timeout]).patience(Some(grace)), Some(grace));
        assert_eq!(reload(&[careless, timeout]).patience(None), Some(limit));
    }
}
