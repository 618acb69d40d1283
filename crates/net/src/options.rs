//! Tables of options that are put together from groups.

use std::path::{Path, PathBuf};

use flb_plugin::{BuildError, Kind, OptionSpec, Service};

/// One table of several groups' rows. `N` is the number of all rows.
pub const fn joined<const N: usize>(groups: &[&[OptionSpec]]) -> [OptionSpec; N] {
    let mut rows = [OptionSpec::new("", Kind::Bool, None, ""); N];
    let (mut group, mut at) = (0, 0);
    while group < groups.len() {
        let mut row = 0;
        while row < groups[group].len() {
            rows[at] = groups[group][row];
            at += 1;
            row += 1;
        }
        group += 1;
    }
    assert!(at == N, "N is the number of all rows");
    rows
}

/// An option that may be given more than once.
pub const fn multiple(name: &'static str, kind: Kind, about: &'static str) -> OptionSpec {
    OptionSpec { multiple: true, ..OptionSpec::new(name, kind, None, about) }
}

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
