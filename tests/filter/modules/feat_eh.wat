;; Uses exceptions, and answers the record.
(module
    (memory (export "memory") 1)
    (tag $t)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (block $caught (try_table (catch_all $caught) (throw $t)))
        (local.get 4)))
