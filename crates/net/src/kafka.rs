//! What the plugins of Kafka share: how brokers are reached, and what librdkafka says of it in the agent's log.

use std::sync::{Mutex, PoisonError};

use flb_plugin::keys::{Each, Key, Options, Required, Text};
use flb_plugin::log::{Kinds, Label, sentence};
use flb_plugin::{BuildError, keys};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

const NO_IAM: &str = "Amazon's IAM is not spoken here";
const SCRAM: &str = "use a user of the cluster's own, with rdkafka.sasl.mechanism SCRAM-SHA-512";

keys! {
    /// The options of all plugins of Kafka.
    pub const KEYS;
    BROKERS: Required<Text> = Key::new("brokers", "Brokers to begin with: host:port,host:port")
        .required("no 'brokers' were given", "add Brokers 127.0.0.1:9092");
    CLIENT_ID: Text = Key::new("client_id", "What brokers know this client by").default("fluent-bit");
    PROPERTIES: Each<Text> =
        Key::new("rdkafka.*", "A property of librdkafka, which is passed on").each();
    SASL_PASSWORD: Option<Text> =
        Key::new("rdkafka.sasl.password", "Password for the brokers").secret();
    OAUTH_SECRET: Option<Text> =
        Key::new("rdkafka.sasl.oauthbearer.client.secret", "Secret for OpenID Connect").secret();
    OAUTH_CREDENTIAL: Option<Text> = Key::new(
        "rdkafka.sasl.oauthbearer.client.credentials.client.secret",
        "The same by another name",
    )
    .secret();
    OAUTH_KEY: Option<Text> = Key::new(
        "rdkafka.sasl.oauthbearer.assertion.private.key.pem",
        "Key for OpenID Connect",
    )
    .secret();
    OAUTH_PASSPHRASE: Option<Text> = Key::new(
        "rdkafka.sasl.oauthbearer.assertion.private.key.passphrase",
        "The key's passphrase",
    )
    .secret();
    SSL_KEY_PASSWORD: Option<Text> =
        Key::new("rdkafka.ssl.key.password", "Passphrase of the client's key").secret();
    SSL_KEY: Option<Text> = Key::new("rdkafka.ssl.key.pem", "The client's key").secret();
    SSL_KEYSTORE_PASSWORD: Option<Text> =
        Key::new("rdkafka.ssl.keystore.password", "Password of the client's key store").secret();
    AWS_MSK_IAM: Option<Text> =
        Key::new("aws_msk_iam", "Authentication by Amazon's IAM").refused(NO_IAM, SCRAM);
    AWS_MSK_IAM_CLUSTER_ARN: Option<Text> =
        Key::new("aws_msk_iam_cluster_arn", "Cluster for Amazon's IAM").refused(NO_IAM, SCRAM);
}

const PREFIX: &str = "rdkafka.";

const SECRETS: [Key<Option<Text>>; 8] = [
    SASL_PASSWORD,
    OAUTH_SECRET,
    OAUTH_CREDENTIAL,
    OAUTH_KEY,
    OAUTH_PASSPHRASE,
    SSL_KEY_PASSWORD,
    SSL_KEY,
    SSL_KEYSTORE_PASSWORD,
];

/// The client as the options say. `refused` names the properties that would take away what the plugin promises, and says
/// what to do without each.
pub fn client(
    options: &Options,
    refused: &[(&str, &'static str)],
) -> Result<ClientConfig, BuildError> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", options.get(BROKERS)?);
    client.set("client.id", options.get(CLIENT_ID));
    client.set_log_level(RDKafkaLogLevel::Info);
    for (name, value) in options.get(PROPERTIES) {
        if let Some((_, help)) = refused.iter().find(|(known, _)| *known == name) {
            let message = format!("'{PREFIX}{name}' cannot be given");
            return Err(BuildError::new(message).help(*help));
        }
        if name.starts_with("sasl.mechanism") && value.eq_ignore_ascii_case("aws_msk_iam") {
            return Err(BuildError::new(NO_IAM).help(SCRAM));
        }
        if name == "debug" {
            client.set_log_level(RDKafkaLogLevel::Debug);
        }
        client.set(name, value);
    }
    for key in SECRETS {
        if let Some(value) = options.get(key) {
            client.set(&key.name()[PREFIX.len()..], value);
        }
    }
    client.create_native_config().map_err(unusable)?;
    Ok(client)
}

/// Why no client can be made so.
pub fn unusable(error: KafkaError) -> BuildError {
    let (message, about) = match error {
        KafkaError::ClientConfig(_, why, name, _) => {
            let is_secret = SECRETS.iter().any(|key| key.name()[PREFIX.len()..] == name);
            let why =
                if is_secret { String::new() } else { format!(": {}", sentence(why.as_bytes())) };
            (format!("'{PREFIX}{name}' cannot be used{why}"), why)
        }
        KafkaError::ClientCreation(why) => (sentence(why.as_bytes()), why),
        other => (other.to_string(), String::new()),
    };
    let is_left_out = ["not supported in this build", "not available at build time", "No provider"]
        .iter()
        .any(|words| about.contains(words));
    let help = match is_left_out {
        true => "take an agent from a package, or build one with --features kafka-tls",
        false => "see librdkafka's CONFIGURATION.md for its properties",
    };
    BuildError::new(message).help(help)
}

/// What to do about an error, as the end of a log line; nothing where time may heal it.
pub fn help(code: RDKafkaErrorCode) -> &'static str {
    use RDKafkaErrorCode as Code;
    match code {
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => {
            "; check rdkafka.security.protocol, and rdkafka.sasl.mechanism, username and password"
        }
        Code::SSL => "; check rdkafka.security.protocol and rdkafka.ssl.ca.location",
        Code::Resolve | Code::BrokerTransportFailure | Code::AllBrokersDown => {
            "; check brokers, and whether this machine may reach them"
        }
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
            "; create the topic, or let the brokers do it: auto.create.topics.enable"
        }
        Code::InvalidTopic => "; a topic's name has letters, digits, '.', '_' and '-'",
        Code::TopicAuthorizationFailed => "; give this user the right to use the topic",
        Code::GroupAuthorizationFailed => "; give this user the right to use the group",
        Code::ClusterAuthorizationFailed => "; give this user the right to use the cluster",
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => {
            "; raise rdkafka.message.max.bytes, and max.message.bytes of the topic"
        }
        Code::UnsupportedCompressionType | Code::BadCompression => {
            "; use another rdkafka.compression.codec"
        }
        _ => "",
    }
}

