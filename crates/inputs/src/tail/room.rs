//! How many files all tails of an agent may have open, so that descriptors are left for outputs and storage.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use flb_plugin::Service;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of all tails.
struct All(Arc<Semaphore>);

/// The places for files.
pub(super) struct Room {
    all: Arc<All>,
    most: usize,
}

/// A file's place, free again when this is dropped.
pub(super) type Place = OwnedSemaphorePermit;

impl Room {
    pub(super) fn new(service: &Service) -> Self {
        let most = service.max_files.min(Semaphore::MAX_PERMITS);
        let make = || Ok::<_, Infallible>(All(Arc::new(Semaphore::new(most))));
        let Ok(all) = service.shared.get_or_make(make);
        Self { all, most }
    }

    /// A place for another file.
    pub(super) fn take(&self) -> io::Result<Place> {
        Arc::clone(&self.all.0).try_acquire_owned().map_err(|_| {
            let most = self.most;
            io::Error::other(format!(
                "{most} files are followed, as many as the limit of open files allows: raise it, as with ulimit -n"
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_tails_together_follow_so_many_files() {
        let service = Service { max_files: 2, ..Service::default() };
        let (one, other) = (Room::new(&service), Room::new(&service));
        let (first, _second) = (one.take().unwrap(), other.take().unwrap());
        assert!(one.take().unwrap_err().to_string().starts_with("2 files are followed"));
        drop(first);
        assert!(other.take().is_ok());
    }
}
