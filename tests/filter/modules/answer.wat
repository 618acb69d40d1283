;; Answers the text that the record {"answer":"..."} tells it to, without the JSON escapes of that text.
(module
    (memory (export "memory") 1)
    (func (export "filter") (param $tag i32) (param $tag_len i32) (param $sec i32) (param $nsec i32)
        (param $record i32) (param $len i32) (result i32)
        (local $from i32) (local $end i32) (local $to i32) (local $byte i32)
        (local.set $from (i32.add (local.get $record) (i32.const 11)))
        (local.set $end (i32.sub (i32.add (local.get $record) (local.get $len)) (i32.const 2)))
        (local.set $to (i32.const 1024))
        (loop $more
            (if (i32.lt_u (local.get $from) (local.get $end))
                (then
                    (local.set $byte (i32.load8_u (local.get $from)))
                    (if (i32.eq (local.get $byte) (i32.const 92))
                        (then
                            (local.set $from (i32.add (local.get $from) (i32.const 1)))
                            (local.set $byte (i32.load8_u (local.get $from)))
                            (if (i32.eq (local.get $byte) (i32.const 110)) (then (local.set $byte (i32.const 10))))))
                    (i32.store8 (local.get $to) (local.get $byte))
                    (local.set $from (i32.add (local.get $from) (i32.const 1)))
                    (local.set $to (i32.add (local.get $to) (i32.const 1)))
                    (br $more))))
        (i32.store8 (local.get $to) (i32.const 0))
        (i32.const 1024)))
