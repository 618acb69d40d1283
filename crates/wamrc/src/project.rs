//! Which filter is meant when none is named: the one module in this folder, as `new` lays it out.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::folder::newest_source;
use crate::usage::UsageError;

/// Whether a file is a filter, by its name.
fn is_filter(path: &Path) -> bool {
    matches!(path.extension().and_then(|end| end.to_str()), Some("wasm" | "aot"))
}

/// The filter that the words name, if they name one; and the other words.
pub(crate) fn named(words: &[PathBuf]) -> (Option<&PathBuf>, &[PathBuf]) {
    match words {
        [first, rest @ ..] if is_filter(first) => (Some(first), rest),
        rest => (None, rest),
    }
}

/// The filter that the words name, or the only module in this folder; and the other words.
pub(crate) fn filter(words: &[PathBuf]) -> anyhow::Result<(PathBuf, &[PathBuf])> {
    let (named, rest) = named(words);
    let filter = named.map_or_else(built_module, |named| Ok(named.clone()))?;
    Ok((filter, rest))
}

/// The only module, built from the sources as they are now: after a build that failed it would still be the one before.
fn built_module() -> anyhow::Result<PathBuf> {
    let module = only_module()?;
    let built = std::fs::metadata(&module).and_then(|about| about.modified());
    let built = built.with_context(|| module.display().to_string())?;
    match newest_source()?.filter(|(_, written)| *written > built) {
        None => Ok(module),
        Some((source, _)) => Err(UsageError::new(
            format!("{} is older than {}", module.display(), source.display()),
            format!(
                "build it again (make), and see that this passes; named behind the command, {} is taken as it is",
                module.display()
            ),
        )
        .into()),
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
