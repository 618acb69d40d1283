//! Keys of records as options name them.

use flb_event::Accessor;
use flb_plugin::BuildError;

/// A key, with or without `$`.
pub(super) fn accessor(option: &str, text: &str) -> Result<Accessor, BuildError> {
    let marked = if text.starts_with('$') { text.to_owned() } else { format!("${text}") };
    Accessor::parse(&marked)
        .map_err(|error| BuildError::new(format!("{option}: {error}")).help(error.hint()))
}

/// A key that must have its `$`.
pub(super) fn marked(option: &str, text: &str) -> Result<Accessor, BuildError> {
    match text.starts_with('$') {
        true => accessor(option, text),
        false => Err(BuildError::new(format!("{option}: '{text}' does not begin with '$'"))
            .help(format!("write ${text}"))),
    }
}
