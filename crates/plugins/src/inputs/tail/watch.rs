//! Word of changes: the system tells when a followed file, or a folder with patterns in it, changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use crate::log::Label;

/// Waits for changes. Without help from the system it never wakes anybody, and files are looked at more often.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    changed: Arc<Notify>,
    /// A name came, went or changed.
    renamed: Arc<AtomicBool>,
    watched: BTreeSet<PathBuf>,
    label: Label,
}

impl Watch {
    /// Asks the system for word, if `wanted`.
    pub(super) fn new(wanted: bool, label: Label) -> Self {
        let changed = Arc::new(Notify::new());
        let renamed = Arc::new(AtomicBool::new(false));
        let (wake, rename) = (Arc::clone(&changed), Arc::clone(&renamed));
        let watcher = wanted.then(|| {
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                match event.map(|event| event.kind) {
                    // That a file was opened or read is no change.
                    Ok(EventKind::Access(_)) => return,
                    Ok(EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Metadata(_))) => {}
                    // An error may have hidden anything.
                    _ => rename.store(true, Ordering::Relaxed),
                }
                wake.notify_one();
            })
        });
        let mut watch = Self { watcher: None, changed, renamed, watched: BTreeSet::new(), label };
        match watcher {
            Some(Ok(watcher)) => watch.watcher = Some(watcher),
            Some(Err(error)) => watch.give_up(&error),
            None => {}
        }
        watch
    }

    /// Whether the system gives word.
    pub(super) fn is_on(&self) -> bool {
        self.watcher.is_some()
    }

    /// Completes at the next change, or at once if there was one since the last time.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Whether a name came, went or changed since this was asked last.
    pub(super) fn take_renamed(&self) -> bool {
        self.renamed.swap(false, Ordering::Relaxed)
    }

    /// Watches these paths and no others.
    pub(super) fn set(&mut self, paths: BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.watched.difference(&paths) {
            // What is gone from the disk is gone from the watcher.
            let _ = watcher.unwatch(gone);
        }
        let mut refused = None;
        let added: Vec<&PathBuf> = paths.difference(&self.watched).collect();
        for path in added {
            match watcher.watch(path, RecursiveMode::NonRecursive) {
                Err(error) if !is_missing(&error, path) => refused = Some(error),
                _ => {}
            }
        }
        self.watched = paths;
        if let Some(error) = refused {
            self.give_up(&error);
        }
    }

    fn give_up(&mut self, error: &notify::Error) {
        self.watcher = None;
        self.watched.clear();
        tracing::warn!(
            "{} the system gives no word of changes, so files are looked at: {error}",
            self.label
        );
    }
}

fn is_missing(error: &notify::Error, path: &Path) -> bool {
    matches!(error.kind, notify::ErrorKind::PathNotFound) || !path.exists()
}
