//! TLS settings: one group of options for servers and one for clients, read into what rustls wants.

mod client;
mod files;
mod server;
#[cfg(test)]
mod tests;
mod verify;

use std::sync::Arc;

use flb_plugin::{BuildError, Kind, OptionSpec, Options};
use rustls::SupportedProtocolVersion;
use rustls::crypto::CryptoProvider;

pub use client::{CLIENT, ClientTls, nobody};
pub use server::{SERVER, ServerTls};

/// What both ends have.
const SWITCH: OptionSpec = OptionSpec::new("tls", Kind::Bool, Some("off"), "Speak TLS");
const CERTIFICATE: OptionSpec =
    OptionSpec::new("tls.crt_file", Kind::Text, None, "Own certificate and its chain, PEM");
const KEY: OptionSpec = OptionSpec::new("tls.key_file", Kind::Text, None, "Its private key, PEM");
const PASSWORD: OptionSpec =
    OptionSpec::new("tls.key_passwd", Kind::Text, None, "Not supported: the key must be plain")
        .secret();
const AUTHORITIES: OptionSpec =
    OptionSpec::new("tls.ca_file", Kind::Text, None, "Certificates to trust, PEM");
const AUTHORITY_FOLDER: OptionSpec =
    OptionSpec::new("tls.ca_path", Kind::Text, None, "Folder of certificates to trust");
const OLDEST: OptionSpec =
    OptionSpec::new("tls.min_version", Kind::Text, None, "Oldest version: TLSv1.2 or TLSv1.3");
const NEWEST: OptionSpec =
    OptionSpec::new("tls.max_version", Kind::Text, None, "Newest version: TLSv1.2 or TLSv1.3");
const DEBUG: OptionSpec =
    OptionSpec::new("tls.debug", Kind::Int, Some("1"), "Without effect: see log_level");

/// The cryptography: chosen here, and not by whoever comes first in the process.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The versions from `tls.min_version` to `tls.max_version`.
fn versions(options: &Options) -> Result<Vec<&'static SupportedProtocolVersion>, BuildError> {
    let limit = |name: &str, default: u8| {
        let Some(text) = options.text(name) else { return Ok(default) };
        let version = text.to_ascii_lowercase();
        match version.trim_start_matches("tls").trim_start_matches('v').replace('_', ".").as_str() {
            "1" | "1.0" | "1.1" | "1.2" => Ok(2),
            "1.3" => Ok(3),
            _ => Err(BuildError::new(format!("{name} '{text}' is no version of TLS"))
                .help("use TLSv1.2 or TLSv1.3")),
        }
    };
    let (oldest, newest) = (limit("tls.min_version", 2)?, limit("tls.max_version", 3)?);
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
