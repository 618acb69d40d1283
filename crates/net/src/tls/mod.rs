//! TLS settings: one group of options for servers and one for clients, read into what rustls wants.

mod client;
mod files;
mod server;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Arc;

use flb_plugin::keys::{Bool, Int, Key, Options, Row, Text};
use flb_plugin::{BuildError, keys};
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;

pub use client::{CLIENT, ClientTls, Trust, nobody};
pub use server::{SERVER, ServerTls};

/// What both ends have but for [`SWITCH`], for a table that has its own.
pub const FILES: &[Row] = match KEYS.split_first() {
    Some((_, rest)) => rest,
    None => &[],
};

keys! {
    /// What both ends have.
    pub const KEYS;
    pub SWITCH: Bool = Key::new("tls", "Speak TLS").default("off");
    CERTIFICATE: Option<Text> = Key::new("tls.crt_file", "Own certificate and its chain, PEM");
    KEY: Option<Text> = Key::new("tls.key_file", "Its private key, PEM");
    PASSWORD: Option<Text> =
        Key::new("tls.key_passwd", "Not supported: the key must be plain").secret();
    AUTHORITIES: Option<Text> = Key::new("tls.ca_file", "Certificates to trust, PEM");
    AUTHORITY_FOLDER: Option<Text> = Key::new("tls.ca_path", "Folder of certificates to trust");
    OLDEST: Option<Text> = Key::new("tls.min_version", "Oldest version: TLSv1.2 or TLSv1.3");
    NEWEST: Option<Text> = Key::new("tls.max_version", "Newest version: TLSv1.2 or TLSv1.3");
    DEBUG: Option<Int> = Key::new("tls.debug", "").idle("see log_level");
}

/// The cryptography: chosen here, and not by whoever comes first in the process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The versions from `tls.min_version` to `tls.max_version`.
fn versions(options: &Options) -> Result<Vec<&'static SupportedProtocolVersion>, BuildError> {
    let limit = |key: Key<Option<Text>>, default: u8| {
        let (name, Some(text)) = (key.name(), options.get(key)) else { return Ok(default) };
        let version = text.to_ascii_lowercase();
        match version.trim_start_matches("tls").trim_start_matches('v').replace('_', ".").as_str() {
            "1" | "1.0" | "1.1" | "1.2" => Ok(2),
            "1.3" => Ok(3),
            _ => Err(BuildError::new(format!("{name} '{text}' is no version of TLS"))
                .help("use TLSv1.2 or TLSv1.3")),
        }
    };
    let (oldest, newest) = (limit(OLDEST, 2)?, limit(NEWEST, 3)?);
    let mut versions = Vec::new();
    if oldest <= 2 {
        versions.push(&rustls::version::TLS12);
    }
    if newest >= 3 {
        versions.push(&rustls::version::TLS13);
    }
    if oldest > newest {
        return Err(BuildError::new("tls.min_version is above tls.max_version"));
    }
    Ok(versions)
}

/// A problem with what the options say.
fn refused(error: &rustls::Error) -> BuildError {
    BuildError::new(format!("TLS: {error}"))
}
