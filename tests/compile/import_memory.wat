;;! exports = "f(i32, i32, i32, i32, i32, i32) -> (i32)"
(module (import "env" "memory" (memory 1)) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) local.get 4))
