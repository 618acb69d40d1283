;; Exports under a filter's name what is no filter: functions of other types, and a global.
(module
    (memory (export "memory") 1)
    (data (i32.const 1024) "{\"sig\":1}\00")
    (func (export "one") (param i32) (result i32) (i32.const 1024))
    (func (export "seven") (param i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "i64_result") (param i32 i32 i32 i32 i32 i32) (result i64) (i64.const 1024))
    (func (export "no_result") (param i32 i32 i32 i32 i32 i32))
    (global (export "global") i32 (i32.const 1024)))
