//! A client of one of AWS's services: signs, asks once more where that may help, and says what the service says.

use std::time::Duration;

use flb_plugin::keys::Options;
use flb_plugin::{Build, BuildError};
use reqwest::Method;
use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};

use super::clock::Clock;
use super::credentials::CredentialsError;
use super::endpoint::Endpoint;
use super::identity::Identity;
use super::refusal::Refusal;
use super::signature::Request;
use super::signer::Signer;
use super::wallet::Wallet;
use super::{AUTO_RETRY_REQUESTS, ENDPOINT, EXTERNAL_ID, PROFILE, ROLE_ARN, STS_ENDPOINT, TLS};
use crate::api_client::{ApiAnswer, ApiClient, ApiError, Bounds};
use crate::dial::{NET_CONNECT_TIMEOUT, NET_IO_TIMEOUT, timeout};
use crate::tls::ClientTls;

/// What an answer may be long.
const ANSWER: usize = 1 << 20;
/// Who asks.
const AGENT: &str = concat!("flb-agent/", env!("CARGO_PKG_VERSION"));

/// A client.
pub struct Service {
    client: ApiClient,
    endpoint: Endpoint,
    signer: Signer,
    agent: HeaderValue,
    asks_again: bool,
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The path, with what stands behind a `?`, escaped.
    pub path: String,
    /// Headers that are signed: names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: bytes::Bytes,
}

/// Why there is no answer that says yes.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nobody may ask.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    /// The service says nothing.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The service says no.
    #[error("{0}")]
    Refused(Refusal, Option<Duration>),
}

impl CallError {
    /// The reason in one word, for a counter.
    pub fn reason(&self) -> String {
        match self {
            Self::Credentials(_) => "credentials".to_owned(),
            Self::Api(error) => error.word().to_owned(),
            Self::Refused(refusal, _) => refusal.reason(),
        }
    }

    /// When to ask again, if the service says so.
    pub fn after(&self) -> Option<Duration> {
        match self {
            Self::Refused(_, after) => *after,
            _ => None,
        }
    }

    /// The error's name, if the service gives one.
    pub fn code(&self) -> &str {
        match self {
            Self::Refused(refusal, _) => &refusal.code,
            _ => "",
        }
    }

    /// Whether asking once more, at once, may help.
    fn may_pass(&self) -> bool {
        match self {
            Self::Credentials(_) => false,
            Self::Api(error) => !matches!(error, ApiError::TooLarge(_)),
            Self::Refused(refusal, _) => refusal.status >= 500 && refusal.code != "SlowDown",
        }
    }
}

impl Service {
    /// A client of a service, as the options in [`KEYS`](super::KEYS), of TLS and of dialling say.
    pub fn new(
        name: &str,
        region: &str,
        extra_agent: Option<&str>,
        port: Option<u16>,
        options: &Options,
        build: &Build<'_>,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        let variables = &build.service.variables;
        let endpoint = Endpoint::of_option(options, ENDPOINT, options.get(TLS), || {
            Endpoint::of(name, region)
        })?;
        let endpoint = port.map_or(endpoint.clone(), |port| endpoint.at(port));
        let identity = Identity {
            region,
            role_arn: options.get(ROLE_ARN),
            external_id: options.get(EXTERNAL_ID),
            sts_endpoint: options.get(STS_ENDPOINT),
            profile: options.get(PROFILE),
        };
        let wallet = Wallet::new(&identity, variables, clock.clone())?;
        let tls = endpoint.0.is_tls.then(|| ClientTls::of(options, build)).transpose()?;
        let bounds = Bounds {
            connect: timeout(options, NET_CONNECT_TIMEOUT),
            whole: timeout(options, NET_IO_TIMEOUT),
            bytes: ANSWER,
        };
        let extra = extra_agent.map(|extra| format!(" {extra}")).unwrap_or_default();
        let agent = HeaderValue::from_str(&format!("{AGENT}{extra}")).map_err(|_| {
            BuildError::new("extra_user_agent may not stand in a header").help("use plain letters")
        })?;
        Ok(Self {
            client: endpoint.client(tls, bounds, variables)?,
            endpoint,
            signer: Signer::new(wallet, region, name, clock),
            agent,
            asks_again: options.get(AUTO_RETRY_REQUESTS),
        })
    }

    /// The answer to a call that the service takes.
    pub async fn call(&self, call: &Call) -> Result<ApiAnswer, CallError> {
        match self.once(call).await {
            Err(CallError::Refused(refusal, _)) if refusal.is_stale() => {
                self.signer.renew().await;
                self.once(call).await
            }
            Err(error) if self.asks_again && error.may_pass() => self.once(call).await,
            answer => answer,
        }
    }

    async fn once(&self, call: &Call) -> Result<ApiAnswer, CallError> {
        let host = self.endpoint.host();
        let own = call.headers.iter().map(|(name, value)| (*name, value.as_str()));
        let signed: Vec<(&str, &str)> = own.chain([("host", host.as_str())]).collect();
        let request = Request {
            method: call.method.as_str(),
            path: &call.path,
            headers: &signed,
            body: &call.body,
        };
        let mut headers = self.signer.sign(&request).await?;
        headers.extend(readable(&signed));
        headers.insert(USER_AGENT, self.agent.clone());
        let (method, body) = (call.method.clone(), call.body.clone());
        let answer = self.client.send(method, &call.path, headers, body).await?;
        match answer.is_success() {
            true => Ok(answer),
            false => {
                Err(CallError::Refused(Refusal::of(answer.status, &answer.body), answer.after))
            }
        }
    }
}

impl std::fmt::Display for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.endpoint.fmt(f)
    }
}

/// Headers as the client wants them.
fn readable(headers: &[(&str, &str)]) -> HeaderMap {
    let pairs = headers.iter().filter_map(|(name, value)| {
        let name =
            if *name == "host" { HOST } else { HeaderName::from_bytes(name.as_bytes()).ok()? };
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    pairs.collect()
}
