//! Inputs: where records come from.

use flb_plugin::{Input, Spec};

mod clock;
mod dummy;
mod lines;
mod records;
mod stdin;
mod tail;
mod values;

/// Every input, alphabetic.
pub(crate) static ALL: &[Spec<dyn Input>] = &[dummy::SPEC, stdin::SPEC, tail::SPEC];
