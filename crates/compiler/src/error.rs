//! Why a module cannot be compiled.

use flb_artifact::{ArtifactError, BatchError, Foreign};

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
    /// It has a marker of the batch ABI that means nothing.
    #[error("WASM module load failed: {0}")]
    Batch(#[from] BatchError),
    /// A function goes past a limit of the code generator.
    #[error(
        "WASM module load failed: a limit of the code generator: {reason}; help: split the function, or build it with \
         optimisation for size"
    )]
    TooLarge {
        /// What it said.
        reason: String,
    },
    /// What was compiled finds no room in an artifact.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// The code generator failed: not the user's fault.
    #[error("the code generator failed: {reason}; help: please report this with the module")]
    Codegen {
        /// What it said.
        reason: String,
    },
}

/// What to do about a module that breaks a rule, by words of the rule. The first that fit count.
const HELP: &[(&[&str], &str)] = &[
    (&["unexpected end"], "the file ends early: copy or build it again"),
    (
        &["legacy_exceptions", "legacy exceptions"],
        "it uses exceptions in their first form: build it with -mllvm -wasm-use-legacy-eh=false (clang), \
         -sWASM_LEGACY_EXCEPTIONS=0 (Emscripten), or without exceptions",
    ),
    (
        &["without the gc feature", "gc support", "gc types", "gc proposal"],
        "it is made for an engine that collects its garbage (WasmGC): build the filter in a language that brings its own \
         memory management, such as Rust, C or TinyGo",
    ),
    (
        &["exceeds limit", "exceeds the limit", "exceed maximum", "size is out of bounds"],
        "it goes past a limit that all engines share: build it smaller, with optimisation or split in several filters",
    ),
    (
        &["proposal", "support is not enabled", "feature required", "feature"],
        "build the filter without this WebAssembly feature",
    ),
];
/// What to do about any other.
const DAMAGED: &str = "the file is damaged, or a tool wrote it wrongly: copy or build it again";

impl CompileError {
    pub(crate) fn invalid(error: &wasmparser::Error) -> Self {
        let message = error.message();
        let help = HELP.iter().find(|(words, _)| words.iter().any(|one| message.contains(one)));
        let help = help.map_or(DAMAGED, |(_, help)| help);
        Self::Invalid { reason: message.to_owned(), offset: error.offset() as u64, help }
    }

    pub(crate) fn unsupported(reason: impl Into<String>, help: &'static str) -> Self {
        Self::Unsupported { reason: reason.into(), help }
    }

    /// A module in which `what` goes past its limit.
    pub(crate) fn limit(what: String, found: u64, limit: u64, help: &'static str) -> Self {
        Self::unsupported(format!("{what} is {found}, and the limit is {limit}"), help)
    }
}

#[cfg(test)]
mod tests {
    fn check(wasm: &[u8], help: &str) {
        let error = crate::limits::validate(wasm).err().unwrap().to_string();
        assert!(error.contains(help), "{error}");
    }

    fn check_text(text: &str, help: &str) {
        check(&wat::parse_str(text).unwrap(), help);
    }

    #[test]
    fn refusals_say_what_to_do() {
        check_text("(module (type (struct (field i32))))", "garbage (WasmGC): build the filter in");
        check_text("(module (type (array i8)))", "garbage (WasmGC): build the filter in");
        check_text("(module (func (param (ref null struct))))", "garbage (WasmGC)");
        check_text(
            &format!("(module {})", "(memory 1)".repeat(101)),
            "a limit that all engines share",
        );
        check_text(
            &format!("(module (func (local {})))", "i32 ".repeat(50_001)),
            "a limit that all engines share",
        );
        check_text("(module (func i64.add128 drop))", "without this WebAssembly feature");
        // A function with `try end` of the first form.
        let legacy =
            b"\0asm\x01\0\0\0\x01\x04\x01\x60\0\0\x03\x02\x01\0\x0a\x07\x01\x05\0\x06\x40\x0b\x0b";
        check(legacy, "-wasm-use-legacy-eh=false");
        check(b"\0asm\x01\0\0\0\x01\x04\x01\x60", "the file ends early");
        check(b"\0asm\x01\0\0\0\x01\x02\x01\x01", "copy or build it again");
    }
}
