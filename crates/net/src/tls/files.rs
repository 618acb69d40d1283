//! Certificates and keys from files.

use std::path::Path;

use flb_plugin::keys::Options;
use flb_plugin::{Build, BuildError};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{AUTHORITIES, AUTHORITY_FOLDER, CERTIFICATE, KEY, PASSWORD};
use crate::options::file;

/// One's own certificate with its chain, and its key.
pub(super) type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What `tls.crt_file` and `tls.key_file` hold, if they are given.
pub(super) fn identity(
    options: &Options,
    build: &Build<'_>,
) -> Result<Option<Identity>, BuildError> {
    if options.get(PASSWORD).is_some() {
        return Err(BuildError::new("tls.key_passwd: encrypted keys are not supported")
            .help("decrypt it: openssl pkey -in key.pem -out plain.pem; and protect the file"));
    }
    match (options.get(CERTIFICATE), options.get(KEY)) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(&file(certificate, build.service), "tls.crt_file")?;
            let path = file(key, build.service);
            let key = PrivateKeyDer::from_pem_slice(&read(&path, "tls.key_file")?);
            let key = key.map_err(|_| {
                BuildError::new(format!("tls.key_file {}: no private key in it", path.display()))
                    .help("it must be PEM: -----BEGIN PRIVATE KEY-----, not encrypted")
            })?;
            Ok(Some((chain, key)))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(BuildError::new("tls.crt_file needs tls.key_file")),
        (None, Some(_)) => Err(BuildError::new("tls.key_file needs tls.crt_file")),
    }
}

/// Authorities that an option names: its name, and the path.
pub(super) type NamedPath<'a> = (&'a str, &'a Path);

/// The authorities that the options of servers and clients name; without them, those of the system if `system`.
pub(super) fn authorities(
    options: &Options,
    build: &Build<'_>,
    system: bool,
) -> Result<RootCertStore, BuildError> {
    let path = |path| file(path, build.service);
    let (one, all) = (options.get(AUTHORITIES).map(path), options.get(AUTHORITY_FOLDER).map(path));
    let one = one.as_deref().map(|path| ("tls.ca_file", path));
    trusted(one, all.as_deref().map(|path| ("tls.ca_path", path)), system)
}

/// The authorities in a file and in a folder; without them, those of the system if `system`.
pub(super) fn trusted(
    file: Option<NamedPath<'_>>,
    folder: Option<NamedPath<'_>>,
    system: bool,
) -> Result<RootCertStore, BuildError> {
    let mut found = Vec::new();
    if let Some((option, path)) = file {
        found.extend(certificates(path, option)?);
    }
    if let Some((option, path)) = folder {
        let loaded = rustls_native_certs::load_certs_from_paths(None, Some(path));
        if loaded.certs.is_empty() {
            let message = format!("{option} {}: no certificates in it", path.display());
            return Err(
                BuildError::new(message).help("its files must be PEM, named as c_rehash does")
            );
        }
        found.extend(loaded.certs);
    }
    if found.is_empty() && system {
        found = rustls_native_certs::load_native_certs().certs;
    }
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(found);
    if store.is_empty() {
        return Err(BuildError::new("TLS: there are no certificates to trust")
            .help("name them with tls.ca_file, or install the system's ca-certificates"));
    }
    Ok(store)
}

fn certificates(path: &Path, option: &str) -> Result<Vec<CertificateDer<'static>>, BuildError> {
    let pem = read(path, option)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(BuildError::new(format!("{option} {}: no certificate in it", path.display()))
            .help("it must be PEM: -----BEGIN CERTIFICATE-----")),
    }
}

fn read(path: &Path, option: &str) -> Result<Vec<u8>, BuildError> {
    std::fs::read(path)
        .map_err(|error| BuildError::new(format!("{option} {}: {error}", path.display())))
}
