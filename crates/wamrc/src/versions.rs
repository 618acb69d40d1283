//! What `--version` and `--llvm-version` print.

use flb_artifact::FORMAT_VERSION;

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
