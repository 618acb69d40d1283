;;! target = "armv7"
;;! error = "WASM module load failed: portable code has no atomic instructions, exceptions or typed references (threads support is not enabled); help: build the filter without threads and exceptions (without -pthread, +atomics or -fwasm-exceptions)"
(module (memory 1 1 shared)
  (func (export "f") (param i32) (result i32) (i32.atomic.load (local.get 0))))
