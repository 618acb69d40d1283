;;! error = "WASM module load failed: it exports no function; help: export the filter function: #[unsafe(no_mangle)] extern "C" in Rust, __attribute__((export_name(".."))) in C, //go:wasmexport in Go"
(module (memory (export "memory") 1))
