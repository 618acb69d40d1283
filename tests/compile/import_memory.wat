;;! error = "WASM module load failed: it imports the memory 'env.memory'; help: build the filter with a memory of its own (without --import-memory)"
(module (import "env" "memory" (memory 1)) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) local.get 4))
