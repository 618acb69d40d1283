;; Uses relaxed SIMD, and answers the record if it computes what both of its results are.
(module
    (memory (export "memory") 1)
    (func (export "filter") (param i32 i32 i32 i32 i32 i32) (result i32)
        ;; 2 * 3 + 1, fused or not
        (if (f32.ne (f32.const 7) (f32x4.extract_lane 0 (f32x4.relaxed_madd
                (f32x4.splat (f32.const 2)) (f32x4.splat (f32.const 3)) (f32x4.splat (f32.const 1)))))
            (then unreachable))
        (local.get 4)))
