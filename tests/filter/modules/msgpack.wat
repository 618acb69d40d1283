;; Answers in msgpack: a map, an array, half a map, a map with a byte that means nothing, nothing, a place outside the memory.
(module
    (memory (export "memory") 1)
    (data (i32.const 1024) "\82\a1a\01\a1b\a2hi\00")
    (data (i32.const 2048) "\93\01\02\03\00")
    (data (i32.const 3072) "\82\a1a\01\00")
    (data (i32.const 4096) "\82\a1a\01\a1b\c1\00")
    (func (export "map") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "array") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 2048))
    (func (export "half") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 3072))
    (func (export "damaged") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 4096))
    (func (export "empty") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 5120))
    (func (export "outside") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 0x7fffffff)))
