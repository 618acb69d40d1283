;; Answers with addresses: NULL, an empty text, the tag, both sides of the memory's end, far outside.
(module
    (memory (export "memory") 1)
    (func (export "null") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0))
    (func (export "empty") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "tag") (param i32 i32 i32 i32 i32 i32) (result i32) (local.get 0))
    (func (export "last") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 65535))
    (func (export "edge") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 65536))
    (func (export "far") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0x7fffffff))
    (func (export "negative") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const -1)))
