;; Drops every record: the answer is an empty text.
(module
    (memory (export "memory") 1)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (i32.const 1024)))
