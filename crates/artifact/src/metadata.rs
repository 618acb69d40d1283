//! What an artifact says about itself, as its JSON has it.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Release, Sources};

/// Everything that a loader must know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The program that made the artifact, with its version.
    pub producer: String,
    /// Which filter it is, if its signer says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Release>,
    /// The module it was compiled from.
    pub source: SourceModule,
    /// What the module exports and imports, and how arguments reach it.
    pub interface: Interface,
    /// The files that the code was made from, if the module says it.
    #[serde(default, skip_serializing_if = "Sources::is_empty")]
    pub sources: Sources,
    /// The code, one slice a target.
    pub slices: Vec<Slice>,
}

/// Identifies a WebAssembly module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceModule {
    /// Digest of the `.wasm` file.
    pub sha256: Sha256Hex,
    /// Its length in bytes.
    pub size: u64,
    /// Where the file holds the module itself, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<Stored>,
}

/// Bytes somewhere in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Where they begin.
    pub offset: u64,
    /// How many there are, as stored.
    pub length: u64,
    /// The offset is a multiple of this power of two.
    pub align: u64,
    /// How they are stored.
    pub encoding: Encoding,
    /// How many there are once unpacked.
    pub size: u64,
    /// Digest of the bytes as stored.
    pub sha256: Sha256Hex,
}

/// How bytes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// As they are.
    Raw,
    /// Compressed: RFC 1951, nothing around it.
    Deflate,
}

/// A module's functions as the outside sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Exported functions, in module order.
    pub exports: Vec<Export>,
    /// Imported functions, in module order.
    pub imports: Vec<Import>,
    /// How a record reaches the guest.
    pub arguments: Arguments,
}

/// An exported function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Its name.
    pub name: String,
    /// Types of its parameters.
    pub params: Vec<ValueType>,
    /// Types of its results.
    pub results: Vec<ValueType>,
}

/// An imported function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The module that shall provide it.
    pub module: String,
    /// Its name there.
    pub name: String,
}

/// A WebAssembly value type, as far as filters can meet one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ValueType {
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
    /// 32-bit float.
    F32,
    /// 64-bit float.
    F64,
    /// 128-bit vector.
    V128,
    /// Any reference.
    Ref,
}

impl fmt::Display for ValueType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::I32 => "i32",
            Self::I64 => "i64",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::V128 => "v128",
            Self::Ref => "ref",
        })
    }
}

/// How a record reaches the guest's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "lowercase")]
pub enum Arguments {
    /// Through the module's own exported `malloc` and `free`.
    Malloc,
    /// Through AssemblyScript's exported `__new`, `__pin` and `__unpin`.
    New,
    /// In pages of its memory that are the host's, above all that the guest can have.
    Pages {
        /// The most bytes that the guest's own memory may have, by what the module declares.
        limit: u64,
    },
}

/// Code for one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Target triple.
    pub target: String,
    /// The CPU's name from the table, or `native`.
    pub cpu: String,
    /// CPU features that the code uses beyond the target's baseline, sorted.
    pub features: Vec<String>,
    /// How it was compiled.
    pub options: Levels,
    /// The engine that made it and its settings.
    pub engine: EngineSettings,
    /// Why guests are interrupted otherwise than was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_signals: Option<String>,
    /// The engine's image.
    pub code: Stored,
}

/// The two levels that a user chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Levels {
    /// 0 to 3: how hard the compiler works for fast code.
    pub opt_level: u8,
    /// 0 to 3: how hard it works for a small file.
    pub size_level: u8,
}

/// How a guest that runs too long is ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interruption {
    /// A signal takes its thread out of it. The code itself looks only after what may take long outside of it.
    #[default]
    Signal,
    /// The code compares a counter with its deadline at function entries and loop heads.
    Epoch,
    /// It is not: the code runs for as long as it likes.
    None,
}

impl Interruption {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Signal, Self::Epoch, Self::None];

    /// The kind with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Its name, the same in artifacts and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Epoch => "epoch",
            Self::None => "none",
        }
    }

    /// What artifacts are that do not say.
    fn unsaid() -> Self {
        Self::Epoch
    }
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a guest's traps are raised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Traps {
    /// By the CPU: its faults are signals, which the engine handles.
    #[default]
    Signal,
    /// By comparisons in the code.
    Explicit,
}

impl Traps {
    /// All ways.
    pub const ALL: [Self; 2] = [Self::Signal, Self::Explicit];

    /// The way with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|way| way.name() == name)
    }

    /// Its name, the same in configurations and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::Explicit => "explicit",
        }
    }
}

/// Every engine setting that the engine compares when it loads code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EngineSettings {
    /// `wasmtime` for native code, `wasmi` for portable code, to which the settings of memories below say nothing.
    pub name: String,
    /// Exact version, such as `48.0.8`.
    pub version: String,
    /// How a guest that runs too long is ended.
    #[serde(default = "Interruption::unsaid")]
    pub interruption: Interruption,
    /// Address space reserved for each memory, in bytes.
    pub memory_reservation: u64,
    /// Unmapped bytes behind each memory.
    pub memory_guard_size: u64,
    /// Whether there is a guard before each memory, too.
    pub guard_before_linear_memory: bool,
    /// Whether a memory may be moved when it grows.
    pub memory_may_move: bool,
    /// Further address space when a memory moves, in bytes.
    pub memory_reservation_for_growth: u64,
    /// Whether memories are initialised copy-on-write.
    pub memory_init_cow: bool,
    /// Whether tables are filled on first use.
    pub table_lazy_init: bool,
    /// Whether traps are raised by the CPU rather than by explicit checks.
    pub signals_based_traps: bool,
    /// Whether the engine inlines across functions.
    pub inlining: bool,
    /// Whether the image has symbols for debuggers.
    pub debug_symbols: bool,
    /// Whether it has the module's own debug information.
    pub debug_info: bool,
    /// Whether the engine's support for concurrent components is on.
    pub concurrency: bool,
    /// How references are collected; exceptions are references.
    pub collector: Collector,
}

impl EngineSettings {
    /// How the code's traps are raised.
    pub fn traps(&self) -> Traps {
        if self.signals_based_traps { Traps::Signal } else { Traps::Explicit }
    }

    /// Whether a process that runs the code has to handle signals, be it for traps or to end calls.
    pub fn needs_signals(&self) -> bool {
        self.signals_based_traps || self.interruption == Interruption::Signal
    }
}

/// How references are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Collector {
    /// Deferred reference counting.
    Drc,
}

/// A SHA-256, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Sha256Hex(pub [u8; 32]);

impl Sha256Hex {
    /// The digest of `parts`, one after the other.
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// The same of parts that may end with an error.
    pub fn of_each<'p, E>(parts: impl IntoIterator<Item = Result<&'p [u8], E>>) -> Result<Self, E> {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update(part?);
        }
        Ok(Self(hasher.finalize().into()))
    }
}

impl fmt::Display for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<Sha256Hex> for String {
    fn from(digest: Sha256Hex) -> String {
        digest.to_string()
    }
}

impl TryFrom<String> for Sha256Hex {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WRONG: &str = "a SHA-256 is 64 hexadecimal digits";
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(WRONG);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let nibble = |digit: u8| char::from(digit).to_digit(16).ok_or(WRONG);
            *byte = u8::try_from(nibble(pair[0])? << 4 | nibble(pair[1])?).map_err(|_| WRONG)?;
        }
        Ok(Self(bytes))
    }
}
