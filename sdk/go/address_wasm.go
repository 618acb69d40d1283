package flb

import "unsafe"

// An address in the guest's memory.
type address uint32

func (a address) pointer() unsafe.Pointer { return unsafe.Pointer(uintptr(a)) }

func (a address) bytes(n int) []byte { return unsafe.Slice((*byte)(a.pointer()), n) }

func addressOf(at unsafe.Pointer) address { return address(uintptr(at)) }

// A number in an address's place.
func numbered(n uint32) address { return address(n) }

func (a address) number() uint32 { return uint32(a) }

// Says that the module knows the batch ABI; it is never called.
//
//go:wasmexport flb_batch_1
func marker() {}

// What the host does: module flb.

//go:wasmimport flb json
func hostJSON(value unsafe.Pointer, length uint32, to unsafe.Pointer, room uint32) uint32

//go:wasmimport flb sha256
func hostSHA256(data unsafe.Pointer, length uint32, to unsafe.Pointer)

//go:wasmimport flb log
func hostLog(level uint32, text unsafe.Pointer, length uint32)

//go:wasmimport flb counter
func hostCounter(name unsafe.Pointer, length uint32) uint32

//go:wasmimport flb add
func hostAdd(counter uint32, by uint64)

//go:wasmimport flb histogram
func hostHistogram(name unsafe.Pointer, length uint32, bounds unsafe.Pointer, count uint32) uint32

//go:wasmimport flb observe
func hostObserve(histogram uint32, value float64)
