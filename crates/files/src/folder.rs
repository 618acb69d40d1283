//! A folder for what must not be exchanged, because it is run: it is held by its descriptor, and the whole path that led to it
//! is such that only this user and the superuser can change it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Component, Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, OFlags, Stat};
use rustix::io::Errno;

/// Why a folder is not one's own.
#[derive(Debug)]
pub enum FolderError {
    /// Somebody else could exchange what is in it, or the folder itself.
    Shared {
        /// The folder that others may change: the one asked for, or one above it.
        folder: PathBuf,
    },
    /// It cannot be made or opened.
    Io {
        /// What cannot be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl std::fmt::Display for FolderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shared { folder } => write!(
                f,
                "others may write to {}; help: make it this user's own, with mode 700",
                folder.display()
            ),
            Self::Io { path, source } => write!(f, "{}: {source}", path.display()),
        }
    }
}

impl std::error::Error for FolderError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Shared { .. } => None,
            Self::Io { source, .. } => Some(source),
        }
    }
}

/// A folder that only this user can change.
#[derive(Debug)]
pub struct Folder {
    descriptor: OwnedFd,
}

/// How folders on the way are opened: as they are now, links not followed.
const STEP: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Folder {
    /// Opens a folder, and makes it and those above it if they are not there. Links on the way are followed first; what they
    /// led to is then walked down step by step, without links.
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let failed = |source| FolderError::Io { path: path.to_owned(), source };
        let (there, missing) = resolve(path).map_err(failed)?;
        let mut so_far = PathBuf::from("/");
        let root = rustix::fs::open(&so_far, STEP, Mode::empty());
        let mut descriptor = root.map_err(|error| failed(error.into()))?;
        let own = rustix::process::geteuid().as_raw();
        let mut owner = check(&descriptor, &so_far, own)?;
        let down = there.components().filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            _ => None,
        });
        for name in down.chain(missing) {
            so_far.push(&name);
            descriptor = step(&descriptor, &name)
                .map_err(|error| FolderError::Io { path: so_far.clone(), source: error.into() })?;
            owner = check(&descriptor, &so_far, own)?;
        }
        // The last one is also not the superuser's, nor one where everybody may add files.
        if owner.st_uid != own || is_open(&owner) {
            return Err(FolderError::Shared { folder: so_far });
        }
        Ok(Self { descriptor })
    }

    /// What a file in the folder holds; `None` if there is none that only this user can write to.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = match rustix::fs::openat(&self.descriptor, name, flags, Mode::empty()) {
            Err(Errno::NOENT | Errno::LOOP) => return Ok(None),
            opened => opened?,
        };
        let stat = rustix::fs::fstat(&opened)?;
        let is_own = stat.st_uid == rustix::process::geteuid().as_raw() && !is_open(&stat);
        let mut file = File::from(opened);
        if !is_own || !file.metadata()?.is_file() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Writes a file of the folder: whole, or not at all.
    pub fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = format!("{name}.new{}", std::process::id());
        let written = self.write_new(&unfinished, bytes).and_then(|()| {
            let folder = &self.descriptor;
            Ok(rustix::fs::renameat(folder, &unfinished, folder, name)?)
        });
        if written.is_err() {
            // The reason for the failure is worth more than that of the clean-up.
            let _ = self.remove(&unfinished);
        }
        written
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let create = || rustix::fs::openat(&self.descriptor, name, flags, Mode::RUSR | Mode::WUSR);
        let created = match create() {
            // What an agent with this number left behind when it was killed.
            Err(Errno::EXIST) => {
                self.remove(name)?;
                create()
            }
            created => created,
        };
        File::from(created?).write_all(bytes)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.descriptor, name, AtFlags::empty())?)
    }
}

