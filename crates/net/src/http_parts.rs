//! What every client of HTTP needs: credentials as headers, the way to the server, what an answer says, errors in words.

use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flb_config::Variables;
use flb_plugin::{BuildError, is_exhausted};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderValue, RETRY_AFTER};
use reqwest::{NoProxy, Proxy};

/// The longest part of an answer that is looked at.
pub const LONGEST_ANSWER: usize = 64 * 1024;

/// A host as it stands in an address: one of IPv6 in brackets.
pub(crate) fn bracketed(host: &str) -> String {
    match host.contains(':') && !host.starts_with('[') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    }
}

/// `Retry-After` in seconds; dates are not looked at.
pub(crate) fn after(response: &reqwest::Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?;
    value.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// The beginning of an answer's body, as far as it comes.
pub(crate) async fn beginning(response: reqwest::Response) -> Vec<u8> {
    beginning_of(response, LONGEST_ANSWER).await
}

/// At most so many bytes of it.
pub(crate) async fn beginning_of(mut response: reqwest::Response, longest: usize) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < longest
        && let Ok(Some(piece)) = response.chunk().await
    {
        body.extend_from_slice(&piece);
    }
    body.truncate(longest);
    body
}

/// An error with its causes, the last of which says most.
pub(crate) fn explained(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    if error.is_timeout() { format!("timed out: {text}") } else { text }
}

/// Whether there was no descriptor or memory for the request.
pub(crate) fn has_no_room(error: &reqwest::Error) -> bool {
    let first = std::error::Error::source(error);
    let mut causes = std::iter::successors(first, |cause| cause.source());
    causes.any(|cause| cause.downcast_ref().is_some_and(is_exhausted))
}

/// Basic authentication.
pub fn basic(user: &str, password: &str) -> Result<HeaderValue, BuildError> {
    authorization("Basic", &STANDARD.encode(format!("{user}:{password}")))
}

/// The value of `Authorization` of this scheme; nobody shows it.
pub fn authorization(scheme: &str, credentials: &str) -> Result<HeaderValue, BuildError> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {credentials}"))
        .map_err(|error| BuildError::new(format!("the credentials are no header: {error}")))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The proxy that the environment names, as other programs read it.
pub(crate) fn environment_proxy(variables: &Variables) -> Result<Option<Proxy>, reqwest::Error> {
    let said = |name: &str| variables.get(name).or_else(|| variables.get(&name.to_lowercase()));
    let exceptions = said("NO_PROXY").unwrap_or_default();
    // The library takes this for all names, but not for addresses.
    let are_all = exceptions.split(',').any(|entry| entry.trim() == "*");
    match said("HTTP_PROXY") {
        Some(proxy) if !are_all => {
            Ok(Some(Proxy::all(proxy)?.no_proxy(NoProxy::from_string(exceptions))))
        }
        _ => Ok(None),
    }
}

/// Finds the server, whatever name TLS asks for.
pub(crate) struct AlwaysTo(String, u16);

impl AlwaysTo {
    pub(crate) fn new(host: &str, port: u16) -> Self {
        Self(host.trim_matches(['[', ']']).to_owned(), port)
    }
}

impl Resolve for AlwaysTo {
    fn resolve(&self, _: Name) -> Resolving {
        let Self(host, port) = self;
        let (host, port) = (host.clone(), *port);
        Box::pin(async move {
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), port)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}
