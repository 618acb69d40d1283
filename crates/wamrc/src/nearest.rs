//! "Did you mean": the known name that is nearest to a wrong one.

pub(crate) use flb_text::did_you_mean as nearest;
