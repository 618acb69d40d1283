;;! target = "aarch64-apple-macosx11.0"
;;! triple = "aarch64-apple-darwin"
;;! below = 8192
(module (memory 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) local.get 4))
