//! What an EC2 instance knows of itself: a client of the instance metadata service, IMDS, in either version.

use std::time::Duration;

use flb_config::Variables;
use tokio::sync::Mutex;

use crate::api_client::{Address, ApiAnswer, ApiClient, ApiError, Bounds};
use flb_plugin::BuildError;
use flb_plugin::keys::Word;
use flb_plugin::log::excerpt;

/// Where the service is, unless the variable that all programs for AWS know says otherwise.
const ENDPOINT: &str = "http://169.254.169.254";
const VARIABLE: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";

/// Where tokens are made, how long they live, and where they are shown.
const TOKEN_PATH: &str = "/latest/api/token";
const TOKEN_LIFE: (&str, &str) = ("X-aws-ec2-metadata-token-ttl-seconds", "21600");
const TOKEN: &str = "X-aws-ec2-metadata-token";

/// The service is a hop away, or it is not there at all.
const BOUNDS: Bounds =
    Bounds { connect: Duration::from_secs(1), whole: Duration::from_secs(5), bytes: 64 * 1024 };

/// A version of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImdsVersion {
    /// Plain requests.
    One,
    /// Requests that show a token.
    Two,
}

impl Word for ImdsVersion {
    const ALL: &'static [(&'static str, Self)] = &[("v2", Self::Two), ("v1", Self::One)];
}

/// Why the service does not say something.
#[derive(Debug, thiserror::Error)]
pub enum ImdsError {
    /// It gives no answer.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// It refuses to say it.
    #[error("HTTP status={status} {text}")]
    Refused {
        /// The status.
        status: u16,
        /// The beginning of the answer.
        text: String,
    },
    /// The answer is no text.
    #[error("the answer is not UTF-8")]
    NotText,
}

impl ImdsError {
    /// The error in one word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Api(error) => error.word(),
            Self::Refused { .. } => "status",
            Self::NotText => "answer",
        }
    }
}

/// A client of the service.
pub struct Imds {
    client: ApiClient,
    version: ImdsVersion,
    token: Mutex<Option<String>>,
}

impl Imds {
    /// A client that asks in this version, as the environment says where.
    pub fn new(version: ImdsVersion, variables: &Variables) -> Result<Self, BuildError> {
        let endpoint = variables.get(VARIABLE).unwrap_or(ENDPOINT);
        let address = Address::parse(endpoint, 80).filter(|address| !address.is_tls);
        let address = address.ok_or_else(|| {
            BuildError::new(format!("{VARIABLE} '{endpoint}' is no address"))
                .help(format!("write {ENDPOINT}"))
        })?;
        let client = ApiClient::new(&address, None, BOUNDS)
            .map_err(|error| BuildError::new(format!("IMDS: {error}")))?;
        Ok(Self { client, version, token: Mutex::new(None) })
    }

    /// What the service says at this path; `None` if there is no such thing.
    pub async fn text(&self, path: &str) -> Result<Option<String>, ImdsError> {
        let answer = match self.version {
            ImdsVersion::One => self.client.get(path, &[]).await?,
            ImdsVersion::Two => self.with_token(path).await?,
        };
        match answer.status {
            404 => Ok(None),
            _ => String::from_utf8(succeeded(answer)?).map(Some).map_err(|_| ImdsError::NotText),
        }
    }

    /// Asks with the token that there is, and with a new one where that has run out.
    async fn with_token(&self, path: &str) -> Result<ApiAnswer, ImdsError> {
        let mut token = self.token.lock().await;
        if let Some(token) = token.as_deref() {
            let answer = self.client.get(path, &[(TOKEN, token)]).await?;
            if answer.status != 401 {
                return Ok(answer);
            }
        }
        let made = succeeded(self.client.put(TOKEN_PATH, &[TOKEN_LIFE]).await?)?;
        let made = token.insert(String::from_utf8(made).map_err(|_| ImdsError::NotText)?);
        Ok(self.client.get(path, &[(TOKEN, made)]).await?)
    }
}

/// The body of an answer that gives what was asked for.
fn succeeded(answer: ApiAnswer) -> Result<Vec<u8>, ImdsError> {
    match answer.is_success() {
        true => Ok(answer.body),
        false => Err(ImdsError::Refused { status: answer.status, text: excerpt(&answer.body) }),
    }
}
