;; Adds a key to the msgpack record, which is a map of less than 15 keys.
(module
    (memory (export "memory") 1)
    (data $more "\a3env\aaproduction\00")
    (func (export "filter") (param $tag i32) (param $tag_len i32) (param $sec i32) (param $nsec i32)
        (param $record i32) (param $len i32) (result i32)
        (memory.copy (i32.const 1024) (local.get $record) (local.get $len))
        (i32.store8 (i32.const 1024) (i32.add (i32.load8_u (local.get $record)) (i32.const 1)))
        (memory.init $more (i32.add (i32.const 1024) (local.get $len)) (i32.const 0) (i32.const 16))
        (i32.const 1024)))
