;; Uses a 64-bit memory without an allocator, and answers the record.
(module
    (memory (export "memory") i64 1)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (local.get 4)))
