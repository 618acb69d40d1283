;; Has a constructor that sets a value, and an allocator, as C++ modules do.
(module
    (memory (export "memory") 1)
    (data (i32.const 1024) "{\"ctor\":0}\00")
    (global $next (mut i32) (i32.const 2048))
    (func (export "_initialize") (i32.store8 (i32.const 1032) (i32.const 55)))
    (func (export "malloc") (param $size i32) (result i32)
        (global.get $next)
        (global.set $next (i32.add (global.get $next) (local.get $size))))
    (func (export "free") (param i32))
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (i32.const 1024)))
