;;! error = "WASM module load failed: it exports 'flb_batch_7', a version of the batch ABI that is not known here; help: use a newer release, or build the filter for 'flb_batch_1'"
(module
  (memory 1)
  (func (export "flb_batch_7"))
  (func (export "filter") (param i32) (result i32) i32.const 0)
)
