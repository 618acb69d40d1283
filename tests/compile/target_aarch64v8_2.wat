;;! target = "aarch64v8.2"
;;! triple = "aarch64-unknown-linux-gnu"
;;! below = 8192
(module (memory 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) local.get 4))
