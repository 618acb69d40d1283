;; Adds a member to the record, in both formats, with room for records of 64 KB.
(module
    (memory (export "memory") 4)
    (data (i32.const 16) ",\"env\":\"production\"}\00")
    (data (i32.const 48) "\a3env\aaproduction\00")
    (func (export "filter") (param $tag i32) (param $tag_len i32) (param $sec i32) (param $nsec i32)
        (param $record i32) (param $len i32) (result i32)
        (memory.copy (i32.const 1024) (local.get $record) (local.get $len))
        ;; Over the closing brace; without the comma if nothing stands before it.
        (if (i32.eq (local.get $len) (i32.const 2))
            (then (memory.copy (i32.const 1025) (i32.const 17) (i32.const 20)))
            (else
                (memory.copy
                    (i32.add (i32.const 1023) (local.get $len)) (i32.const 16) (i32.const 21))))
        (i32.const 1024))
    ;; The record is a map of less than 15 entries.
    (func (export "filter_msgpack") (param $tag i32) (param $tag_len i32) (param $sec i32) (param $nsec i32)
        (param $record i32) (param $len i32) (result i32)
        (memory.copy (i32.const 1024) (local.get $record) (local.get $len))
        (i32.store8 (i32.const 1024) (i32.add (i32.load8_u (local.get $record)) (i32.const 1)))
        (memory.copy (i32.add (i32.const 1024) (local.get $len)) (i32.const 48) (i32.const 16))
        (i32.const 1024)))
