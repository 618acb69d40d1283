;;! target = "aarch64v8"
;;! cpu = "pentium"
;;! error = "unknown CPU 'pentium' for aarch64"
(module (memory 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) local.get 4))
