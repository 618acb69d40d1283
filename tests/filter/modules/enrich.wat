;; Adds the tag to the record, in a memory that cannot grow.
(module
    (memory (export "memory") 1 1)
    (data (i32.const 16) ",\"tag\":\"")
    (func (export "filter") (param $tag i32) (param $tag_len i32) (param $sec i32) (param $nsec i32)
        (param $record i32) (param $len i32) (result i32)
        (local $to i32)
        (memory.copy (i32.const 1024) (local.get $record) (local.get $len))
        (local.set $to (i32.add (i32.const 1023) (local.get $len)))  ;; over the closing brace
        (memory.copy (local.get $to) (i32.const 16) (i32.const 8))
        (local.set $to (i32.add (local.get $to) (i32.const 8)))
        (memory.copy (local.get $to) (local.get $tag) (local.get $tag_len))
        (local.set $to (i32.add (local.get $to) (local.get $tag_len)))
        (i32.store (local.get $to) (i32.const 0x007d22))  ;; "} and NUL
        (i32.const 1024)))
