;; Uses an extended constant expression, and answers the record.
(module
    (memory (export "memory") 1)
    (global i32 (i32.add (i32.const 1) (i32.const 2)))
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (local.get 4)))
