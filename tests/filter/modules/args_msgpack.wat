;; Answers, in msgpack, the bytes of the record that it was given, in hexadecimal.
(module
    (memory (export "memory") 1)
    ;; A map with the key "record" and a text whose 16-bit length is written at 1033.
    (data (i32.const 1024) "\81\a6record\da")
    (func $digit (param $n i32) (result i32)
        (i32.add (local.get $n) (select (i32.const 87) (i32.const 48) (i32.gt_u (local.get $n) (i32.const 9)))))
    (func (export "filter") (param $tag i32) (param $tag_len i32) (param $sec i32) (param $nsec i32)
        (param $record i32) (param $len i32) (result i32)
        (local $i i32) (local $byte i32)
        (i32.store8 (i32.const 1033) (i32.shr_u (local.get $len) (i32.const 7)))
        (i32.store8 (i32.const 1034) (i32.shl (local.get $len) (i32.const 1)))
        (loop $more
            (if (i32.lt_u (local.get $i) (local.get $len))
                (then
                    (local.set $byte (i32.load8_u (i32.add (local.get $record) (local.get $i))))
                    (i32.store8 offset=1035 (i32.shl (local.get $i) (i32.const 1))
                        (call $digit (i32.shr_u (local.get $byte) (i32.const 4))))
                    (i32.store8 offset=1036 (i32.shl (local.get $i) (i32.const 1))
                        (call $digit (i32.and (local.get $byte) (i32.const 15))))
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br $more))))
        (i32.const 1024)))
