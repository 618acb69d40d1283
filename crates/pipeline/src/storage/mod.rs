//! Where chunks are kept until every output has settled their fate: in memory, which is counted and limited, or in files, so
//! that what was taken survives the process.
//!
//! With files, a batch is in its chunk's file before the input hears that it was taken, and the file goes when every output
//! has settled the chunk's fate. What is left at the end is found and delivered at the next start. `docs/storage-format.md`
//! describes the files.

pub(crate) mod buffer;
mod chunk_name;
mod file;
mod folder;
pub mod format;
mod rejected;
mod ring;
mod settings;
mod slots;

pub(crate) use buffer::{Buffer, Held};
pub(crate) use chunk_name::ChunkName;
pub(crate) use file::{ChunkFile, StoredFile};
pub use folder::StorageError;
pub(crate) use folder::{Found, Lock, Storage};
pub(crate) use rejected::Rejected;
pub(crate) use ring::Waiting;
pub(crate) use settings::{StorageSettings, StorageType};
pub(crate) use slots::{Slot, Slots};
