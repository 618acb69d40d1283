;;! opt = 0
;;! size = 3
;;! exports = "f(i32, i32, i32, i32, i32, i32) -> (i32)"
;;! below = 4096
(module (memory 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) local.get 4)
  (func $dead (param i32) (result i32) (call $dead (i32.add (local.get 0) (i32.const 1))))
  (func (param i32) (result i32) (call $dead (i32.mul (local.get 0) (local.get 0)))))
