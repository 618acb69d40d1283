;; Like constructors.wat, in a module that imports WASI.
(module
    (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
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
