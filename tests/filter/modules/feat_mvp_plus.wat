;; Uses bulk memory, sign extension and saturating conversion, and answers the record.
(module
    (memory (export "memory") 1)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        (memory.copy (i32.const 100) (i32.const 200) (i32.const 10))
        (drop (i32.extend8_s (i32.const 128)))
        (drop (i32.trunc_sat_f32_s (f32.const 1e20)))
        (local.get 4)))
