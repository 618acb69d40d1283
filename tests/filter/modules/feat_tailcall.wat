;; Uses a tail call, and answers the record.
(module
    (memory (export "memory") 1)
    (func $echo (param i32 i32 i32 i32 i32 i32) (result i32) (local.get 4))
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (return_call $echo (local.get 0) (local.get 1) (local.get 2) (local.get 3) (local.get 4) (local.get 5))))
