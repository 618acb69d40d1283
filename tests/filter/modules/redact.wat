;; Overwrites the value of the key "password" with asterisks, in place.
(module
    (memory (export "memory") 1)
    (data (i32.const 16) "\"password\":\"")
    (func $is_key (param $at i32) (result i32)
        (i32.and
            (i64.eq (i64.load (local.get $at)) (i64.load (i32.const 16)))
            (i32.eq (i32.load offset=8 (local.get $at)) (i32.load (i32.const 24)))))
    (func (export "filter") (param $tag i32) (param $tag_len i32) (param $sec i32) (param $nsec i32)
        (param $record i32) (param $len i32) (result i32)
        (local $at i32)
        (local.set $at (local.get $record))
        (block $no_password
            (loop $search
                (br_if $no_password (i32.eqz (i32.load8_u (local.get $at))))
                (if (i32.eqz (call $is_key (local.get $at)))
                    (then
                        (local.set $at (i32.add (local.get $at) (i32.const 1)))
                        (br $search))))
            (local.set $at (i32.add (local.get $at) (i32.const 12)))
            (loop $cover
                (if (i32.ne (i32.load8_u (local.get $at)) (i32.const 34))
                    (then
                        (i32.store8 (local.get $at) (i32.const 42))
                        (local.set $at (i32.add (local.get $at) (i32.const 1)))
                        (br $cover)))))
        (local.get $record)))
