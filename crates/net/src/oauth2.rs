//! OAuth 2.0: a token that a server gives to who knows a secret (RFC 6749, client credentials), kept until shortly before it expires.

use std::time::Duration;

use flb_plugin::keys::{Bool, Choice, Key, Natural, Options, Text, Time, Word};
use flb_plugin::log::excerpt;
use flb_plugin::{BuildError, Secrecy, keys};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, USER_AGENT};
use reqwest::{Client, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::http_parts::{authorization, basic, beginning, explained};
use super::tls::{self, ClientTls, Trust};

keys! {
    /// Where a token comes from.
    pub const KEYS;
    ENABLE: Bool = Key::new("oauth2.enable", "Ask for a token and send it").default("off");
    TOKEN_URL: Option<Text> =
        Key::new("oauth2.token_url", "Where tokens are given").hiding(Secrecy::Address);
    CLIENT_ID: Option<Text> = Key::new("oauth2.client_id", "Who asks");
    CLIENT_SECRET: Option<Text> = Key::new("oauth2.client_secret", "The secret that proves it").secret();
    AUTH_METHOD: Choice<Method> =
        Key::new("oauth2.auth_method", "How it is proved").default("basic");
    SCOPE: Option<Text> = Key::new("oauth2.scope", "What the token shall be good for");
    AUDIENCE: Option<Text> = Key::new("oauth2.audience", "Whom the token is shown to");
    RESOURCE: Option<Text> = Key::new("oauth2.resource", "What the token shall give access to");
    AGENT: Option<Text> = Key::new("oauth2.user_agent", "User-Agent of the question");
    SKEW: Natural =
        Key::new("oauth2.refresh_skew_seconds", "How long before its end a token is renewed")
            .default("60");
    TIMEOUT: Time =
        Key::new("oauth2.timeout", "How long the answer may take; 0 is 60 s").default("0");
    CONNECT_TIMEOUT: Time =
        Key::new("oauth2.connect_timeout", "How long connecting may take; 0 is 10 s").default("0");
}

/// How a client proves who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Basic,
    Post,
}

impl Word for Method {
    const ALL: &'static [(&'static str, Self)] = &[("basic", Self::Basic), ("post", Self::Post)];
}

/// How long a token is good that does not say it.
const UNTOLD: Duration = Duration::from_secs(3600);

/// Where tokens come from, and the last one.
pub struct Tokens {
    client: Client,
    url: Url,
    form: String,
    authorization: Option<HeaderValue>,
    agent: Option<HeaderValue>,
    skew: Duration,
    kept: Mutex<Option<Token>>,
}

/// A token as a header, and when it has to be renewed.
struct Token {
    header: HeaderValue,
    until: Instant,
}

/// What a server says that gives one.
#[derive(Deserialize)]
struct Given {
    access_token: String,
    #[serde(default)]
    token_type: String,
    expires_in: Option<f64>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nobody answers.
    #[error("oauth2.token_url: {0}")]
    Away(String),
    /// The answer is a refusal.
    #[error(
        "oauth2.token_url answers HTTP status={0} {1}; check oauth2.client_id and oauth2.client_secret"
    )]
    Refused(StatusCode, String),
    /// The answer has none.
    #[error("what oauth2.token_url answers is no token: {0}")]
    Strange(String),
}

impl Tokens {
    /// As the options say; `None` where they ask for no tokens.
    pub fn new(options: &Options) -> Result<Option<Self>, BuildError> {
        if !options.get(ENABLE) {
            return Ok(None);
        }
        let (Some(url), Some(id), Some(secret)) =
            (options.get(TOKEN_URL), options.get(CLIENT_ID), options.get(CLIENT_SECRET))
        else {
            return Err(BuildError::new("oauth2.enable is on, and something lacks")
                .help("give oauth2.token_url, oauth2.client_id and oauth2.client_secret"));
        };
        let url: Url = url
            .parse()
            .ok()
            .filter(|url: &Url| matches!(url.scheme(), "http" | "https"))
            .ok_or_else(|| {
                BuildError::new("oauth2.token_url is no address").help("write https://host/path")
            })?;
        let header = |text: &str| {
            HeaderValue::from_str(text)
                .map_err(|_| BuildError::new("oauth2.user_agent is no header"))
        };
        let is_basic = options.get(AUTH_METHOD) == Method::Basic;
        Ok(Some(Self {
            client: client(options, url.scheme() == "https")?,
            form: form(options, (!is_basic).then_some((id, secret))),
            authorization: is_basic.then(|| basic(&encoded(id), &encoded(secret))).transpose()?,
            agent: options.get(AGENT).map(header).transpose()?,
            skew: Duration::from_secs(options.get(SKEW)),
            url,
            kept: Mutex::default(),
        }))
    }

