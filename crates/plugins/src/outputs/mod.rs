//! Outputs: where records go.

use flb_plugin::{Output, Spec};

mod counter;
mod date;
mod file;
mod json;
mod null;
mod stdout;

/// Every output, alphabetic.
pub(crate) static ALL: &[Spec<dyn Output>] = &[counter::SPEC, file::SPEC, null::SPEC, stdout::SPEC];
