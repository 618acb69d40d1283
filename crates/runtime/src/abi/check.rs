//! What is wrong with a function that is to be the filter.

use flb_artifact::{Interface, is_batch_function};

use super::{Abi, Signature};
use crate::LoadError;

/// The function must be there and speak an ABI, the one that was asked for if one was: which one that is.
pub(crate) fn check(
    interface: &Interface,
    name: &str,
    wanted: Option<Abi>,
) -> Result<Abi, LoadError> {
    let Some(export) = interface.exports.iter().find(|export| export.name == name) else {
        return Err(LoadError::FunctionMissing {
            name: name.to_owned(),
            exports: interface.exports.iter().map(|export| export.name.clone()).collect(),
            near: nearest(interface, name),
        });
    };
    let name = name.to_owned();
    let speaks_batch = interface.speaks_batch()?;
    match (Abi::of(export, interface), wanted) {
        (None, _) if !speaks_batch && is_batch_function(export) => {
            Err(LoadError::NoBatchMarker { name })
        }
        (None, _) => Err(LoadError::FunctionType { name, found: Signature::of(export) }),
        (Some(found), Some(wanted)) if found != wanted => {
            Err(LoadError::AbiVersion { name, found, wanted })
        }
        (Some(found), _) => Ok(found),
    }
}

/// The export that was probably meant: the same but for case and `_` or `-`, or the only one with a filter's type.
fn nearest(interface: &Interface, name: &str) -> Option<String> {
    let plain = |name: &str| -> String {
        name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let same = interface.exports.iter().find(|export| plain(&export.name) == plain(name));
    let mut filters =
        interface.exports.iter().filter(|export| Abi::of(export, interface).is_some());
    let only = filters.next().filter(|_| filters.next().is_none());
    same.or(only).map(|export| export.name.clone())
}
