//! From a configuration to a pipeline: what its sections say is read, checked and built.

mod blueprint;
mod findings;
mod parsers;
mod properties;
mod service;

pub use blueprint::Blueprint;
pub use findings::Findings;
pub use parsers::read_parsers_files;
pub use properties::{core_properties, is_core_property};
pub use service::{HotReload, HttpSettings, LogFormat, SERVICE_DEFAULTS, Settings, is_service_key};
