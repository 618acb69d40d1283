//go:build !wasm

package flb

import (
	"crypto/sha256"
	"unsafe"
)

// An address, in native tests: a pointer.
type address struct{ at unsafe.Pointer }

func (a address) pointer() unsafe.Pointer { return a.at }

func (a address) bytes(n int) []byte { return unsafe.Slice((*byte)(a.at), n) }

func addressOf(at unsafe.Pointer) address { return address{at} }

// A number in an address's place.
func numbered(n uint32) address { return address{unsafe.Add(nil, n)} }

func (a address) number() uint32 { return uint32(uintptr(a.at)) }

// In native tests nobody counts, the log is nobody's, and JSON texts are empty.

func hostJSON(unsafe.Pointer, uint32, unsafe.Pointer, uint32) uint32 { return 0 }

func hostSHA256(data unsafe.Pointer, length uint32, to unsafe.Pointer) {
	*(*[32]byte)(to) = sha256.Sum256(unsafe.Slice((*byte)(data), length))
}

func hostLog(uint32, unsafe.Pointer, uint32)                                {}
func hostCounter(unsafe.Pointer, uint32) uint32                             { return 0 }
func hostAdd(uint32, uint64)                                                {}
func hostHistogram(unsafe.Pointer, uint32, unsafe.Pointer, uint32) uint32 { return 0 }
func hostObserve(uint32, float64)                                           {}
