//! The `--disable-*` options: a module that uses what was switched off is refused, as the original compiler does.

use wasmparser::{Validator, WasmFeatures};

/// A part of WebAssembly that can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proposal {
    Simd,
    BulkMemory,
    ReferenceTypes,
}

impl Proposal {
    fn features(self) -> WasmFeatures {
        match self {
            Self::Simd => WasmFeatures::SIMD | WasmFeatures::RELAXED_SIMD,
            Self::BulkMemory => WasmFeatures::BULK_MEMORY | WasmFeatures::BULK_MEMORY_OPT,
            Self::ReferenceTypes => {
                WasmFeatures::REFERENCE_TYPES
                    | WasmFeatures::FUNCTION_REFERENCES
                    | WasmFeatures::GC
                    | WasmFeatures::EXCEPTIONS
            }
        }
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Simd => ("SIMD", "--disable-simd"),
            Self::BulkMemory => ("bulk memory operations", "--disable-bulk-memory"),
            Self::ReferenceTypes => ("reference types", "--disable-ref-types"),
        }
    }
}

/// Refuses a module that uses one of them. What is wrong with it otherwise is the compiler's to say.
pub(crate) fn refuse(wasm: &[u8], without: &[Proposal]) -> anyhow::Result<()> {
    let is_valid = |features| Validator::new_with_features(features).validate_all(wasm).is_ok();
    if without.is_empty() || !is_valid(WasmFeatures::all()) {
        return Ok(());
    }
    for proposal in without {
        let (name, option) = proposal.words();
        anyhow::ensure!(
            is_valid(WasmFeatures::all().difference(proposal.features())),
            "the module uses {name}, which {option} switched off; help: leave {option} out, or \
             build the filter without {name}"
        );
    }
    Ok(())
}
