;; Uses reference types, and answers the record.
(module
    (memory (export "memory") 1)
    (table $t 2 externref)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (table.set $t (i32.const 0) (ref.null extern))
        (local.get 4)))
