;; Looks for "level":"error" in the record and adds whether it is there.
(module
    (memory (export "memory") 1)
    (data (i32.const 16) "\"level\":\"error\"")
    (data (i32.const 48) ",\"alert\":false}\00")
    (data (i32.const 80) ",\"alert\":true}\00")
    (func $is_there (param $at i32) (result i32)
        (i32.and
            (i64.eq (i64.load (local.get $at)) (i64.load (i32.const 16)))
            (i64.eq (i64.load offset=7 (local.get $at)) (i64.load (i32.const 23)))))
    (func (export "filter") (param $tag i32) (param $tag_len i32) (param $sec i32) (param $nsec i32)
        (param $record i32) (param $len i32) (result i32)
        (local $at i32) (local $alert i32)
        (local.set $at (local.get $record))
        (loop $search
            (local.set $alert (call $is_there (local.get $at)))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br_if $search (i32.and (i32.ne (i32.load8_u (local.get $at)) (i32.const 0)) (i32.eqz (local.get $alert)))))
        (memory.copy (i32.const 1024) (local.get $record) (local.get $len))
        (memory.copy (i32.add (i32.const 1023) (local.get $len))
            (select (i32.const 80) (i32.const 48) (local.get $alert)) (i32.const 17))
        (i32.const 1024)))
