;; Fails in every call, in one of the ways that a fault is.
(module
    (memory (export "memory") 1 1)
    (func (export "stomp") (param i32 i32 i32 i32 i32 i32) (result i32)
        (i32.store (i32.const 0x7ffffff0) (i32.const 1)) (i32.const 0))
    (func (export "unreachable") (param i32 i32 i32 i32 i32 i32) (result i32) (unreachable))
    (func (export "divide") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.div_u (i32.const 1) (i32.const 0)))
    (func (export "loop") (param i32 i32 i32 i32 i32 i32) (result i32) (loop (br 0)) (unreachable)))
