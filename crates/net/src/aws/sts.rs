//! STS, which lends credentials: to who has others, and to who has a token of an identity that it trusts.

use std::time::Duration;

use flb_plugin::BuildError;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};

use super::clock::Clock;
use super::credentials::{Credentials, CredentialsError};
use super::endpoint::Endpoint;
use super::refusal::Refusal;
use super::signature::{Request, Scope, escaped, headers_of, sign};
use crate::api_client::{ApiClient, Bounds};
use crate::hex::digits;

const VERSION: (&str, &str) = ("Version", "2011-06-15");
const FORM: &str = "application/x-www-form-urlencoded";
const BOUNDS: Bounds =
    Bounds { connect: Duration::from_secs(10), whole: Duration::from_secs(30), bytes: 64 * 1024 };

/// Its client.
pub(super) struct Sts {
    client: ApiClient,
    host: String,
    scope: Scope,
    clock: Clock,
    /// By what name it knows this agent.
    session: String,
}

impl Sts {
    pub(super) fn new(
        endpoint: &Endpoint,
        region: &str,
        session: Option<&str>,
        variables: &flb_config::Variables,
        clock: Clock,
    ) -> Result<Self, BuildError> {
        let scope = Scope { region: region.to_owned(), service: "sts".to_owned() };
        let session = session.map_or_else(any_session, |name| Ok(name.to_owned()))?;
        let client = endpoint.client(None, BOUNDS, variables)?;
        Ok(Self { client, host: endpoint.host(), scope, clock, session })
    }

    /// The credentials of a role, for who has others.
    pub(super) async fn assume(
        &self,
        place: &'static str,
        role: &str,
        external_id: Option<&str>,
        own: &Credentials,
    ) -> Result<Credentials, CredentialsError> {
        let mut form = self.form("AssumeRole", role);
        form.extend(external_id.map(|id| ("ExternalId", id)));
        self.ask(place, &form, Some(own)).await
    }

    /// The credentials of a role, for who has a token.
    pub(super) async fn exchange(
        &self,
        place: &'static str,
        role: &str,
        token: &str,
    ) -> Result<Credentials, CredentialsError> {
        let mut form = self.form("AssumeRoleWithWebIdentity", role);
        form.push(("WebIdentityToken", token));
        self.ask(place, &form, None).await
    }

    fn form<'a>(&'a self, action: &'a str, role: &'a str) -> Vec<(&'static str, &'a str)> {
        vec![("Action", action), VERSION, ("RoleSessionName", &self.session), ("RoleArn", role)]
    }

    async fn ask(
        &self,
        place: &'static str,
        form: &[(&str, &str)],
        own: Option<&Credentials>,
    ) -> Result<Credentials, CredentialsError> {
        let at = |why: String| CredentialsError::at(place, why);
        let pairs = form.iter().map(|(name, value)| format!("{name}={}", escaped(value, "")));
        let body = pairs.collect::<Vec<_>>().join("&");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        headers.extend(HeaderValue::from_str(&self.host).map(|host| (HOST, host)));
        if let Some(own) = own {
            let signed = [("content-type", FORM), ("host", self.host.as_str())];
            let request =
                Request { method: "POST", path: "/", headers: &signed, body: body.as_bytes() };
            let added = sign(&request, &self.scope, own, self.clock.now());
            headers.extend(headers_of(added));
        }
        let answer = self.client.send(Method::POST, "/", headers, body.into()).await;
        let answer = answer.map_err(|error| at(format!("{}: {error}", self.host)))?;
        if !answer.is_success() {
            return Err(at(format!("{}: {}", self.host, Refusal::of(answer.status, &answer.body))));
        }
        Credentials::of_xml(&answer.body).map_err(|why| at(format!("{}: {why}", self.host)))
    }
}

/// A name that no other agent has.
fn any_session() -> Result<String, BuildError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| BuildError::new(format!("the system gives no randomness: {error}")))?;
    Ok(format!("flb-agent-{}", digits(&bytes)))
}
