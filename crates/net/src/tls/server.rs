//! TLS of those who listen.

use std::io;
use std::sync::Arc;

use flb_plugin::keys::{Bool, Key, Options};
use flb_plugin::{Build, BuildError, keys};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use super::{files, provider, refused, versions};
use crate::stream::Stream;

keys! {
    /// The options of a server, beside those that both ends have.
    pub const SERVER;
    TLS_VERIFY_CLIENT_CERT: Bool =
        Key::new("tls.verify_client_cert", "Ask for a certificate").default("off");
    TLS_VERIFY: Option<Bool> =
        Key::new("tls.verify", "").idle("clients are asked by tls.verify_client_cert");
}

/// What accepts TLS connections.
#[derive(Clone)]
pub struct ServerTls(TlsAcceptor);

impl ServerTls {
    /// As the options say; `None` when `tls` is off.
    pub fn new(options: &Options, build: &Build<'_>) -> Result<Option<Self>, BuildError> {
        if !options.get(super::SWITCH) {
            return Ok(None);
        }
        let Some((chain, key)) = files::identity(options, build)? else {
            return Err(BuildError::new("tls is on, and there is no certificate to show")
                .help("name it with tls.crt_file, and its key with tls.key_file"));
        };
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&versions(options)?)
            .map_err(|error| refused(&error))?;
        let config = if options.get(TLS_VERIFY_CLIENT_CERT) {
            let trusted = Arc::new(files::authorities(options, build, false)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(trusted, provider()).build();
            let verifier = verifier.map_err(|error| BuildError::new(format!("TLS: {error}")))?;
            config.with_client_cert_verifier(verifier)
        } else {
            config.with_no_client_auth()
        };
        let config = config.with_single_cert(chain, key).map_err(|error| refused(&error))?;
        Ok(Some(Self(TlsAcceptor::from(Arc::new(config)))))
    }

    /// The same, for clients that ask for one of these protocols, the best first (ALPN).
    pub fn speaking(self, protocols: &[&str]) -> Self {
        let mut config = ServerConfig::clone(self.0.config());
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self(TlsAcceptor::from(Arc::new(config)))
    }

    /// Does the handshake with a client.
    pub async fn accept(&self, stream: Stream) -> io::Result<Stream> {
        Ok(Box::new(self.0.accept(stream).await?))
    }
}
