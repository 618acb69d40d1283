//! Why a module cannot be compiled.

use flb_artifact::Foreign;

/// Why a module cannot be compiled. Messages say what to do; whoever knows the file's name puts it before them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The input is something else.
    #[error(
        "Invalid wasm file: magic header not detected; {found}; help: give the .wasm that your toolchain wrote"
    )]
    NotWasm {
        /// What it is instead.
        found: Foreign,
    },
    /// The bytes break WebAssembly's rules, or end early.
    #[error("WASM module load failed: {reason} (at byte {offset}); help: {help}")]
    Invalid {
        /// The rule.
        reason: String,
        /// Where in the file.
        offset: u64,
        /// What to do.
        help: &'static str,
    },
    /// A valid module that cannot be a filter.
    #[error("WASM module load failed: {reason}; help: {help}")]
    Unsupported {
        /// What stands in the way.
        reason: String,
        /// What to do.
        help: &'static str,
    },
    /// The code generator failed: not the user's fault.
    #[error("the code generator failed: {reason}; help: please report this with the module")]
    Codegen {
        /// What it said.
        reason: String,
    },
}

impl CompileError {
    pub(crate) fn invalid(error: &wasmparser::Error) -> Self {
        let help = match error.message() {
            message if message.contains("unexpected end") => {
                "the file ends early: copy or build it again"
            }
            message
                if message.contains("proposal") || message.contains("support is not enabled") =>
            {
                "build the filter without this WebAssembly feature"
            }
            _ => "the file is damaged or uses a feature that is not supported: build it again",
        };
        Self::Invalid { reason: error.message().to_owned(), offset: error.offset() as u64, help }
    }

    pub(crate) fn unsupported(reason: impl Into<String>, help: &'static str) -> Self {
        Self::Unsupported { reason: reason.into(), help }
    }
}