    /// The value of `Authorization`.
    pub async fn header(&self) -> Result<HeaderValue, TokenError> {
        let mut kept = self.kept.lock().await;
        if let Some(token) = kept.as_ref().filter(|token| Instant::now() < token.until) {
            return Ok(token.header.clone());
        }
        let token = self.ask().await?;
        Ok(kept.insert(token).header.clone())
    }

    /// A server does not take this one: the next is another.
    pub async fn refused(&self, header: &HeaderValue) {
        let mut kept = self.kept.lock().await;
        if kept.as_ref().is_some_and(|token| token.header == *header) {
            *kept = None;
        }
    }

    async fn ask(&self) -> Result<Token, TokenError> {
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(self.form.clone());
        if let Some(header) = &self.authorization {
            request = request.header(AUTHORIZATION, header.clone());
        }
        if let Some(agent) = &self.agent {
            request = request.header(USER_AGENT, agent.clone());
        }
        // What stands behind a `?` may be a secret.
        let sent = request.send().await.map_err(reqwest::Error::without_url);
        let response = sent.map_err(|error| TokenError::Away(explained(&error)))?;
        let status = response.status();
        let body = beginning(response).await;
        match status.is_success() {
            true => self.read(&body),
            false => Err(TokenError::Refused(status, excerpt(&body))),
        }
    }

    fn read(&self, body: &[u8]) -> Result<Token, TokenError> {
        // The answer is not shown: it may hold a token all the same.
        let given: Given = serde_json::from_slice(body)
            .map_err(|error| TokenError::Strange(format!("column {}", error.column())))?;
        let scheme = if given.token_type.is_empty() { "Bearer" } else { &given.token_type };
        // Servers write it in small letters, and others ask for a large one.
        let scheme = if scheme.eq_ignore_ascii_case("bearer") { "Bearer" } else { scheme };
        let header = authorization(scheme, &given.access_token)
            .map_err(|_| TokenError::Strange("it is no header".to_owned()))?;
        let life = given.expires_in.and_then(|life| Duration::try_from_secs_f64(life).ok());
        let life = life.unwrap_or(UNTOLD).min(Duration::from_secs(u32::MAX.into()));
        let until = Instant::now() + life.saturating_sub(self.skew).max(life / 2);
        Ok(Token { header, until })
    }
}

fn client(options: &Options, is_tls: bool) -> Result<Client, BuildError> {
    let or =
        |time: Duration, default| if time.is_zero() { Duration::from_secs(default) } else { time };
    let tls = match is_tls {
        true => ClientTls::trusting(&Trust::system())?.config(),
        false => tls::nobody(),
    };
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(or(options.get(CONNECT_TIMEOUT), 10))
        .timeout(or(options.get(TIMEOUT), 60))
        .pool_max_idle_per_host(0)
        .http1_only()
        .no_proxy()
        .build()
        .map_err(|error| BuildError::new(format!("HTTP: {}", explained(&error))))
}

/// The question, with who asks unless a header says so.
fn form(options: &Options, client: Option<(&str, &str)>) -> String {
    let given = [("scope", SCOPE), ("audience", AUDIENCE), ("resource", RESOURCE)];
    let mut fields = vec![("grant_type", "client_credentials")];
    fields.extend(given.iter().filter_map(|(name, key)| Some((*name, options.get(*key)?))));
    if let Some((id, secret)) = client {
        fields.extend([("client_id", id), ("client_secret", secret)]);
    }
    let field = |(name, value): &(&str, &str)| format!("{name}={}", encoded(value));
    fields.iter().map(field).collect::<Vec<_>>().join("&")
}

