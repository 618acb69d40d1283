//! A folder of this user, on systems without Unix's permissions: the user's profile is what keeps others out.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::Unfinished;

/// Why a folder cannot be used.
#[derive(Debug)]
pub struct FolderError(io::Error);

impl std::fmt::Display for FolderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for FolderError {}

/// A folder of this user.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// Opens a folder, and makes it and those above it if they are not there.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        crate::make_folder(path).map_err(FolderError)?;
        Ok(Self(path.to_owned()))
    }

    /// What a file in the folder holds; `None` if there is none.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// Writes a file of the folder: whole, or not at all.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let place = self.0.join(name);
        let mut unfinished = Unfinished::beside(&place)?;
        unfinished.file().write_all(bytes)?;
        unfinished.take(&place)
    }
}
