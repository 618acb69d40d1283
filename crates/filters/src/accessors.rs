//! Keys of records as options name them.

use flb_event::Accessor;
use flb_plugin::BuildError;

/// A path if it begins with `$`, else the name of one key, whatever is in it. An error begins with `what`.
pub(super) fn path_or_name(what: &str, text: &str) -> Result<Accessor, BuildError> {
    match text.starts_with('$') {
        true => Accessor::parse(text)
            .map_err(|error| BuildError::new(format!("{what}: {error}")).help(error.hint())),
        false => Ok(Accessor::of_key(text)),
    }
}
