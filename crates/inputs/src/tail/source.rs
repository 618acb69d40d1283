//! What a file's bytes are read from: the file itself, or what is packed in it.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use flate2::read::MultiGzDecoder;

/// An open file. Positions count the bytes of the text, also if the file is packed.
pub(super) struct Source {
    file: File,
    packed: Option<Packed>,
}

/// A file that gzip has made. It is read once: nobody appends to it.
struct Packed {
    reader: MultiGzDecoder<File>,
    position: u64,
    is_at_end: bool,
}

impl Source {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let packed = if path.extension().is_some_and(|extension| extension == "gz") {
            let reader = MultiGzDecoder::new(file.try_clone()?);
            Some(Packed { reader, position: 0, is_at_end: false })
        } else {
            None
        };
        Ok(Self { file, packed })
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// How the length compares with a position; `None` if the file can't tell.
    pub(super) fn length_to(&self, position: u64) -> Option<Ordering> {
        match &self.packed {
            Some(packed) if packed.is_at_end => Some(Ordering::Equal),
            Some(_) => Some(Ordering::Greater),
            None => Some(self.file.metadata().ok()?.len().cmp(&position)),
        }
    }

    /// Reads at a position, which for a packed file must not be before what was read already. No bytes at the end.
    pub(super) fn read_at(&mut self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        loop {
            let read = match &mut self.packed {
                None => self.file.read_at(buffer, position),
                Some(packed) => packed.read_at(buffer, position),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    /// Nothing of a packed file is read any more.
    pub(super) fn end(&mut self) {
        if let Some(packed) = &mut self.packed {
            packed.is_at_end = true;
        }
    }
}

impl Packed {
    fn read_at(&mut self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        while self.position < position && !self.is_at_end {
            let wanted = usize::try_from(position - self.position).unwrap_or(buffer.len());
            let wanted = wanted.min(buffer.len());
            self.read(&mut buffer[..wanted])?;
        }
        self.read(buffer)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_at_end {
            return Ok(0);
        }
        let read = self.reader.read(buffer);
        match &read {
            Ok(0) => self.is_at_end = true,
            Ok(length) => self.position += *length as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What is damaged stays so.
            Err(_) => self.is_at_end = true,
        }
        read
    }
}
