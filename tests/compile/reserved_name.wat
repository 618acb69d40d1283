;;! error = "WASM module load failed: it exports 'flb:memory', a name that begins with 'flb:'; help: rename the export: these names are the compiler's own"
(module (memory (export "flb:memory") 1) (func (export "f")))
