;; Reads a byte behind the end of its memory, and answers the record.
(module
    (memory (export "memory") 1)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (drop (i32.load8_u (i32.const 100000)))
        (local.get 4)))
