//! Why an artifact is refused.

use std::fmt;

use crate::layout::FORMAT_VERSION;
use crate::{PublicKey, Release, Required};

/// What a file is that is not an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// It has no bytes.
    Empty,
    /// A WebAssembly module.
    Wasm,
    /// A WebAssembly component.
    WasmComponent,
    /// An artifact of WAMR's compiler.
    WamrAot,
    /// An ELF file, perhaps a bare engine image.
    Elf,
    /// Something else.
    Unknown,
}

impl Foreign {
    /// Tells by the first bytes.
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            [] => Self::Empty,
            [0, b'a', b's', b'm', _, _, 1, 0, ..] => Self::WasmComponent,
            [0, b'a', b's', b'm', ..] => Self::Wasm,
            [0, b'a', b'o', b't', ..] => Self::WamrAot,
            [0x7f, b'E', b'L', b'F', ..] => Self::Elf,
            _ => Self::Unknown,
        }
    }

    /// What to give instead where this file, of whatever kind, is wanted.
    fn advice(self, wanted: &'static str) -> &'static str {
        match self {
            Self::WamrAot => "compile the .wasm again with this flb-wamrc",
            Self::WasmComponent => "build the filter as a core module, not as a component",
            _ => wanted,
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::Wasm => "it is a WebAssembly module",
            Self::WasmComponent => "it is a WebAssembly component",
            Self::WamrAot => "it is an artifact of WAMR's compiler, which only WAMR can load",
            Self::Elf => "it is an ELF file",
            Self::Unknown => "its first bytes are not the magic of one",
        })
    }
}

/// A part of an artifact that a digest or a rule covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Header and metadata.
    Metadata,
    /// The code for one target.
    Slice(String),
    /// The WebAssembly module that it was compiled from.
    Source,
    /// The signature.
    Signature,
    /// The bytes between parts.
    Padding,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata => f.write_str("header or metadata"),
            Self::Slice(target) => write!(f, "code for {target}"),
            Self::Source => f.write_str("WebAssembly module inside"),
            Self::Signature => f.write_str("signature"),
            Self::Padding => f.write_str("padding"),
        }
    }
}

/// Why an artifact is refused. Messages say what to do; whoever knows the file's name puts it before them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// The file is something else.
    #[error("not an .aot artifact: {found}; help: {}", found.advice("give the file that flb-wamrc wrote"))]
    Foreign {
        /// What it is instead.
        found: Foreign,
    },
    /// The file is something else, where a module would have done as well.
    #[error(
        "neither a WebAssembly module nor an .aot artifact: {found}; help: {}",
        found.advice("give the .wasm that your toolchain wrote, or the .aot that flb-wamrc made of it")
    )]
    NoFilter {
        /// What it is instead.
        found: Foreign,
    },
    /// A format version that this reader does not know.
    #[error(
        "artifact format version {found}, this program reads version {FORMAT_VERSION}; help: compile the .wasm again with \
         the flb-wamrc of this release"
    )]
    Version {
        /// The file's version.
        found: u32,
    },
    /// The file ends early, or goes on too long.
    #[error(
        "damaged artifact: {found} bytes where the header says {expected}; help: copy or compile it again"
    )]
    Length {
        /// What the header says, or the least a header takes.
        expected: u64,
        /// What there is.
        found: u64,
    },
    /// A digest or a rule does not hold.
    #[error("damaged artifact: {part} does not match its checksum; help: copy or compile it again")]
    Corrupt {
        /// Where.
        part: Part,
    },
    /// A writer was given more than a reader takes.
    #[error(
        "its {part} would take {size} bytes, and an artifact has room for {limit}; help: give the module fewer exports, \
         imports and targets, with shorter names"
    )]
    TooLarge {
        /// Of what there is too much.
        part: Part,
        /// Bytes that it would take.
        size: u64,
        /// The most that a reader takes.
        limit: u64,
    },
    /// The digest holds and yet the metadata makes no sense: a faulty writer.
    #[error("faulty artifact: {reason}; help: compile it again, and report this if it stays")]
    Metadata {
        /// What makes no sense.
        reason: String,
    },
    /// Signatures are asked for, and this one is missing or not by a trusted key.
    #[error(
        "{}; help: sign it with flb-wamrc sign, or add the signer's key to the trusted keys",
        signer.map_or("not signed, and a signature is required".to_owned(),
                      |key| format!("signed by {key}, which is not trusted"))
    )]
    Untrusted {
        /// Who signed it, if anybody did.
        signer: Option<PublicKey>,
    },
    /// It is another filter than the one that is required, or an older release of it.
    #[error(
        "{}, and {required} is required; help: sign the right one: flb-wamrc sign --key FILE --name NAME --version \
         VERSION filter.aot",
        found.as_ref().map_or("its signer gave it no name".to_owned(), |found| format!("it is {found}"))
    )]
    Release {
        /// What is required.
        required: Required,
        /// What it is, if it says.
        found: Option<Release>,
    },
    /// No slice is for this architecture and operating system.
    #[error("built for {}, this host is {host}; help: rebuild with --target={host_name}", built_for.join(", "))]
    Target {
        /// Target triples of the slices.
        built_for: Vec<String>,
        /// This host's architecture and operating system.
        host: String,
        /// The host's name for `--target`.
        host_name: String,
    },
    /// The code uses CPU features that this host lacks.
    #[error(
        "built for CPU {cpu}, this host's CPU lacks {}; help: rebuild on this host, or with a --cpu that all hosts have",
        missing.join(", ")
    )]
    Cpu {
        /// The CPU it was built for.
        cpu: String,
        /// Features that are missing here.
        missing: Vec<String>,
    },
    /// Another version of the engine.
    #[error(
        "built by engine {built_by}, this program has {engine}; help: compile again with this release: flb-wamrc -o filter.aot filter.wasm"
    )]
    Engine {
        /// Name and version of the engine that built it.
        built_by: String,
        /// Name and version here.
        engine: String,
    },
}
