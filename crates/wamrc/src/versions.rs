//! Versions: what `--version` and `--llvm-version` print, and what artifacts record.

use flb_artifact::FORMAT_VERSION;
use flb_compiler::ENGINES;

/// Name and version of this program, as artifacts record it.
pub(crate) const PRODUCER: &str = concat!("flb-wamrc ", env!("CARGO_PKG_VERSION"));

/// What `--version` prints.
pub(crate) fn version() -> String {
    let [(engine, version), (interpreter, its)] = ENGINES;
    format!(
        "flb-wamrc {}\nengine {engine} {version}\ninterpreter {interpreter} {its}\nartifact format {FORMAT_VERSION}\n",
        env!("CARGO_PKG_VERSION"),
    )
}

/// What `--llvm-version` prints.
pub(crate) fn code_generator() -> String {
    let [(engine, version), _] = ENGINES;
    format!("none: flb-wamrc has no LLVM; code generator: Cranelift of {engine} {version}\n")
}
