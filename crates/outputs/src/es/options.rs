//! The options of `es` and `opensearch`, and what is made of them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flb_event::Template;
use flb_net::aws::{self, Signer};
use flb_net::http_client::{self, Endpoint, HttpClient, Protocol};
use flb_net::options::port;
use flb_net::tls;
use flb_plugin::keys::{Bool, Choice, Key, Text, Word};
use flb_plugin::log::Label;
use flb_plugin::{Build, BuildError, Options, Secrecy, Table, keys};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use super::bulk::{Bulk, Index, Operation};
use crate::accessors::{path_or_name, wrong};
use crate::dates::Format;
use crate::json::{Field, json_options};
use crate::upstream;

keys! {
    const OWN;
    HOST: Text = Key::new("host", "Server").default("127.0.0.1");
    PORT: Text = Key::new("port", "Its port").default("9200");
    PATH: Option<Text> =
        Key::new("path", "What stands before /_bulk in the path").hiding(Secrecy::Address);
    PIPELINE: Option<Text> = Key::new("pipeline", "Ingest pipeline of the server");
    HTTP_API_KEY: Option<Text> = Key::new("http_api_key", "API key, in base 64").secret();
    CLOUD_ID: Option<Text> =
        Key::new("cloud_id", "ID of an Elastic Cloud deployment, in place of host and port");
    CLOUD_AUTH: Option<Text> = Key::new("cloud_auth", "User and password: user:password").secret();
    INDEX: Text =
        Key::new("index", "Index; may have %Y and the like, of today, and $key").default("fluent-bit");
    TYPE: Text = Key::new("type", "Type of documents, for old servers").default("_doc");
    SUPPRESS_TYPE_NAME: Bool =
        Key::new("suppress_type_name", "Send no type: servers from version 8 on want none").default("off");
    LOGSTASH_FORMAT: Bool =
        Key::new("logstash_format", "An index a day: logstash_prefix and the date").default("off");
    LOGSTASH_PREFIX: Text =
        Key::new("logstash_prefix", "What such an index begins with").default("logstash");
    LOGSTASH_PREFIX_KEY: Option<Text> = Key::new(
        "logstash_prefix_key",
        "Key whose value it begins with, where a record has it",
    );
    LOGSTASH_PREFIX_SEPARATOR: Text =
        Key::new("logstash_prefix_separator", "What stands before the date").default("-");
    LOGSTASH_DATEFORMAT: Text =
        Key::new("logstash_dateformat", "The date, as for strftime").default("%Y.%m.%d");
    TIME_KEY: Text = Key::new("time_key", "Key of the time").default("@timestamp");
    TIME_KEY_FORMAT: Text =
        Key::new("time_key_format", "The time, as for strftime").default("%Y-%m-%dT%H:%M:%S");
    TIME_KEY_NANOS: Bool =
        Key::new("time_key_nanos", "Nanoseconds in the time, not milliseconds").default("off");
    INCLUDE_TAG_KEY: Bool = Key::new("include_tag_key", "Add the tag").default("off");
    TAG_KEY: Text = Key::new("tag_key", "Key of the tag").default("flb-key");
    GENERATE_ID: Bool =
        Key::new("generate_id", "Name documents so that none is stored twice").default("off");
    ID_KEY: Option<Text> = Key::new("id_key", "Key of a document's name");
    WRITE_OPERATION: Choice<Operation> =
        Key::new("write_operation", "What is done with documents").default("create");
    REPLACE_DOTS: Bool = Key::new("replace_dots", "Write _ for each dot in a key").default("off");
    CURRENT_TIME_INDEX: Bool =
        Key::new("current_time_index", "Take today's date, not the record's").default("off");
    BUFFER_SIZE: Option<Text> =
        Key::new("buffer_size", "").idle("as much of an answer is read as the records are worth");
    TRACE_OUTPUT: Bool = Key::new("trace_output", "").default("off").idle("see log_level");
    TRACE_ERROR: Bool = Key::new("trace_error", "").default("off").idle("reasons are always logged");
    AWS_SERVICE_NAME: Text =
        Key::new("aws_service_name", "Service that is signed for: es, or aoss").default("es");
}

keys! {
    const SEVERAL;
    pub(super) UPSTREAM: Option<Text> = Key::new("upstream", "File with several servers");
}

pub(super) const OPTIONS: Table = Table(&[
    OWN,
    aws::AUTH_KEYS,
    SEVERAL,
    http_client::KEYS,
    http_client::GZIP_KEYS,
    tls::KEYS,
    tls::CLIENT,
]);

/// What a server of several may say: what it does not, the output says.
pub(super) const NODE: Table = Table(&[
    upstream::KEYS,
    OWN,
    http_client::KEYS,
    http_client::GZIP_KEYS,
    tls::KEYS,
    tls::CLIENT,
]);

impl Word for Operation {
    const ALL: &'static [(&'static str, Self)] = &[
        ("create", Self::Create),
        ("index", Self::Index),
        ("update", Self::Update),
        ("upsert", Self::Upsert),
    ];
}

/// How records are written.
pub(super) fn bulk(options: &Options, build: &Build<'_>) -> Result<Bulk, BuildError> {
    let json = json_options(build);
    let tag_key = options.get(INCLUDE_TAG_KEY).then(|| Field::new(options.get(TAG_KEY), json));
    let id_key = options.get(ID_KEY).map(|text| path_or_name(ID_KEY.name(), text)).transpose()?;
    let bulk = Bulk {
        operation: options.get(WRITE_OPERATION),
        index: index(options)?,
        kind: (!options.get(SUPPRESS_TYPE_NAME)).then(|| options.get(TYPE).to_owned()),
        time_key: Field::new(options.get(TIME_KEY), json),
        time_format: Format::new(TIME_KEY_FORMAT, options.get(TIME_KEY_FORMAT))?,
        has_nanos: options.get(TIME_KEY_NANOS),
        is_current: options.get(CURRENT_TIME_INDEX),
        tag_key,
        id_key,
        makes_ids: options.get(GENERATE_ID),
        replaces_dots: options.get(REPLACE_DOTS),
        json,
    };
    if bulk.operation.needs_id() && bulk.id_key.is_none() && !bulk.makes_ids {
        return Err(BuildError::new("write_operation is for documents that have names")
            .help("say with id_key which key has the name, or generate_id on"));
    }
    Ok(bulk)
}