/// The part of a path that is there, without links, and the names of what is missing below it.
fn resolve(path: &Path) -> io::Result<(PathBuf, Vec<OsString>)> {
    let path = std::path::absolute(path)?;
    let mut missing = Vec::new();
    let mut there = path.as_path();
    loop {
        match there.canonicalize() {
            Ok(canonical) => {
                missing.reverse();
                return Ok((canonical, missing));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let (Some(parent), Some(name)) = (there.parent(), there.file_name()) else {
                    return Err(error);
                };
                missing.push(name.to_owned());
                there = parent;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Opens a folder within another one, and makes it if it is missing.
fn step(within: &OwnedFd, name: &OsString) -> rustix::io::Result<OwnedFd> {
    let open = || rustix::fs::openat(within, name, STEP, Mode::empty());
    match open() {
        Err(Errno::NOENT) => {
            match rustix::fs::mkdirat(within, name, Mode::RWXU) {
                // Another agent was quicker.
                Ok(()) | Err(Errno::EXIST) => open(),
                Err(error) => Err(error),
            }
        }
        opened => opened,
    }
}

/// What a folder on the way is, if neither it nor what is in it can be exchanged by others.
fn check(descriptor: &OwnedFd, path: &Path, own: u32) -> Result<Stat, FolderError> {
    let io = |source: Errno| FolderError::Io { path: path.to_owned(), source: source.into() };
    let stat = rustix::fs::fstat(descriptor).map_err(io)?;
    let is_ours = stat.st_uid == own || stat.st_uid == 0;
    // In a folder with the sticky bit, as /tmp, others may not rename what is not theirs.
    let is_sticky = Mode::from_raw_mode(stat.st_mode).contains(Mode::SVTX);
    if is_ours && (!is_open(&stat) || is_sticky) {
        return Ok(stat);
    }
    Err(FolderError::Shared { folder: path.to_owned() })
}

/// Whether others than its owner may write to it.
fn is_open(stat: &Stat) -> bool {
    Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The folder that `opened` blames.
    fn blamed(opened: Result<Folder, FolderError>) -> PathBuf {
        match opened.unwrap_err() {
            FolderError::Shared { folder } => folder,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn what_was_written_is_read_and_is_its_users_alone() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b");
        let folder = Folder::open(&path).unwrap();
        assert_eq!(folder.read("f").unwrap(), None);
        folder.write("f", b"one").unwrap();
        folder.write("f", b"two").unwrap();
        assert_eq!(folder.read("f").unwrap().unwrap(), b"two");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!([mode(&path), mode(&path.join("f"))], [0o700, 0o600]);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_others_may_change_is_refused_wherever_it_stands() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (parent, child) = (root.join("parent"), root.join("parent/child"));
        Folder::open(&child).unwrap();
        for mode in [0o770, 0o707] {
            chmod(&parent, mode);
            assert_eq!(blamed(Folder::open(&child)), parent, "{mode:o}");
            chmod(&parent, 0o700);
            chmod(&child, mode);
            assert_eq!(blamed(Folder::open(&child)), child, "{mode:o}");
            chmod(&child, 0o700);
        }
        chmod(&parent, 0o1777);
        Folder::open(&child).unwrap();
        assert_eq!(blamed(Folder::open(&parent)), parent);
    }

    #[test]
    fn a_link_is_followed_to_where_its_whole_path_is_ones_own() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (open, link) = (root.join("open"), root.join("link"));
        fs::create_dir(&open).unwrap();
        symlink(&open, &link).unwrap();
        Folder::open(&link.join("cache")).unwrap();
        assert!(open.join("cache").is_dir());
        chmod(&open, 0o777);
        assert_eq!(blamed(Folder::open(&link.join("cache"))), open);
    }

    #[test]
    fn a_file_that_somebody_else_could_have_written_is_as_good_as_none() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::open(root.path()).unwrap();
        let at = |name: &str| root.path().join(name);
        fs::write(at("open"), "x").unwrap();
        chmod(&at("open"), 0o666);
        fs::write(at("whole"), "x").unwrap();
        symlink(at("whole"), at("link")).unwrap();
        fs::create_dir(at("folder")).unwrap();
        for name in ["open", "link", "folder"] {
            assert_eq!(folder.read(name).unwrap(), None, "{name}");
            let _ = fs::remove_file(at(name));
        }
        folder.write("open", b"new").unwrap();
        assert_eq!(folder.read("open").unwrap().unwrap(), b"new");
    }
}
