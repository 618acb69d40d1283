;;! target = "armv7"
;;! error = "WASM module load failed: code for pulley32 has no atomic instructions (threads support is not enabled); help: build the filter without threads (without -pthread or +atomics)"
(module (memory 1 1 shared)
  (func (export "f") (param i32) (result i32) (i32.atomic.load (local.get 0))))
