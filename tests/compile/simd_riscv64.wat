;;! target = "riscv64"
;;! error = "WASM module load failed: code for riscv64 has no SIMD instructions (SIMD support is not enabled); help: build the filter without SIMD (without -msimd128 or +simd128), or for machines with vectors: --cpu-features=+v"
(module (memory 1)
  (func (export "f") (param i32) (result i32)
    (i8x16.bitmask (v128.load (local.get 0)))))
