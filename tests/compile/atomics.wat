;;! target = "x86_64"
;;! exports = "f(i32) -> (i32)"
(module (memory 1 1 shared)
  (func (export "f") (param i32) (result i32) (i32.atomic.load (local.get 0))))
