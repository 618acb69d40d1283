;;! target = "x86_64"
;;! exports = "f(i32) -> (i32)"
(module (memory 1)
  (func (export "f") (param i32) (result i32)
    (i8x16.bitmask (v128.load (local.get 0)))))
