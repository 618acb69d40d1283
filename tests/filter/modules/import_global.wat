;; Imports a global that nobody provides.
(module
    (import "env" "foo" (global i32))
    (memory (export "memory") 1)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (local.get 4)))
