//! The `.aot` file: what it is made of, and the proof that it is whole and fits this host.
//!
//! Knows nothing of the engine and touches no file. `docs/artifact-format.md` draws the bytes.

mod architecture;
mod artifact;
mod batch;
mod builder;
pub mod contract;
mod cpu;
mod detect;
mod error;
mod host;
mod layout;
mod metadata;
mod packing;
mod release;
mod signing;
mod sources;
mod target;

pub use architecture::Architecture;
pub use artifact::{Artifact, Verified};
pub use batch::{BatchError, is_batch_function, speaks_batch};
pub use builder::{ArtifactBuilder, SliceCode};
pub use cpu::{Cpu, CpuTable, Feature, Meaning};
pub use error::{ArtifactError, Foreign, Part};
pub use host::Host;
pub use layout::{FORMAT_VERSION, MAGIC};
pub use metadata::{
    Arguments, Collector, Encoding, EngineSettings, Export, Import, Interface, Interruption,
    Levels, Metadata, Sha256Hex, Slice, SourceModule, Stored, Traps, ValueType,
};
pub use release::{Name, Release, ReleaseError, Required, Version};
pub use signing::{KeyError, PublicKey, SecretKey, Trust};
pub use sources::Sources;
pub use target::{TARGET_NAMES, Target, TargetError};
