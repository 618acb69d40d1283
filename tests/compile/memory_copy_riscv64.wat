;;! target = "riscv64"
;;! exports = "f(i32) -> ()"
(module (memory 1) (data $d "0123456789abcdef")
  (func (export "f") (param i32)
    (memory.copy (local.get 0) (i32.const 8) (i32.const 40))
    (memory.init $d (local.get 0) (i32.const 0) (i32.const 16))))
