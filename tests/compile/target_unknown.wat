;;! target = "vax"
;;! error = "unknown target 'vax'"
(module (memory 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) local.get 4))
