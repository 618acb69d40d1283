;; Always gives the same answer.
(module
    (memory (export "memory") 1)
    (data (i32.const 1024) "{\"const\":\"ok\",\"n\":1}\00")
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (i32.const 1024)))
