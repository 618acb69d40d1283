//! The credentials that a container is given: by ECS, by EKS Pod Identity, by Greengrass.

use std::path::PathBuf;
use std::time::Duration;

use flb_config::Variables;
use flb_plugin::BuildError;

use super::credentials::{Credentials, CredentialsError};
use super::profiles::text_of;
use super::refusal::Refusal;
use crate::api_client::{Address, ApiClient, Bounds};
use crate::tls::{ClientTls, Trust};

const PLACE: &str = "container";
const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

/// Where ECS gives them.
const ECS: &str = "http://169.254.170.2";
/// The hosts that may give them without TLS: ECS, EKS, and this machine.
const NEAR: &[&str] =
    &["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]", "localhost", "127.0.0.1", "[::1]"];

/// The service is a hop away, or it is not there at all.
const BOUNDS: Bounds =
    Bounds { connect: Duration::from_secs(2), whole: Duration::from_secs(10), bytes: 64 * 1024 };

/// What gives them.
pub(super) struct Container {
    client: ApiClient,
    path: String,
    token: Option<Token>,
}

/// What is shown to it.
enum Token {
    Text(String),
    /// Made anew every now and then.
    File(PathBuf),
}

impl Container {
    /// The one that the environment names, if it does.
    pub(super) fn of(variables: &Variables) -> Result<Option<Self>, BuildError> {
        let (name, uri) = match (variables.get(RELATIVE), variables.get(FULL)) {
            (Some(path), _) => (RELATIVE, format!("{ECS}{path}")),
            (None, Some(uri)) => (FULL, uri.to_owned()),
            (None, None) => return Ok(None),
        };
        let wrong = || {
            BuildError::new(format!("{name} '{uri}' is no address that gives credentials")).help(
                "write https://host/path, or http:// to this machine or its container service",
            )
        };
        let slash = uri.splitn(3, '/').nth(2).and_then(|rest| rest.find('/'));
        let start = uri.find("://").map_or(0, |at| at + 3);
        let (host, path) = uri.split_at(slash.map_or(uri.len(), |slash| start + slash));
        let address = Address::parse(host, if host.starts_with("https") { 443 } else { 80 });
        let is_trusted =
            |address: &Address| address.is_tls || NEAR.contains(&address.host.as_str());
        let address = address.filter(is_trusted).ok_or_else(wrong)?;
        let tls = address.is_tls.then(|| ClientTls::trusting(&Trust::system())).transpose()?;
        let client = ApiClient::new(&address, tls.as_ref(), BOUNDS)
            .map_err(|error| BuildError::new(format!("{name}: {error}")))?;
        let file = variables.get(TOKEN_FILE).map(|path| Token::File(path.into()));
        let token = file.or_else(|| variables.get(TOKEN).map(|text| Token::Text(text.to_owned())));
        let path = if path.is_empty() { "/" } else { path };
        Ok(Some(Self { client, path: path.to_owned(), token }))
    }

    pub(super) async fn credentials(&self) -> Result<Credentials, CredentialsError> {
        let at = |why: String| CredentialsError::at(PLACE, why);
        let token = match &self.token {
            Some(Token::Text(text)) => Some(text.clone()),
            Some(Token::File(path)) => {
                let text =
                    text_of(path).map_err(|error| at(format!("{}: {error}", path.display())))?;
                let text = text.ok_or_else(|| at(format!("{} is not there", path.display())))?;
                Some(text.trim().to_owned())
            }
            None => None,
        };
        let shown: Vec<(&str, &str)> =
            token.iter().map(|token| ("Authorization", token.as_str())).collect();
        let answer = self.client.get(&self.path, &shown).await;
        let answer = answer.map_err(|error| at(error.to_string()))?;
        if !answer.is_success() {
            return Err(at(Refusal::of(answer.status, &answer.body).to_string()));
        }
        Credentials::of_json(&answer.body).map_err(|why| at(why.to_owned()))
    }
}
