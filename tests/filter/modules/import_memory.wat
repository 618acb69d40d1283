;; Imports its memory and its table, as with --import-memory and --import-table, and counts its calls.
(module
    (type $count (func))
    (import "env" "memory" (memory 1))
    (import "env" "__indirect_function_table" (table $functions 2 funcref))
    (data (i32.const 16) "{\"n\":0}\00")
    (elem (i32.const 1) $count)
    (func $count (i32.store8 (i32.const 21) (i32.add (i32.load8_u (i32.const 21)) (i32.const 1))))
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (call_indirect (type $count) (i32.const 1))
        (i32.const 16)))
