//! The list of what was put aside from a file, in a hidden file beside it: only what is in it is ever removed, whatever other files
//! are called.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use flb_files::{Access, with_suffix};

/// What is before and behind a file's name in that of its list.
const ENDS: (&str, &str) = (".", ".rotated");

/// What is behind the name of a file that is compressed.
pub(super) const GZ: &str = ".gz";
/// What is behind it until it is compressed to its end.
pub(super) const PART: &str = ".gz.part";

/// Whether lists have names like this.
pub(super) fn is_list(name: &str) -> bool {
    name.starts_with(ENDS.0) && name.ends_with(ENDS.1)
}

/// What was put aside from one file, oldest first. Others that put the same file aside wait until it is dropped.
pub(super) struct Aside {
    list: File,
    folder: PathBuf,
    names: Vec<String>,
}

impl Aside {
    /// Reads the list of a file; it is made if it is not there.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let (folder, name) = (folder(path), name(path)?);
        let path = folder.join(format!("{}{name}{}", ENDS.0, ENDS.1));
        let mut list = flb_files::open(&path, Access::ReadWrite).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        list.lock()?;
        let mut text = String::new();
        list.read_to_string(&mut text)?;
        // What does not begin like the file was never put aside from it.
        let is_of = |line: &&str| line.starts_with(name) && !line.contains('/');
        let names = text.lines().filter(is_of).map(str::to_owned).collect();
        Ok(Self { list, folder: folder.to_owned(), names })
    }

    /// Adds a file that is about to be put aside.
    pub(super) fn add(&mut self, aside: &Path) -> io::Result<()> {
        self.names.push(name(aside)?.to_owned());
        self.save()
    }

    /// Removes the oldest, so that no more than `kept` are left, and what is left of a compression that was cut off.
    pub(super) fn trim(&mut self, kept: usize) -> io::Result<()> {
        let names = std::mem::take(&mut self.names);
        let there = |name: &String| self.forms(name).iter().any(|path| path.exists());
        let mut names: Vec<String> = names.into_iter().filter(there).collect();
        for name in &names {
            remove(&with_suffix(&self.folder.join(name), PART))?;
        }
        let kept = names.split_off(names.len().saturating_sub(kept));
        for name in &names {
            self.forms(name).iter().try_for_each(|path| remove(path))?;
        }
        self.names = kept;
        self.save()
    }

    /// The paths of a file that was put aside: as it was, and compressed.
    fn forms(&self, name: &str) -> [PathBuf; 2] {
        let plain = self.folder.join(name);
        let compressed = with_suffix(&plain, GZ);
        [plain, compressed]
    }

    fn save(&mut self) -> io::Result<()> {
        let text: String = self.names.iter().map(|name| format!("{name}\n")).collect();
        self.list.rewind()?;
        self.list.write_all(text.as_bytes())?;
        self.list.set_len(text.len() as u64)
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn name(path: &Path) -> io::Result<&str> {
    let name = path.file_name().and_then(OsStr::to_str).filter(|name| !name.contains('\n'));
    name.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidFilename, "its name is not one line of text")
    })
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
