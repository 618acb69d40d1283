;; Counts its records, and observes the value 2 with each.
(module
    (import "flb" "counter" (func $counter (param i32 i32) (result i32)))
    (import "flb" "add" (func $add (param i32 i64)))
    (import "flb" "histogram" (func $histogram (param i32 i32 i32 i32) (result i32)))
    (import "flb" "observe" (func $observe (param i32 f64)))
    (memory (export "memory") 1)
    (data (i32.const 0) "seen")
    (data (i32.const 8) "sizes")
    ;; 1 and 2.5
    (data (i32.const 16) "\00\00\00\00\00\00\f0\3f\00\00\00\00\00\00\04\40")
    (func (export "filter") (param i32 i32 i32 i32) (param $record i32) (param i32) (result i32)
        (call $add (call $counter (i32.const 0) (i32.const 4)) (i64.const 1))
        (call $observe
            (call $histogram (i32.const 8) (i32.const 5) (i32.const 16) (i32.const 2))
            (f64.const 2))
        (local.get $record)))
