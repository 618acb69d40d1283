;; The batch ABI: sets "level" to "production" in each record, which has one.
(module
  (memory (export "memory") 1)
  (data (i32.const 16) "level")
  (data (i32.const 32) "\aaproduction")
  (data (i32.const 48) "\00\05\00\00\10\00\00\00\20\00\00\00\0b\00\00\00")
  (func (export "flb_batch_1"))
  (func (export "filter") (param $batch i32) (result i32)
    (local $next i32) (local $rec i32)
    (local.set $next (i32.load offset=12 (local.get $batch)))
    (loop $records
      (i32.store offset=12 (local.get $batch) (local.get $next))
      (if (i32.lt_u (local.get $next) (i32.load offset=8 (local.get $batch))) (then
        (local.set $rec (i32.add (i32.load offset=16 (local.get $batch))
          (i32.mul (local.get $next) (i32.load offset=20 (local.get $batch)))))
        (i32.store offset=20 (local.get $rec) (i32.const 2))
        (i32.store offset=24 (local.get $rec) (i32.const 48))
        (i32.store offset=28 (local.get $rec) (i32.const 1))
        (local.set $next (i32.add (local.get $next) (i32.const 1)))
        (br $records))))
    (i32.const 0)))
