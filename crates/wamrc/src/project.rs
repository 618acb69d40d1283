//! Which filter is meant when none is named: the one module in this folder, as `new` lays it out.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::usage::UsageError;

/// Whether a file is a filter, by its name.
fn is_filter(path: &Path) -> bool {
    matches!(path.extension().and_then(|end| end.to_str()), Some("wasm" | "aot"))
}

/// The filter that the words name, or the only module in this folder; and the other words.
pub(crate) fn filter(words: &[PathBuf]) -> anyhow::Result<(PathBuf, &[PathBuf])> {
    match words {
        [first, rest @ ..] if is_filter(first) => Ok((first.clone(), rest)),
        rest => Ok((only_module()?, rest)),
    }
}

fn only_module() -> anyhow::Result<PathBuf> {
    let mut modules = Vec::new();
    for entry in std::fs::read_dir(".").context("cannot read this folder")? {
        let path = PathBuf::from(entry?.file_name());
        if path.extension().is_some_and(|end| end == "wasm") {
            modules.push(path);
        }
    }
    modules.sort();
    match &mut *modules {
        [only] => Ok(std::mem::take(only)),
        [] => Err(UsageError::new(
            "there is no module in this folder",
            "build it (make), or name the filter's file behind the command",
        )
        .into()),
        [first, second, ..] => Err(UsageError::new(
            format!(
                "there are several modules in this folder: {} and {}",
                first.display(),
                second.display()
            ),
            "name one behind the command",
        )
        .into()),
    }
}
