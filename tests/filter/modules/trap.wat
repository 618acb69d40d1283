;; Fails in every call, in one of several ways.
(module
    (memory (export "memory") 1)
    (func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))
    (func (export "unreachable") (param i32 i32 i32 i32 i32 i32) (result i32) (unreachable))
    (func (export "divide") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.div_u (i32.const 1) (i32.const 0)))
    (func (export "recurse") (param i32 i32 i32 i32 i32 i32) (result i32) (call $deep (i32.const 0)))
    (func (export "loop") (param i32 i32 i32 i32 i32 i32) (result i32) (loop (br 0)) (unreachable)))
