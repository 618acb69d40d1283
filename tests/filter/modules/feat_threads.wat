;; Uses atomics on a shared memory, and answers the record.
(module
    (memory (export "memory") 1 2 shared)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (drop (i32.atomic.rmw.add (i32.const 64) (i32.const 1)))
        (local.get 4)))
