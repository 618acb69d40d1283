//! Keeps what was compiled on this host, one file a module, so that it is compiled once.
//!
//! Cached files are native code, so a folder that others may write to is not used. A file that is damaged is refused like any
//! artifact and compiled anew.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use flb_artifact::{Host, Interruption, Sha256Hex};

/// Where one module's code is kept.
pub(crate) struct Cache {
    path: PathBuf,
}

impl Cache {
    /// The place for `wasm` compiled for `host` and interrupted like this, in a folder that only this user can write to. The folder is made if it is
    /// not there.
    pub(crate) fn open(
        folder: &Path,
        wasm: &[u8],
        host: &Host,
        interruption: Interruption,
    ) -> Result<Self, String> {
        let unused =
            |reason: String| format!("the cache folder {} is not used: {reason}", folder.display());
        make(folder).map_err(|error| unused(error.to_string()))?;
        if !is_private(folder).map_err(|error| unused(error.to_string()))? {
            return Err(unused(
                "others may write to it; help: make it this user's own, with mode 700".to_owned(),
            ));
        }
        let features = host.features().join(" ");
        let machine = format!("{host} {features} {} {interruption}", flb_engine::VERSION);
        let machine = Sha256Hex::of(&[machine.as_bytes()]).to_string();
        let module = Sha256Hex::of(&[wasm]);
        Ok(Self { path: folder.join(format!("{module}-{}.aot", &machine[..16])) })
    }

    /// What is kept, if anything is.
    pub(crate) fn read(&self) -> Option<Vec<u8>> {
        fs::read(&self.path).ok()
    }

    /// Keeps an artifact: whole, or not at all.
    pub(crate) fn write(&self, artifact: &[u8]) -> Result<(), String> {
        let temporary = self.path.with_extension(format!("tmp{}", std::process::id()));
        let written = fs::File::create(&temporary)
            .and_then(|mut file| file.write_all(artifact))
            .and_then(|()| fs::rename(&temporary, &self.path));
        written.map_err(|error| {
            // The reason for the failure is worth more than that of the clean-up.
            let _ = fs::remove_file(&temporary);
            format!("compiled code cannot be kept at {}: {error}", self.path.display())
        })
    }
}

fn make(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Whether nobody but this process's user can write to the folder.
#[cfg(unix)]
fn is_private(folder: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let folder = fs::symlink_metadata(folder)?;
    // This process's user, as the kernel says it: the owner of its own entry there.
    let own = fs::metadata("/proc/self").map_or(folder.uid(), |entry| entry.uid());
    Ok(folder.is_dir() && folder.uid() == own && folder.mode() & 0o022 == 0)
}

#[cfg(not(unix))]
fn is_private(folder: &Path) -> io::Result<bool> {
    Ok(fs::symlink_metadata(folder)?.is_dir())
}
