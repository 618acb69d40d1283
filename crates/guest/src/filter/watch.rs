//! `Watch on`: looks after the module's file. One that has changed is loaded and checked beside the one at work, and taken
//! between two batches; a bad one is told, and the old one stays.
//!
//! The file is looked at twice a second, rather than watched by the system: that works on every file system, and through
//! symbolic links whose middle is exchanged, as orchestrators do.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use flb_artifact::Sha256Hex;
use flb_plugin::BuildError;
use flb_runtime::{FilterEngine, FilterModule, FilterOptions, LoadError};

use crate::host;
use flb_plugin::log::Label;

/// Where a module comes from, and how it is used.
pub struct Source {
    /// What loads it.
    pub engine: FilterEngine,
    /// Its file.
    pub path: PathBuf,
    /// What the runtime is told about it.
    pub options: FilterOptions,
    /// The prefix of the filter's log lines.
    pub label: Label,
}

impl Source {
    /// Loads a file's bytes, and says what an operator may want to know of them.
    pub fn load(&self, bytes: Vec<u8>) -> Result<FilterModule, LoadError> {
        let module = FilterModule::load(&self.engine, bytes, self.options.clone())?;
        host::log_notes(&self.label, &self.path, module.notes(), module.unknown_imports());
        Ok(module)
    }
}

/// The newest module of a file. Looking ends when the last filter drops this.
#[derive(Debug)]
pub struct Watch {
    newest: Arc<Newest>,
    _alive: mpsc::Sender<()>,
}

#[derive(Debug, Default)]
struct Newest {
    /// How many there were after the first.
    number: AtomicU64,
    module: Mutex<Option<FilterModule>>,
}

impl Watch {
    /// Looks after the file of `source`, which had these bytes when its module was loaded.
    pub fn start(source: Source, digest: Sha256Hex) -> Result<Arc<Self>, BuildError> {
        let (alive, stop) = mpsc::channel();
        let newest = Arc::new(Newest::default());
        let (found, span) = (Arc::clone(&newest), tracing::Span::current());
        let mut look = Look::new(source, digest);
        std::thread::Builder::new()
            .name("watch".to_owned())
            .spawn(move || {
                let _entered = span.enter();
                while stop.recv_timeout(Look::EVERY) == Err(RecvTimeoutError::Timeout) {
                    if let Some(module) = look.again() {
                        found.take(module);
                    }
                }
            })
            .map_err(|error| BuildError::new(format!("cannot watch the module's file: {error}")))?;
        Ok(Arc::new(Self { newest, _alive: alive }))
    }

    /// The module that is newer than this number, with its number.
    pub fn newer_than(&self, number: u64) -> Option<(u64, FilterModule)> {
        if self.newest.number.load(Ordering::Acquire) == number {
            return None;
        }
        let module = self.newest.module.lock().unwrap_or_else(PoisonError::into_inner);
        Some((self.newest.number.load(Ordering::Acquire), module.clone()?))
    }
}

impl Newest {
    fn take(&self, module: FilterModule) {
        let mut newest = self.module.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = Some(module);
        self.number.fetch_add(1, Ordering::AcqRel);
    }
}

/// What a look at a file shows without reading it: device, inode, length, and when it was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sight([i64; 5]);

impl Sight {
    fn of(path: &Path) -> Option<Self> {
        fs::metadata(path).ok().map(|metadata| {
            let (device, inode) = (metadata.dev().cast_signed(), metadata.ino().cast_signed());
            let length = metadata.len().cast_signed();
            Self([device, inode, length, metadata.ctime(), metadata.ctime_nsec()])
        })
    }
}

/// Looks at the file again and again.
pub struct Look {
    source: Source,
    /// None while there is no file.
    seen: Option<Sight>,
    /// Whether what was seen last has been judged.
    settled: bool,
    /// Of the bytes that were judged last.
    taken: Sha256Hex,
}

impl Look {
    /// How often to look. A file that stayed the same from one look to the next is whole.
    pub const EVERY: Duration = Duration::from_millis(500);

    /// Begins with the file as it is. Its module was made of bytes with this digest.
    pub fn new(source: Source, digest: Sha256Hex) -> Self {
        Self { seen: Sight::of(&source.path), taken: digest, settled: false, source }
    }

    /// The module, if the file holds another one that is whole and sound.
    pub fn again(&mut self) -> Option<FilterModule> {
        let sight = Sight::of(&self.source.path);
        if sight != self.seen {
            (self.seen, self.settled) = (sight, false);
            return None;
        }
        if self.settled || sight.is_none() {
            return None;
        }
        match fs::read(&self.source.path) {
            // It is being written again.
            Ok(_) if Sight::of(&self.source.path) != sight => None,
            Ok(bytes) => {
                self.settled = true;
                self.judge(bytes)
            }
            Err(error) => {
                self.settled = true;
                self.refuse(&error);
                None
            }
        }
    }

    fn judge(&mut self, bytes: Vec<u8>) -> Option<FilterModule> {
        let digest = Sha256Hex::of(&[&bytes]);
        if digest == self.taken {
            return None;
        }
        self.taken = digest;
        let loaded = self.source.load(bytes);
        // It must also start.
        let sound = loaded.and_then(|module| module.instantiate().map(|_| module));
        let Source { label, path, .. } = &self.source;
        match sound {
            Ok(module) => {
                let (path, digest) = (path.display(), module.source());
                tracing::info!("{label} {path} has changed, and module {digest} is taken");
                Some(module)
            }
            Err(error) => {
                self.refuse(&error);
                None
            }
        }
    }

    fn refuse(&self, error: &dyn std::fmt::Display) {
        let Source { label, path, .. } = &self.source;
        let path = path.display();
        tracing::warn!("{label} {path} has changed and is refused, the old module stays: {error}");
    }
}
