//! One file, by its path. Folders on the way may be links, as an operator may want; the file itself is none.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Writing at its end. It is made if it is not there.
    Append,
    /// Reading, and writing at its end. It has to be there.
    Existing,
    /// Writing at its end. It must not be there.
    New,
    /// Reading and writing. It is made if it is not there.
    ReadWrite,
}

impl Access {
    fn options(self) -> OpenOptions {
        let mut options = OpenOptions::new();
        match self {
            Self::Append => options.append(true).create(true),
            Self::Existing => options.read(true).append(true),
            Self::New => options.append(true).create_new(true),
            Self::ReadWrite => options.read(true).write(true).create(true),
        };
        options
    }
}

/// Opens a file that only this user may read and write. Where others may, they may not from now on.
///
/// Links, pipes, devices and files of other users are errors, and opening never waits.
pub fn open(path: &Path, access: Access) -> io::Result<File> {
    let file = system::options(access.options()).open(path).map_err(system::explained)?;
    system::claim(&file)?;
    Ok(file)
}

/// Makes a folder, and those above it that are missing, for this user alone. One that is there stays as it is.
pub fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    system::folder(&mut builder);
    builder.create(path)
}

#[cfg(unix)]
mod system {
    use std::fs::{DirBuilder, File, OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{
        DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
    };

    use rustix::fs::OFlags;
    use rustix::io::Errno;

    /// A pipe that nobody reads is an error then, not a wait.
    const FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK);

    pub(super) fn options(mut options: OpenOptions) -> OpenOptions {
        options.mode(0o600).custom_flags(FLAGS.bits().cast_signed());
        options
    }

    pub(super) fn folder(builder: &mut DirBuilder) {
        builder.mode(0o700);
    }

    /// What the system says of a link or a pipe helps nobody.
    pub(super) fn explained(error: io::Error) -> io::Error {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::LOOP) => refused("it is a symbolic link".to_owned()),
            Some(Errno::NXIO) => refused("it is no regular file".to_owned()),
            _ => error,
        }
    }

    pub(super) fn claim(file: &File) -> io::Result<()> {
        let (metadata, own) = (file.metadata()?, rustix::process::geteuid().as_raw());
        if !metadata.is_file() {
            return Err(refused("it is no regular file".to_owned()));
        }
        if metadata.uid() != own {
            let owner = metadata.uid();
            return Err(refused(format!(
                "it belongs to user {owner}, and the agent runs as user {own}"
            )));
        }
        if metadata.mode() & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(metadata.mode() & 0o700))?;
        }
        Ok(())
    }

    fn refused(reason: String) -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, format!("{reason}; move it away"))
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::{DirBuilder, File, OpenOptions};
    use std::io;

    pub(super) fn options(options: OpenOptions) -> OpenOptions {
        options
    }

    pub(super) fn folder(_: &mut DirBuilder) {}

    pub(super) fn explained(error: io::Error) -> io::Error {
        error
    }

    pub(super) fn claim(_: &File) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_its_user_reads_and_writes_a_file_and_its_folder() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b");
        make_folder(&folder).unwrap();
        assert_eq!([mode(&folder), mode(&root.path().join("a"))], [0o700; 2]);
        for (name, access) in [("a", Access::Append), ("n", Access::New), ("r", Access::ReadWrite)]
        {
            let path = folder.join(name);
            open(&path, access).unwrap();
            assert_eq!(mode(&path), 0o600, "{name}");
        }
    }

    #[test]
    fn a_file_that_others_may_read_is_theirs_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        open(&path, Access::Append).unwrap().write_all(b", after").unwrap();
        assert_eq!(
            (mode(&path), fs::read_to_string(&path).unwrap().as_str()),
            (0o600, "before, after")
        );
    }

    #[test]
    fn what_is_no_file_of_the_agents_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("victim"), "").unwrap();
        symlink(at("victim"), at("link")).unwrap();
        symlink(at("nobody"), at("dangling")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        for (name, says) in [
            ("link", "it is a symbolic link; move it away"),
            ("dangling", "it is a symbolic link; move it away"),
            ("pipe", "it is no regular file; move it away"),
        ] {
            let error = open(&at(name), Access::Append).unwrap_err().to_string();
            assert_eq!(error, says, "{name}");
        }
        open(&at("pipe"), Access::ReadWrite).unwrap_err();
        assert!(!at("nobody").exists());
    }

    #[test]
    fn a_file_that_has_to_be_there_or_must_not_be_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let kind = |access| open(&path, access).unwrap_err().kind();
        assert_eq!(kind(Access::Existing), io::ErrorKind::NotFound);
        open(&path, Access::New).unwrap();
        assert_eq!(kind(Access::New), io::ErrorKind::AlreadyExists);
        open(&path, Access::Existing).unwrap();
    }
}
