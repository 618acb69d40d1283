//! What the texts of options mean that several plugins have.

use std::path::{Path, PathBuf};

use flb_plugin::{BuildError, Service};

/// The port that `text` says; `least` is the lowest one that makes sense there.
pub fn port(text: &str, least: u16) -> Result<u16, BuildError> {
    text.parse().map_err(|_| {
        BuildError::new(format!("port '{text}' is not a port number"))
            .help(format!("use a number from {least} to 65535"))
    })
}

/// A file that an option names. One that is not there as it is may be meant from the configuration's directory.
pub fn file(path: &str, service: &Service) -> PathBuf {
    let path = Path::new(path);
    match &service.config_dir {
        Some(directory) if path.is_relative() && !path.exists() => directory.join(path),
        _ => path.to_owned(),
    }
}
