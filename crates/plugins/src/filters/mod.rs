//! Filters: what decides about records.

use flb_plugin::{Filter, Spec};

mod parser;
mod wasm;

/// Every filter, alphabetic.
pub(crate) static ALL: &[Spec<dyn Filter>] = &[parser::SPEC, wasm::SPEC];
