//! What a chunk is called, in log lines and in storage.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use flb_event::Timestamp;

/// A chunk's name, in log lines and of its file: process and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChunkName {
    /// When the chunk was begun.
    pub(crate) created: Timestamp,
    /// Which process began it.
    pub(crate) process: u32,
}

impl fmt::Display for ChunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Timestamp { sec, nsec } = self.created;
        write!(f, "{}-{sec}.{nsec:09}.flb", self.process)
    }
}

impl ChunkName {
    /// The name of a chunk's file.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let name = path.file_name().and_then(OsStr::to_str)?.strip_suffix(".flb")?;
        let (process, time) = name.split_once('-')?;
        let (sec, nsec) = time.split_once('.')?;
        let created = Timestamp { sec: sec.parse().ok()?, nsec: nsec.parse().ok()? };
        Some(Self { created, process: process.parse().ok()? })
    }

    /// Goes on to the next name.
    pub(crate) fn next(&mut self) {
        let Timestamp { sec, nsec } = &mut self.created;
        *nsec += 1;
        if *nsec >= 1_000_000_000 {
            (*sec, *nsec) = (sec.wrapping_add(1), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunks_name_is_that_of_its_file() {
        let created = Timestamp { sec: 1_700_000_000, nsec: 999_999_999 };
        let mut name = ChunkName { created, process: 42 };
        let path = Path::new("/a/b").join(name.to_string());
        assert_eq!(path, Path::new("/a/b/42-1700000000.999999999.flb"));
        assert_eq!(ChunkName::of(&path), Some(name));
        name.next();
        assert_eq!(name.to_string(), "42-1700000001.000000000.flb");
        for other in ["lock", "a.flb", "1-2.flb", "1-2.3.txt", "1-x.3.flb"] {
            assert_eq!(ChunkName::of(Path::new(other)), None);
        }
    }
}
