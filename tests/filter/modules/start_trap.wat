;; Fails at its start.
(module
    (memory (export "memory") 1)
    (start $begin)
    (func $begin (unreachable))
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (local.get 4)))
