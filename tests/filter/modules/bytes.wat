;; Answers with bytes that are no clean text.
(module
    (memory (export "memory") 1)
    (data (i32.const 1024) "{\"a\":\"x\ff\fey\",\"b\":\"\c3\a9\"}\00")
    (data (i32.const 2048) "\ef\bb\bf{\"a\":1}\00")
    (data (i32.const 3072) "{\"a\":\"x\01\09y\"}\00")
    (func (export "invalid_utf8") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 1024))
    (func (export "byte_order_mark") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 2048))
    (func (export "control_characters") (param i32 i32 i32 i32 i32 i32) (result i32) (i32.const 3072)))
