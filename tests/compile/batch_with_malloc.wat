;; Batches come without an allocator, whoever brings one.
;;! arguments = "pages"
;;! exports = "flb_batch_1() -> (); malloc(i32) -> (i32); free(i32) -> (); filter(i32) -> (i32)"
(module
  (memory 1)
  (func (export "flb_batch_1"))
  (func (export "malloc") (param i32) (result i32) i32.const 8)
  (func (export "free") (param i32))
  (func (export "filter") (param i32) (result i32) i32.const 0)
)
