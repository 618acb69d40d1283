;; Answers how often each function that may be meant for the beginning was called.
(module
    (memory (export "memory") 1)
    (data (i32.const 1024) "{\"start\":0,\"initialize\":0,\"ctors\":0,\"main\":0}\00")
    (func $add (param $at i32) (i32.store8 (local.get $at) (i32.add (i32.load8_u (local.get $at)) (i32.const 1))))
    (start $begin)
    (func $begin (call $add (i32.const 1033)))
    (func (export "_initialize") (call $add (i32.const 1048)))
    (func (export "__wasm_call_ctors") (call $add (i32.const 1058)))
    (func (export "_start") (call $add (i32.const 1067)))
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (i32.const 1024)))