fn index(options: &Options) -> Result<Index, BuildError> {
    if !options.get(LOGSTASH_FORMAT) {
        let text = options.get(INDEX);
        template(INDEX.name(), text)?;
        return Format::new(INDEX, text).map(Index::Named);
    }
    let of_record = options.get(LOGSTASH_PREFIX_KEY).map(|text| {
        let dollar = if text.starts_with('$') { "" } else { "$" };
        template(LOGSTASH_PREFIX_KEY.name(), &format!("{dollar}{text}"))
    });
    Ok(Index::Daily {
        prefix: options.get(LOGSTASH_PREFIX).to_owned(),
        of_record: of_record.transpose()?,
        separator: options.get(LOGSTASH_PREFIX_SEPARATOR).to_owned(),
        date: Format::new(LOGSTASH_DATEFORMAT, options.get(LOGSTASH_DATEFORMAT))?,
    })
}

fn template(option: &str, text: &str) -> Result<Template, BuildError> {
    Template::parse(text).map_err(|error| wrong(option, &error))
}

/// Who is told.
pub(super) fn client(
    label: Label,
    options: &Options,
    build: &Build<'_>,
) -> Result<HttpClient, BuildError> {
    let cloud = options.get(CLOUD_ID).map(cloud_server).transpose()?;
    if cloud.is_some() && !options.get(tls::SWITCH) {
        return Err(BuildError::new("cloud_id is for servers that speak TLS").help("add: tls on"));
    }
    let (host, port) = match &cloud {
        Some((host, port)) => (host.as_str(), *port),
        None => (options.get(HOST), port(options.get(PORT), 1)?),
    };
    let path = path(options);
    let mut headers = HeaderMap::new();
    headers.extend(credentials(options)?.map(|value| (AUTHORIZATION, value)));
    let endpoint = Endpoint {
        host,
        port,
        method: Method::POST,
        path: &path,
        headers,
        packing: options.get(http_client::GZIP).into(),
        protocol: Protocol::Http1,
        tokens: None,
    };
    let signer = Signer::of_options(options, Some(options.get(AWS_SERVICE_NAME)), build)?;
    HttpClient::of(label, endpoint, options, build)?.signed_by(signer)
}

fn path(options: &Options) -> String {
    let before = options.get(PATH).unwrap_or_default().trim_matches('/');
    let slash = if before.is_empty() { "" } else { "/" };
    let pipeline = options.get(PIPELINE).map(|name| format!("?pipeline={}", escaped(name)));
    format!("{slash}{before}/_bulk{}", pipeline.unwrap_or_default())
}

/// A text as it stands in a query.
fn escaped(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escaped = |byte: u8| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}

/// Who asks, where `http_user` does not say it.
fn credentials(options: &Options) -> Result<Option<HeaderValue>, BuildError> {
    if options.get(http_client::HTTP_USER).is_some() {
        return Ok(None);
    }
    let cloud = options.get(CLOUD_AUTH).map(|text| {
        let (user, password) = text.split_once(':').ok_or_else(|| {
            BuildError::new("cloud_auth has no ':' in it").help("write: cloud_auth user:password")
        })?;
        http_client::basic(user, password)
    });
    let key = || options.get(HTTP_API_KEY).map(|key| http_client::authorization("ApiKey", key));
    cloud.or_else(key).transpose()
}

/// The server of a deployment: `name:` and, in base 64, `host$elasticsearch$kibana`.
fn cloud_server(id: &str) -> Result<(String, u16), BuildError> {
    let wrong = || {
        BuildError::new("cloud_id is none that Elastic Cloud shows")
            .help("copy it whole from the deployment's page: name:text")
    };
    let (_, encoded) = id.split_once(':').ok_or_else(wrong)?;
    let text = STANDARD.decode(encoded).ok().and_then(|text| String::from_utf8(text).ok());
    let text = text.ok_or_else(wrong)?;
    let mut parts = text.split('$');
    let (Some(domain), Some(name)) = (parts.next(), parts.next()) else { return Err(wrong()) };
    if domain.is_empty() || name.is_empty() {
        return Err(wrong());
    }
    let (domain, number) = domain.split_once(':').unwrap_or((domain, "443"));
    Ok((format!("{name}.{domain}"), port(number, 1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cloud_id_names_a_server() {
        for (text, expected) in [
            ("eu.example.io$abc$def", Some(("abc.eu.example.io", 443))),
            ("eu.example.io:9243$abc", Some(("abc.eu.example.io", 9243))),
            ("eu.example.io", None),
            ("$abc", None),
            ("eu.example.io:x$abc", None),
        ] {
            let server = cloud_server(&format!("mine:{}", STANDARD.encode(text))).ok();
            assert_eq!(server, expected.map(|(host, port)| (host.to_owned(), port)), "{text}");
        }
        assert!(cloud_server("mine").is_err() && cloud_server("mine:???").is_err());
    }

    #[test]
    fn a_pipeline_is_escaped() {
        assert_eq!(escaped("a/b c&d=é-1"), "a%2Fb%20c%26d%3D%C3%A9-1");
    }
}
