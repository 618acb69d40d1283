//! Versions: what `--version` and `--llvm-version` print, and what artifacts record.

use flb_artifact::FORMAT_VERSION;

/// Name and version of this program, as artifacts record it.
pub(crate) const PRODUCER: &str = concat!("flb-wamrc ", env!("CARGO_PKG_VERSION"));

/// What `--version` prints.
pub(crate) fn version() -> String {
    format!(
        "flb-wamrc {}\nengine {} {}\nartifact format {FORMAT_VERSION}\n",
        env!("CARGO_PKG_VERSION"),
        flb_compiler::ENGINE.0,
        flb_compiler::ENGINE.1,
    )
}

/// What `--llvm-version` prints.
pub(crate) fn code_generator() -> String {
    format!(
        "none: flb-wamrc has no LLVM; code generator: Cranelift of {} {}\n",
        flb_compiler::ENGINE.0,
        flb_compiler::ENGINE.1
    )
}
