//! From a configuration to a pipeline: what its sections say is read, checked and built.

mod blueprint;
mod findings;
mod parsers;
mod properties;
mod service;

pub use blueprint::Blueprint;
pub use findings::Findings;
pub use parsers::read_parsers_files;
pub use properties::core_properties;
pub use service::{PARSERS_FILE, SERVICE, Settings};
