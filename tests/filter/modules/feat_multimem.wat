;; Uses a second memory, and answers the record.
(module
    (memory (export "memory") 1)
    (memory $other 1)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (i32.store $other (i32.const 0) (i32.const 1))
        (local.get 4)))
