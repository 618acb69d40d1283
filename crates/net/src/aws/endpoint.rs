//! Where a service is: what an option says, or AWS's own server of a region.

use flb_config::Variables;
use flb_plugin::BuildError;
use flb_plugin::keys::{Key, Options, Text};

use crate::api_client::{Address, ApiClient, ApiError, Bounds};
use crate::http_parts::{bracketed, environment_proxy};
use crate::tls::{ClientTls, Trust};

/// What domains of regions end in that are none of `.amazonaws.com`.
const DOMAINS: &[(&str, &str)] = &[
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
];

/// Where a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(pub(super) Address);

impl Endpoint {
    /// AWS's own server of a service.
    pub fn of(service: &str, region: &str) -> Self {
        let found = DOMAINS.iter().find(|(beginning, _)| region.starts_with(beginning));
        let domain = found.map_or("amazonaws.com", |(_, domain)| domain);
        Self(Address { is_tls: true, host: format!("{service}.{region}.{domain}"), port: 443 })
    }

    /// What an option says: an address, or a host with or without a port.
    pub fn given(option: &str, text: &str, is_tls: bool) -> Result<Self, BuildError> {
        let scheme = if is_tls { "https" } else { "http" };
        let text = match text.contains("://") {
            true => text.to_owned(),
            false => format!("{scheme}://{text}"),
        };
        let port = if text.starts_with("https:") { 443 } else { 80 };
        Address::parse(&text, port).map(Self).ok_or_else(|| {
            BuildError::new(format!("{option} '{text}' is no address"))
                .help("write https://host:port")
        })
    }

    /// What an option says, or else AWS's own.
    pub(super) fn of_option(
        options: &Options,
        key: Key<Option<Text>>,
        is_tls: bool,
        otherwise: impl FnOnce() -> Self,
    ) -> Result<Self, BuildError> {
        let given = options.get(key).map(|text| Self::given(key.name(), text, is_tls));
        given.unwrap_or_else(|| Ok(otherwise()))
    }

    /// The same at another port.
    #[must_use]
    pub fn at(self, port: u16) -> Self {
        Self(Address { port, ..self.0 })
    }

    /// A client of the server there, through a proxy if the environment names one.
    pub(super) fn client(
        &self,
        tls: Option<ClientTls>,
        bounds: Bounds,
        variables: &Variables,
    ) -> Result<ApiClient, BuildError> {
        let tls = match tls {
            None if self.0.is_tls => Some(ClientTls::trusting(&Trust::system())?),
            tls => tls,
        };
        let refused = |error: ApiError| BuildError::new(format!("{self}: {error}"));
        let proxy = environment_proxy(variables).map_err(|error| refused(error.into()))?;
        ApiClient::through(&self.0, tls.as_ref(), bounds, proxy).map_err(refused)
    }

    /// What requests say in `Host`: no port where it is the usual one.
    pub(super) fn host(&self) -> String {
        let Address { is_tls, host, port } = &self.0;
        match (is_tls, port) {
            (true, 443) | (false, 80) => bracketed(host),
            _ => format!("{}:{port}", bracketed(host)),
        }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_has_its_server() {
        for (region, host) in [
            ("eu-central-1", "logs.eu-central-1.amazonaws.com"),
            ("cn-north-1", "logs.cn-north-1.amazonaws.com.cn"),
            ("us-isob-east-1", "logs.us-isob-east-1.sc2s.sgov.gov"),
            ("us-iso-east-1", "logs.us-iso-east-1.c2s.ic.gov"),
        ] {
            assert_eq!(Endpoint::of("logs", region).host(), host);
        }
    }

    #[test]
    fn an_option_names_a_server_in_several_ways() {
        let told = |text: &str| Endpoint::given("endpoint", text, true).map(|it| it.0.to_string());
        assert_eq!(told("h").unwrap(), "https://h:443");
        assert_eq!(told("h:9000").unwrap(), "https://h:9000");
        assert_eq!(told("http://h").unwrap(), "http://h:80");
        assert_eq!(told("https://h:1/").unwrap(), "https://h:1");
        assert_eq!(
            told("http://h/path").unwrap_err().message,
            "endpoint 'http://h/path' is no address"
        );
    }
}
