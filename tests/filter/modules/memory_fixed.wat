;; Has a memory of one page that cannot grow.
(module
    (memory (export "memory") 1 1)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (local.get 4)))
