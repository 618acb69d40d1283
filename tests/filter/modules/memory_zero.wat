;; Has a memory without a single byte.
(module
    (memory (export "memory") 0)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (local.get 4)))
