//! Filters: what decides about records.

use flb_plugin::{Filter, Spec};

mod wasm;

/// Every filter, alphabetic.
pub(crate) static ALL: &[Spec<dyn Filter>] = &[wasm::SPEC];
