//! What stands around one filter's module: its options, the policy for failures, the quarantine, newer modules.

mod measures;
mod meters;
mod options;
mod outcome;
mod policy;
mod quarantine;
mod watch;

pub use measures::{MEMORY, Measures, RECYCLES};
pub use meters::{COUNTS, VALUES, meters};
pub use options::{ALL, FUNCTION_NAME, OWN, WASM_PATH, WATCH, module_options, traps};
pub use outcome::{Finished, Outcome};
pub use policy::Policy;
pub use watch::{Look, Source, Watch};
