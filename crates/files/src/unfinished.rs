//! A file that nobody sees before it is whole: it is written under another name in the same folder, then renamed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A new file that takes the place of another when it is whole. It goes when this is dropped before.
#[derive(Debug)]
pub struct Unfinished {
    path: PathBuf,
    file: File,
    is_in_place: bool,
}

impl Unfinished {
    /// A file in the folder of `place`. Its name is short, however long the other's is, and no other process has it.
    pub fn beside(place: &Path) -> io::Result<Self> {
        let mut number = 0_u32;
        loop {
            let path = place.with_file_name(format!(".flb-{}-{number}", std::process::id()));
            match File::options().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                opened => return opened.map(|file| Self::of(path, file)),
            }
        }
    }

    /// A file with this name, which whoever cleans up after a process that was killed knows. One that is there is such.
    pub fn named(path: PathBuf) -> io::Result<Self> {
        File::create(&path).map(|file| Self::of(path, file))
    }

    fn of(path: PathBuf, file: File) -> Self {
        Self { path, file, is_in_place: false }
    }

    /// What is written to.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Puts the file where others look for it, over the one that is there. Whoever needs it on the disk first syncs it before.
    pub fn take(mut self, place: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, place)?;
        self.is_in_place = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_in_place {
            // The reason for the failure is worth more than that of the clean-up.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The path with something behind its name.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_in_its_place_when_it_is_whole_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("f");
        fs::write(&place, "old").unwrap();
        let (mut one, other) = (Unfinished::beside(&place).unwrap(), Unfinished::beside(&place));
        one.file().write_all(b"new").unwrap();
        assert_eq!(names(folder.path()).len(), 3, "each has a name of its own");
        drop(other);
        assert_eq!(fs::read(&place).unwrap(), b"old");
        one.take(&place).unwrap();
        assert_eq!(
            (names(folder.path()), fs::read(&place).unwrap()),
            (vec!["f".to_owned()], b"new".to_vec())
        );
    }

    #[test]
    fn what_a_killed_process_left_behind_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("f.gz");
        let part = with_suffix(&place, ".part");
        fs::write(&part, "a part").unwrap();
        let mut file = Unfinished::named(part).unwrap();
        file.file().write_all(b"all").unwrap();
        file.take(&place).unwrap();
        assert_eq!(
            (names(folder.path()), fs::read(&place).unwrap()),
            (vec!["f.gz".to_owned()], b"all".to_vec())
        );
    }
}
