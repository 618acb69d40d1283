;;! target = "x86_64"
;;! cpu = "x86-64-v2"
;;! features = "-sse42,+bmi1"
;;! uses = "bmi1,cmpxchg16b,popcnt,sse3,sse41,ssse3"
(module (memory 1) (func (export "f") (param i32 i32 i32 i32 i32 i32) (result i32) local.get 4))
