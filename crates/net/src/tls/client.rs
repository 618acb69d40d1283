//! TLS of those who dial.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use flb_plugin::keys::{Bool, Key, Options, Text};
use flb_plugin::{Build, BuildError, keys};
use rustls::client::{WantsClientCert, WebPkiServerVerifier};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use tokio_rustls::TlsConnector;

use super::{files, provider, refused, verify, versions};
use crate::stream::Stream;

keys! {
    /// The options of a client, beside those that both ends have.
    pub const CLIENT;
    TLS_VERIFY: Bool = Key::new("tls.verify", "Check the server's certificate").default("on");
    TLS_VERIFY_HOSTNAME: Bool =
        Key::new("tls.verify_hostname", "Check that it is for this host").default("on");
    TLS_VHOST: Option<Text> = Key::new("tls.vhost", "Name to ask for, instead of the host's");
}

/// What makes TLS connections.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    vhost: Option<String>,
}

/// Whom a client without the options above takes for its server.
#[derive(Debug, Clone)]
pub struct Trust {
    /// Whether it looks at certificates at all.
    pub verify: bool,
    /// Whether they must be for the server's name.
    pub verify_hostname: bool,
    /// The name that the server must have instead of its host's.
    pub vhost: Option<String>,
    /// A file of certificates to trust.
    pub file: Option<PathBuf>,
    /// A folder of them. Without either, those of the system.
    pub folder: Option<PathBuf>,
    /// What the options of these two are called.
    pub options: (&'static str, &'static str),
}

impl Trust {
    /// Servers with a certificate for their own name, of an authority that the system trusts.
    pub fn system() -> Self {
        Self {
            verify: true,
            verify_hostname: true,
            vhost: None,
            file: None,
            folder: None,
            options: ("", ""),
        }
    }
}

impl ClientTls {
    /// As the options say; `None` when `tls` is off.
    pub fn new(options: &Options, build: &Build<'_>) -> Result<Option<Self>, BuildError> {
        options.get(super::SWITCH).then(|| Self::of(options, build)).transpose()
    }

    /// As the options say for a server that speaks TLS, whatever `tls` says.
    pub fn of(options: &Options, build: &Build<'_>) -> Result<Self, BuildError> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&versions(options)?)
            .map_err(|error| refused(&error))?;
        let (verify, verify_hostname) = (options.get(TLS_VERIFY), options.get(TLS_VERIFY_HOSTNAME));
        let trusted = || files::authorities(options, build, true);
        let config = verified(config, verify, verify_hostname, trusted)?;
        let config = match files::identity(options, build)? {
            Some((chain, key)) => {
                config.with_client_auth_cert(chain, key).map_err(|error| refused(&error))?
            }
            None => config.with_no_client_auth(),
        };
        let vhost = options.get(TLS_VHOST).map(str::to_owned);
        Ok(Self { config: Arc::new(config), vhost })
    }

    /// As somebody says who has no such options.
    pub fn trusting(trust: &Trust) -> Result<Self, BuildError> {
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(&error))?;
        let config = verified(config, trust.verify, trust.verify_hostname, || {
            let file = trust.file.as_deref().map(|path| (trust.options.0, path));
            let folder = trust.folder.as_deref().map(|path| (trust.options.1, path));
            files::trusted(file, folder, true)
        })?;
        let (config, vhost) = (Arc::new(config.with_no_client_auth()), trust.vhost.clone());
        Ok(Self { config, vhost })
    }

    /// The name that the server must have instead of its host's.
    pub fn vhost(&self) -> Option<&str> {
        self.vhost.as_deref()
    }

    /// The settings alone, for clients that dial by themselves.
    pub fn config(&self) -> ClientConfig {
        ClientConfig::clone(&self.config)
    }

    /// Does the handshake with a server.
    pub async fn connect(&self, host: &str, stream: Stream) -> io::Result<Stream> {
        let name = ServerName::try_from(self.vhost().unwrap_or(host).to_owned())
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "no name for TLS"))?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let connected = connector.connect(name, stream).await;
        Ok(Box::new(connected.map_err(|error| explained(host, error))?))
    }
}

/// Adds whom the client takes for the server: anybody, whoever has a certificate of those that are trusted, or only who has
/// one for its own name.
fn verified(
    config: ConfigBuilder<ClientConfig, WantsVerifier>,
    verify: bool,
    verify_hostname: bool,
    trusted: impl FnOnce() -> Result<RootCertStore, BuildError>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, BuildError> {
    if !verify {
        let lenient = Arc::new(verify::Lenient::anybody(&provider()));
        return Ok(config.dangerous().with_custom_certificate_verifier(lenient));
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(trusted()?), provider());
    let verifier = verifier.build().map_err(|error| BuildError::new(format!("TLS: {error}")))?;
    if verify_hostname {
        return Ok(config.with_webpki_verifier(verifier));
    }
    let lenient = Arc::new(verify::Lenient::any_name(verifier, &provider()));
    Ok(config.dangerous().with_custom_certificate_verifier(lenient))
}

/// The settings of a client that speaks no TLS and is made of a library that asks for some.
pub fn nobody() -> ClientConfig {
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring has what the default versions need")
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth()
}

/// Adds what to do where the certificate is for somebody else.
fn explained(host: &str, error: io::Error) -> io::Error {
    let is_name = error.get_ref().and_then(|inner| inner.downcast_ref()).is_some_and(|inner| {
        matches!(inner, rustls::Error::InvalidCertificate(reason) if verify::is_name(reason))
    });
    if !is_name {
        return error;
    }
    let help = "set tls.vhost to the name in it, or tls.verify_hostname off";
    io::Error::new(error.kind(), format!("the certificate is not for {host} ({error}); {help}"))
}
