;; Imports a function that nobody provides, and calls it or not.
(module
    (import "env" "foo" (func $foo (param i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "calls") (param i32 i32 i32 i32 i32 i32) (result i32)
        (call $foo (local.get 4)))
    (func (export "does_not_call") (param i32 i32 i32 i32 i32 i32) (result i32)
        (local.get 4)))
