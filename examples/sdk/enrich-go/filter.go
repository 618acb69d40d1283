// A log filter in Go: adds to every record the language it was seen by, its tag, its time in words and its original text.
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags=-s -o enrich-go.wasm .
package main

import (
	"flb"
	"unsafe"
)

//go:wasmexport enrich
func enrich(batch unsafe.Pointer) uint32 { return flb.Run(batch, decide) }

func decide(record *flb.Record, ctx *flb.Context) flb.Verdict {
	record.Set("lang", record.Str("Go"))
	record.Set("tag", record.Text(ctx.Tag()))
	record.Set("time", record.RFC3339())
	record.Set("original", record.JSON())
	return flb.Keep
}

func main() {}
