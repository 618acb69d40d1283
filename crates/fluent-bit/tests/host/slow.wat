;; Takes its time, in one of several ways.
(module
    (memory (export "memory") 1)
    (func (export "flb_batch_1"))
    ;; Some ten milliseconds.
    (func $work (local $left i32)
        (local.set $left (i32.const 20000000))
        (loop $on
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (i32.store (i32.const 0) (local.get $left))
            (br_if $on (local.get $left))))
    ;; Keeps a record without members, and works on any other for ever.
    (func (export "some") (param i32 i32 i32 i32) (param $record i32) (param $length i32) (result i32)
        (if (i32.gt_u (local.get $length) (i32.const 2)) (then (loop $on (br $on))))
        (local.get $record))
    ;; Keeps every record, and takes its time for it.
    (func (export "slow") (param i32 i32 i32 i32) (param $record i32) (param i32) (result i32)
        (call $work)
        (local.get $record))
    ;; The same for the records of a batch.
    (func (export "slow_batch") (param $batch i32) (result i32) (local $next i32)
        (loop $records
            (i32.store offset=12 (local.get $batch) (local.get $next))
            (if (i32.lt_u (local.get $next) (i32.load offset=8 (local.get $batch))) (then
                (call $work)
                (local.set $next (i32.add (local.get $next) (i32.const 1)))
                (br $records))))
        (i32.const 0)))
