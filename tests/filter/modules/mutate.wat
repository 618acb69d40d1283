;; Changes a letter of the record in place.
(module
    (memory (export "memory") 1)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (i32.store8 offset=2 (local.get 4) (i32.const 90))
        (local.get 4)))
