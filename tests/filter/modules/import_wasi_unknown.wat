;; Imports what some runtimes have beyond WASI, and does not call it.
(module
    (import "wasi_snapshot_preview1" "sock_open" (func (param i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32) (local.get 4)))
