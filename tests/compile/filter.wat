;;! target = "x86_64"
;;! exports = "f(i32, i32, i32, i32, i32, i32) -> (i32)"
;;! imports = "env.log"
;;! triple = "x86_64-unknown-linux-gnu"
;;! uses = ""
;;! below = 4096
(module
  (import "env" "log" (func (param i32)))
  (memory (export "memory") 1)
  (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) local.get 4))
