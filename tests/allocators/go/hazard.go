// A filter that allocates with every call; see ../README.md.
package main

import "unsafe"

const (
	kept   = 32
	enough = 64 << 20
)

var (
	sizes     = [...]int{40, 4000, 70000, 1048576}
	blocks    [kept][]byte
	calls     int
	allocated int
)

func sum(at unsafe.Pointer, length uint32) uint64 {
	value := uint64(14695981039346656037)
	for _, b := range unsafe.Slice((*byte)(at), length) {
		value = (value ^ uint64(b)) * 1099511628211
	}
	return value
}

// Allocates, overwrites, and forgets what was allocated 32 calls ago.
func churn() {
	slot, size := calls%kept, sizes[calls%len(sizes)]
	calls++
	blocks[slot] = nil
	if allocated > enough {
		return
	}
	allocated += size
	block := make([]byte, size)
	for i := range block {
		block[i] = 0x5a
	}
	blocks[slot] = block
}

//go:wasmexport hazard
func hazard(tag unsafe.Pointer, tagLen, sec, nsec uint32, record unsafe.Pointer, recordLen uint32) unsafe.Pointer {
	before := sum(tag, tagLen) ^ sum(record, recordLen)
	churn()
	if before != sum(tag, tagLen)^sum(record, recordLen) {
		return nil
	}
	return record
}

func main() {}