/// A text within a form.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use flb_harness::net::block_on;
    use flb_harness::options;
    use flb_plugin::Table;
    use flb_testkit::stub::{Fault, Reply, Stub};

    fn tokens(url: &str, given: &[(&str, &str)]) -> Result<Option<Tokens>, BuildError> {
        let own = [
            ("oauth2.enable", "on"),
            ("oauth2.token_url", url),
            ("oauth2.client_id", "me:1"),
            ("oauth2.client_secret", "s&1"),
        ];
        Tokens::new(&options(Table(&[KEYS]), &[&own, given].concat()))
    }

    /// A server whose tokens are numbered.
    fn server(expires_in: &'static str) -> Stub {
        let count = std::sync::atomic::AtomicUsize::new(0);
        Stub::start(move |_| {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Reply::new(
                200,
                format!("{{\"access_token\":\"t{number}\",\"token_type\":\"bearer\"{expires_in}}}"),
            )
        })
    }

    fn at(stub: &Stub, given: &[(&str, &str)]) -> Tokens {
        tokens(&format!("http://127.0.0.1:{}/token?x=1", stub.port()), given).unwrap().unwrap()
    }

    #[test]
    fn a_token_is_asked_for_as_the_standard_says() {
        for (method, form, header) in [
            (
                "basic",
                "grant_type=client_credentials&scope=a+b%2Fc",
                Some("Basic bWUlM0ExOnMlMjYx"),
            ),
            (
                "post",
                "grant_type=client_credentials&scope=a+b%2Fc&client_id=me%3A1&client_secret=s%261",
                None,
            ),
        ] {
            let stub = server("");
            let given = [
                ("oauth2.auth_method", method),
                ("oauth2.scope", "a b/c"),
                ("oauth2.user_agent", "flb"),
            ];
            let token = block_on(at(&stub, &given).header()).unwrap();
            assert_eq!((token.to_str().unwrap(), token.is_sensitive()), ("Bearer t0", true));
            let request = &stub.requests()[0];
            assert_eq!(stub.asked(), ["POST /token?x=1"]);
            assert_eq!(String::from_utf8_lossy(&request.body), form);
            assert_eq!(request.header("authorization"), header);
            assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
            assert_eq!(request.header("user-agent"), Some("flb"));
        }
    }

    #[test]
    fn a_token_is_kept_until_shortly_before_its_end_or_until_it_is_refused() {
        let stub = server(",\"expires_in\":600");
        let tokens = at(&stub, &[("oauth2.refresh_skew_seconds", "100")]);
        block_on(async {
            let now = async || tokens.header().await.unwrap().to_str().unwrap().to_owned();
            assert_eq!(
                (now().await, now().await),
                ("Bearer t0".to_owned(), "Bearer t0".to_owned())
            );
            let left = tokens.kept.lock().await.as_ref().unwrap().until - Instant::now();
            assert!((490..=500).contains(&left.as_secs()), "{left:?}");
            tokens.kept.lock().await.as_mut().unwrap().until = Instant::now();
            assert_eq!(now().await, "Bearer t1");
            tokens.refused(&HeaderValue::from_static("Bearer t0")).await;
            assert_eq!(now().await, "Bearer t1");
            tokens.refused(&HeaderValue::from_static("Bearer t1")).await;
            assert_eq!(now().await, "Bearer t2");
        });
    }

    #[test]
    fn a_short_life_is_half_used() {
        let stub = server(",\"expires_in\":30");
        let tokens = at(&stub, &[]);
        let life = |body: &[u8]| tokens.read(body).unwrap().until - Instant::now();
        assert!(life(br#"{"access_token":"x","expires_in":30}"#).as_secs_f64() > 14.0);
        assert!(life(br#"{"access_token":"x"}"#).as_secs() > 3500);
    }

    #[test]
    fn who_gives_no_token_is_told_of_without_secrets() {
        let stub = server("");
        let tokens = at(&stub, &[]);
        let told = || block_on(tokens.header()).err().unwrap().to_string();
        for (reply, words) in [
            (
                Reply::new(401, r#"{"error":"invalid_client"}"#),
                "401 Unauthorized {\"error\":\"invalid_client\"}; check",
            ),
            (Reply::new(200, r#"{"token":"hush"}"#), "is no token"),
            (Reply::new(200, r#"{"access_token":"hu\nsh"}"#), "is no token"),
            (Reply::new(302, "elsewhere"), "302"),
        ] {
            stub.fail(Some(Fault::Instead(reply)));
            let told = told();
            assert!(told.contains(words) && !told.contains("hush"), "{told}");
        }
        stub.fail(Some(Fault::Garbage));
        assert!(told().starts_with("oauth2.token_url: "), "{}", told());
    }

    #[test]
    fn what_lacks_is_refused_at_the_start() {
        let refused = |url: &str, given: &[(&str, &str)]| {
            tokens(url, given).err().map(|error| error.message).unwrap_or_default()
        };
        assert!(refused("ftp://x", &[]).contains("is no address"));
        assert!(refused("http://x/", &[("oauth2.user_agent", "a\u{1}")]).contains("user_agent"));
        let on = options(Table(&[KEYS]), &[("oauth2.enable", "on")]);
        assert!(Tokens::new(&on).err().unwrap().help.unwrap().contains("oauth2.client_secret"));
        assert!(Tokens::new(&options(Table(&[KEYS]), &[])).unwrap().is_none());
    }
}
