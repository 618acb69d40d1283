;;! target = "armv7a"
;;! cpu = "cortex-a9"
;;! features = "+neon"
;;! triple = "portable"
;;! uses = ""
(module (memory 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) local.get 4))
