;; ABI version 2: the answer is the record as it came, and its length goes with its address. Nothing ends it: what follows is overwritten.
(module
    (memory (export "memory") 1)
    (func (export "filter") (param i32 i32 i32 i32) (param $record i32) (param $length i32) (result i64)
        (memory.copy (i32.const 1024) (local.get $record) (local.get $length))
        (memory.fill (i32.add (i32.const 1024) (local.get $length)) (i32.const 0x78) (i32.const 64))
        (i64.or (i64.shl (i64.extend_i32_u (local.get $length)) (i64.const 32)) (i64.const 1024))))
