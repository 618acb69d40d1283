//! A program's output, kept in memory up to a limit.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A program's output. Clones share it.
#[derive(Clone)]
pub(crate) struct Capture(Arc<Mutex<Kept>>);

struct Kept {
    bytes: Vec<u8>,
    limit: usize,
    full: bool,
}

impl Capture {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(Kept { bytes: Vec::new(), limit, full: false })))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps as much as the limit allows; false if that is not all.
    pub(crate) fn write(&self, bytes: &[u8]) -> bool {
        let mut kept = self.kept();
        let room = kept.limit - kept.bytes.len();
        kept.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        kept.full |= bytes.len() > room;
        !kept.full
    }

    /// What was kept, and whether there was more.
    pub(crate) fn into_bytes(self) -> (Vec<u8>, bool) {
        let mut kept = self.kept();
        (std::mem::take(&mut kept.bytes), kept.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_kept_up_to_the_limit() {
        let capture = Capture::new(5);
        assert!(capture.write(b"abc") && capture.write(b"de") && capture.write(b""));
        assert!(!capture.write(b"f"));
        assert_eq!(capture.into_bytes(), (b"abcde".to_vec(), true));
        assert_eq!(Capture::new(5).into_bytes(), (Vec::new(), false));
    }
}
