//! Keeps what was compiled on this host, one file a module, so that it is compiled once.
//!
//! Cached files are native code, so they are kept where only this user can change anything, or not at all. A file that is damaged is
//! refused like any artifact and compiled anew.

use std::path::{Path, PathBuf};

use flb_artifact::{Host, Interruption, Sha256Hex, Traps};
use flb_files::Folder;

/// Where one module's code is kept.
pub(crate) struct Cache {
    folder: Folder,
    name: String,
    /// For messages.
    path: PathBuf,
}

impl Cache {
    /// The place for `wasm` compiled for `host`, interrupted and trapping like this, in a folder that only this user can change. The folder is
    /// made if it is not there.
    pub(crate) fn open(
        folder: &Path,
        wasm: &[u8],
        host: &Host,
        (interruption, traps): (Interruption, Traps),
    ) -> Result<Self, String> {
        let opened = Folder::open(folder).map_err(|error| {
            format!("the cache folder {} is not used: {error}", folder.display())
        })?;
        let features = host.features().join(" ");
        let machine =
            format!("{host} {features} {} {interruption} {}", flb_engine::VERSION, traps.name());
        let machine = Sha256Hex::of(&[machine.as_bytes()]).to_string();
        let module = Sha256Hex::of(&[wasm]);
        let name = format!("{module}-{}.aot", &machine[..16]);
        Ok(Self { path: folder.join(&name), folder: opened, name })
    }

    /// What is kept, if anything is.
    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        self.folder.read(&self.name).ok().flatten()
    }

    /// Keeps an artifact: whole, or not at all.
    pub(crate) fn write(&self, artifact: &[u8]) -> Result<(), String> {
        self.folder.write(&self.name, artifact).map_err(|error| {
            format!("compiled code cannot be kept at {}: {error}", self.path.display())
        })
    }
}
