;;! exports = "f() -> ()"
(module (memory 1) (func (export "f")) (@custom "name" "\01\7f"))
