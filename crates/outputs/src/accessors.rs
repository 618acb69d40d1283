//! Keys of records as options name them.

use flb_event::{Accessor, AccessorError};
use flb_plugin::BuildError;

/// A key, with or without `$`.
pub(super) fn accessor(option: &str, text: &str) -> Result<Accessor, BuildError> {
    let marked = if text.starts_with('$') { text.to_owned() } else { format!("${text}") };
    Accessor::parse(&marked).map_err(|error| wrong(option, &error))
}

/// A path if it begins with `$`, else the name of one key, whatever is in it.
pub(super) fn path_or_name(option: &str, text: &str) -> Result<Accessor, BuildError> {
    match text.starts_with('$') {
        true => accessor(option, text),
        false => Ok(Accessor::of_key(text)),
    }
}

/// What an option says that names no key.
pub(super) fn wrong(option: &str, error: &AccessorError) -> BuildError {
    BuildError::new(format!("{option}: {error}")).help(error.hint())
}

/// A key that must have its `$`.
pub(super) fn marked(option: &str, text: &str) -> Result<Accessor, BuildError> {
    match text.starts_with('$') {
        true => accessor(option, text),
        false => Err(BuildError::new(format!("{option}: '{text}' does not begin with '$'"))
            .help(format!("write ${text}"))),
    }
}
