//! Says by `cfg(native)` whether there is native code for the machine that this is built for. Elsewhere the engine for it, Wasmtime, is
//! left out, and the interpreter runs portable code alone.

/// The architectures with a back end, as in `Cargo.toml` beside this.
const NATIVE: [&str; 4] = ["x86_64", "aarch64", "riscv64", "s390x"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(native)");
    #[expect(clippy::disallowed_methods, reason = "this is how cargo says what it builds for")]
    let architecture = std::env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    if NATIVE.contains(&architecture.as_str()) {
        println!("cargo::rustc-cfg=native");
    }
}
