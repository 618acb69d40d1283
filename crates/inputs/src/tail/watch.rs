//! Word of changes: the system tells when a followed file, or a folder with patterns in it, changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::ModifyKind;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::patterns::Identity;
use flb_plugin::log::Label;

/// Waits for changes. Without help from the system it never wakes anybody, and files are looked at more often.
pub(super) struct Watch {
    watcher: Option<RecommendedWatcher>,
    changed: Arc<Notify>,
    /// A name came, went or changed.
    renamed: Arc<AtomicBool>,
    /// What is watched, and which file the path stood for then.
    watched: BTreeMap<PathBuf, Option<Identity>>,
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
        let mut watch = Self { watcher: None, changed, renamed, watched: BTreeMap::new(), label };
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

    /// Watches these paths and no others. A path that has come to stand for another file is watched anew: the system's word is
    /// about the file.
    pub(super) fn set(&mut self, paths: BTreeMap<PathBuf, Option<Identity>>) {
        let Some(watcher) = &mut self.watcher else { return };
        for (path, identity) in &self.watched {
            if paths.get(path) != Some(identity) {
                // What is gone from the disk is gone from the watcher.
                let _ = watcher.unwatch(path);
            }
        }
        let mut refused = None;
        for (path, identity) in &paths {
            if self.watched.get(path) == Some(identity) {
                continue;
            }
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
