;; Uses garbage-collected structures.
(module
    (type $pair (struct (field i32) (field i32)))
    (memory (export "memory") 1)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (struct.get $pair 0 (struct.new $pair (local.get 4) (local.get 5)))))
