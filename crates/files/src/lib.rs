//! Opens what is the agent's own: stored chunks, records in quarantine, compiled code. Only the agent's user reads or
//! writes such files, and nobody slips another file into their place.
//!
//! What users name as a destination of records or of the log is theirs, and is not opened here; but that nobody sees half
//! of a file is the same for all ([`Unfinished`]).

mod file;
#[cfg_attr(not(unix), path = "folder_elsewhere.rs")]
mod folder;
mod unfinished;

pub use file::{Access, make_folder, open};
pub use folder::{Folder, FolderError};
pub use unfinished::{Unfinished, with_suffix};
