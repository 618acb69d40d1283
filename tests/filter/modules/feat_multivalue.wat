;; Uses functions and blocks with several results, and answers the record.
(module
    (memory (export "memory") 1)
    (func $two (param i32) (result i32 i32) (local.get 0) (i32.const 1))
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (call $two (local.get 4))
        (block (param i32 i32) (result i32 i32))
        (drop)))
