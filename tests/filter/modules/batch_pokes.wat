;; The batch ABI: a guest that does what its records tell it to, however wrong that is. A body `{"s": bin32}` is a list of
;; orders of eight bytes: what to do, a byte that means nothing, an offset of two bytes, a number of four. Other records are kept.
(module
  (memory (export "memory") 2 8)
  (func (export "flb_batch_1"))
  (func (export "filter") (param $batch i32) (result i32)
    (local $next i32) (local $begin i32) (local $count i32) (local $table i32) (local $rec i32)
    (local $body i32) (local $at i32) (local $end i32) (local $what i32) (local $off i32) (local $number i32)
    (local.set $begin (i32.load offset=12 (local.get $batch)))
    (local.set $next (local.get $begin))
    (local.set $count (i32.load offset=8 (local.get $batch)))
    (local.set $table (i32.load offset=16 (local.get $batch)))
    (loop $records
      (i32.store offset=12 (local.get $batch) (local.get $next))
      (if (i32.ge_u (local.get $next) (local.get $count)) (then (return (i32.const 0))))
      (local.set $rec (i32.add (local.get $table) (i32.shl (local.get $next) (i32.const 5))))
      (local.set $body (i32.load offset=12 (local.get $rec)))
      (local.set $end (i32.load offset=16 (local.get $rec)))
      (local.set $at (i32.add (local.get $body) (i32.const 8)))
      (if (i32.eq (i32.load (local.get $body)) (i32.const 0xc673a181)) (then
        (block $done
          (loop $orders
            (br_if $done (i32.gt_u (i32.add (local.get $at) (i32.const 8)) (local.get $end)))
            (local.set $what (i32.load8_u (local.get $at)))
            (local.set $off (i32.load16_u offset=2 (local.get $at)))
            (local.set $number (i32.load offset=4 (local.get $at)))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (block $next_order
              (block $in_body (block $verdict (block $at_len (block $return (block $grow (block $spin (block $trap
              (block $own_body (block $own (block $header (block $record
                (br_table $record $header $own $own_body $trap $spin $grow $return $at_len $verdict $in_body $next_order
                  (local.get $what)))
              ;; 0: the number into the record of the table
              (i32.store (i32.add (local.get $rec) (i32.and (local.get $off) (i32.const 63))) (local.get $number))
              (br $next_order))
              ;; 1: into the block
              (i32.store (i32.add (local.get $batch) (i32.and (local.get $off) (i32.const 4095))) (local.get $number))
              (br $next_order))
              ;; 2: into the guest's own memory
              (i32.store offset=1024 (local.get $off) (local.get $number))
              (br $next_order))
              ;; 3: the same, counted from the body's address
              (i32.store offset=1024 (local.get $off) (i32.add (local.get $number) (local.get $body)))
              (br $next_order))
              ;; 4
              unreachable)
              ;; 5
              (loop $for_ever (br $for_ever)))
              ;; 6
              (drop (memory.grow (i32.and (local.get $number) (i32.const 3))))
              (br $next_order))
              ;; 7
              (return (local.get $number)))
              ;; 8: `at` in the guest's own memory, and `len`
              (i32.store offset=24 (local.get $rec) (i32.add (local.get $off) (i32.const 1024)))
              (i32.store offset=28 (local.get $rec) (local.get $number))
              (br $next_order))
              ;; 9: the verdict
              (i32.store offset=20 (local.get $rec) (local.get $number))
              (br $next_order))
              ;; 10: `at` in the body, and `len`
              (i32.store offset=24 (local.get $rec) (i32.add (local.get $body) (local.get $off)))
              (i32.store offset=28 (local.get $rec) (local.get $number)))
            (br $orders)))))
      (local.set $next (i32.add (local.get $next) (i32.const 1)))
      (br $records))
    unreachable))