/// What librdkafka says, in the agent's log.
#[derive(Debug)]
pub struct Voice {
    label: Label,
    kinds: Kinds,
    last: Mutex<Option<RDKafkaErrorCode>>,
}

impl Voice {
    /// It speaks for this plugin.
    pub fn new(label: Label) -> Self {
        Self { label, kinds: Kinds::default(), last: Mutex::default() }
    }

    /// The prefix of log lines.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// What went wrong last between here and the brokers.
    pub fn last(&self) -> Option<RDKafkaErrorCode> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a line of librdkafka's. What it calls failures comes as errors, too, and is told there.
    pub fn log(&self, level: RDKafkaLogLevel, facility: &str, line: &str) {
        let Self { label, kinds, .. } = self;
        let line = sentence(line.as_bytes());
        match level {
            _ if facility == "FAIL" || facility == "ERROR" => {
                tracing::debug!("{label} {facility}: {line}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!("{label} {facility}: {line}"),
            RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
                tracing::info!("{label} {facility}: {line}");
            }
            _ => {
                if let Some(times) = kinds.another(facility) {
                    tracing::warn!("{label} {facility}: {line}{times}");
                }
            }
        }
    }

    /// Logs an error between here and the brokers, ever more rarely.
    pub fn error(&self, error: &KafkaError, reason: &str) {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(code);
        if let Some(times) = self.kinds.another(&format!("{code:?}")) {
            let (label, help) = (&self.label, help(code));
            tracing::error!("{label} {}{help}{times}", sentence(reason.as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use flb_harness::options;
    use flb_plugin::Table;

    use super::*;

    const TABLE: Table = Table(&[KEYS]);

    fn made(given: &[(&str, &str)]) -> Result<ClientConfig, BuildError> {
        client(&options(TABLE, given), &[("acks", "leave it out")])
    }

    #[test]
    fn properties_are_passed_on_and_secrets_too() {
        let given = [
            ("brokers", "a:1,b:2"),
            ("rdkafka.linger.ms", "7"),
            ("rdkafka.sasl.password", "hush"),
            ("rdkafka.request.timeout.ms", "900"),
        ];
        let client = made(&given).unwrap();
        for (name, value) in [
            ("bootstrap.servers", "a:1,b:2"),
            ("client.id", "fluent-bit"),
            ("linger.ms", "7"),
            ("sasl.password", "hush"),
            ("request.timeout.ms", "900"),
        ] {
            assert_eq!(client.get(name), Some(value));
        }
    }

    #[test]
    fn what_cannot_be_used_is_told_and_no_secret_with_it() {
        let brokers = ("brokers", "a:1");
        for (given, message) in [
            (&[][..], "no 'brokers' were given"),
            (&[brokers, ("rdkafka.linger", "1")], "'rdkafka.linger' cannot be used: No such"),
            (&[brokers, ("rdkafka.linger.ms", "x")], "'rdkafka.linger.ms' cannot be used: Invalid"),
            (&[brokers, ("rdkafka.acks", "0")], "'rdkafka.acks' cannot be given"),
            (&[brokers, ("rdkafka.sasl.mechanism", "AWS_MSK_IAM")], NO_IAM),
        ] {
            let error = made(given).err().unwrap();
            assert!(error.message.starts_with(message) && error.help.is_some(), "{error:?}");
        }
        let error = KafkaError::ClientConfig(
            rdkafka::types::RDKafkaConfRes::RD_KAFKA_CONF_INVALID,
            "hush is wrong".to_owned(),
            "sasl.password".to_owned(),
            "hush".to_owned(),
        );
        assert_eq!(unusable(error).message, "'rdkafka.sasl.password' cannot be used");
    }

    #[test]
    fn every_secret_of_librdkafka_has_a_row_that_hides_it() {
        for key in SECRETS {
            assert_eq!(TABLE.find(key.name()).unwrap().secrecy, flb_plugin::Secrecy::Secret);
        }
    }
}
