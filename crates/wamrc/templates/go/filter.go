// The filter {{name}}: drops what is only for debugging, takes passwords away, says where a record came from.
package main

import (
	"flb"
	"unsafe"
)

//go:wasmexport filter
func filter(batch unsafe.Pointer) uint32 { return flb.Run(batch, decide) }

func decide(record *flb.Record, ctx *flb.Context) flb.Verdict {
	if record.Get("level").Is("debug") {
		return flb.Drop
	}
	record.Delete("password")
	record.Set("tag", record.Text(ctx.Tag()))
	return flb.Keep
}

func main() {}
