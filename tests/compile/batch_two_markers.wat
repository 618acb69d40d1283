;;! error = "WASM module load failed: it exports 'flb_batch_1' and 'flb_batch_2'; help: a module speaks one version of the batch ABI"
(module
  (memory 1)
  (func (export "flb_batch_1"))
  (func (export "filter") (param i32) (result i32) i32.const 0)
  (func (export "flb_batch_2"))
)
