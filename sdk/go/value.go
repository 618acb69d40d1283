package flb

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// Kind is what a value is.
type Kind int

// What a value may be; a missing one is not there.
const (
	Missing Kind = iota
	Nil
	Bool
	Int
	Float
	Text
	Binary
	Extension
	Array
	Map
)

var kindNames = [...]string{"missing", "nil", "bool", "int", "float", "text", "binary", "extension", "array", "map"}

// String is the kind's name.
func (k Kind) String() string { return kindNames[k] }

// Value is a value of a record, or none: what is not there equals nothing and has no members, so a path needs no questions on the way. It is
// read where it lies, which the host has checked.
type Value struct{ at unsafe.Pointer }

func byteAt(at unsafe.Pointer, i int) byte { return *(*byte)(unsafe.Add(at, i)) }

func be16(at unsafe.Pointer, i int) uint16 {
	return binary.BigEndian.Uint16((*[2]byte)(unsafe.Add(at, i))[:])
}

func be32(at unsafe.Pointer, i int) uint32 {
	return binary.BigEndian.Uint32((*[4]byte)(unsafe.Add(at, i))[:])
}

func be64(at unsafe.Pointer, i int) uint64 {
	return binary.BigEndian.Uint64((*[8]byte)(unsafe.Add(at, i))[:])
}

// How long the header of a value is, and how many bytes and values follow.
func head(at unsafe.Pointer) (header, bytes, values int) {
	switch m := byteAt(at, 0); {
	case m < 0x80, m >= 0xe0:
		return 1, 0, 0
	case m < 0x90:
		return 1, 0, 2 * int(m&15)
	case m < 0xa0:
		return 1, 0, int(m & 15)
	case m < 0xc0:
		return 1, int(m & 31), 0
	default:
		return longHead(at, m)
	}
}

func longHead(at unsafe.Pointer, m byte) (header, bytes, values int) {
	switch m {
	case 0xcc, 0xd0:
		return 1, 1, 0
	case 0xcd, 0xd1:
		return 1, 2, 0
	case 0xca, 0xce, 0xd2:
		return 1, 4, 0
	case 0xcb, 0xcf, 0xd3:
		return 1, 8, 0
	case 0xc4, 0xd9:
		return 2, int(byteAt(at, 1)), 0
	case 0xc5, 0xda:
		return 3, int(be16(at, 1)), 0
	case 0xc6, 0xdb:
		return 5, int(be32(at, 1)), 0
	case 0xc7:
		return 3, int(byteAt(at, 1)), 0
	case 0xc8:
		return 4, int(be16(at, 1)), 0
	case 0xc9:
		return 6, int(be32(at, 1)), 0
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return 2, 1 << (m - 0xd4), 0
	case 0xdc:
		return 3, 0, int(be16(at, 1))
	case 0xdd:
		return 5, 0, int(be32(at, 1))
	case 0xde:
		return 3, 0, 2 * int(be16(at, 1))
	case 0xdf:
		return 5, 0, 2 * int(be32(at, 1))
	}
	return 1, 0, 0
}

// Bytes of the values whose first byte says it all: 0 for others.
var lengths = func() (lengths [256]uint8) {
	for m := range lengths {
		switch {
		case m < 0x80, m >= 0xe0, m >= 0xc0 && m <= 0xc3:
			lengths[m] = 1
		case m >= 0xa0 && m < 0xc0:
			lengths[m] = uint8(1 + m&31)
		}
	}
	for m, n := range [...]uint8{5, 9, 2, 3, 5, 9, 2, 3, 5, 9, 3, 4, 6, 10, 18} {
		lengths[0xca+m] = n
	}
	return lengths
}()

// What follows the value.
func skip(at unsafe.Pointer) unsafe.Pointer {
	if n := lengths[byteAt(at, 0)]; n > 0 {
		return unsafe.Add(at, n)
	}
	return longSkip(at)
}

func longSkip(at unsafe.Pointer) unsafe.Pointer {
	for left := 1; left > 0; left-- {
		header, bytes, values := head(at)
		at = unsafe.Add(at, header+bytes)
		left += values
	}
	return at
}

// Exists says whether it is there.
func (v Value) Exists() bool { return v.at != nil }

// Kind is what it is.
func (v Value) Kind() Kind {
	if v.at == nil {
		return Missing
	}
	switch m := byteAt(v.at, 0); {
	case m < 0x80, m >= 0xe0:
		return Int
	case m < 0x90, m >= 0xde:
		return Map
	case m < 0xa0, m >= 0xdc:
		return Array
	case m < 0xc0, m >= 0xd9:
		return Text
	case m < 0xc2:
		return Nil
	case m < 0xc4:
		return Bool
	case m < 0xc7:
		return Binary
	case m < 0xca, m >= 0xd4:
		return Extension
	case m < 0xcc:
		return Float
	}
	return Int
}

// Bool is true or false; and whether it is one of them.
func (v Value) Bool() (value, ok bool) {
	if v.Kind() != Bool {
		return false, false
	}
	return byteAt(v.at, 0) == 0xc3, true
}

// Int is an integer; and whether it is one that fits.
func (v Value) Int() (int64, bool) {
	if v.at == nil {
		return 0, false
	}
	switch m := byteAt(v.at, 0); m {
	case 0xcc:
		return int64(byteAt(v.at, 1)), true
	case 0xcd:
		return int64(be16(v.at, 1)), true
	case 0xce:
		return int64(be32(v.at, 1)), true
	case 0xcf:
		n := be64(v.at, 1)
		return int64(n), n <= math.MaxInt64
	case 0xd0:
		return int64(int8(byteAt(v.at, 1))), true
	case 0xd1:
		return int64(int16(be16(v.at, 1))), true
	case 0xd2:
		return int64(int32(be32(v.at, 1))), true
	case 0xd3:
		return int64(be64(v.at, 1)), true
	default:
		return int64(int8(m)), m < 0x80 || m >= 0xe0
	}
}

// Uint is an integer that is not negative; and whether it is one.
func (v Value) Uint() (uint64, bool) {
	if v.at != nil && byteAt(v.at, 0) == 0xcf {
		return be64(v.at, 1), true
	}
	n, ok := v.Int()
	return uint64(n), ok && n >= 0
}

// Float is a float, or an integer as one, above 2^53 the nearest; and whether it is a number.
func (v Value) Float() (float64, bool) {
	if v.at == nil {
		return 0, false
	}
	switch byteAt(v.at, 0) {
	case 0xca:
		return float64(math.Float32frombits(be32(v.at, 1))), true
	case 0xcb:
		return math.Float64frombits(be64(v.at, 1)), true
	case 0xcf:
		return float64(be64(v.at, 1)), true
	}
	n, ok := v.Int()
	return float64(n), ok
}

func (v Value) bytesOf(kind Kind) ([]byte, bool) {
	if v.Kind() != kind {
		return nil, false
	}
	header, bytes, _ := head(v.at)
	return unsafe.Slice((*byte)(unsafe.Add(v.at, header)), bytes), true
}

// Text is the bytes of a text, which ought to be UTF-8, but nobody has looked; and whether it is a text. They are the record's: not to be
// changed, and not to be kept.
func (v Value) Text() ([]byte, bool) { return v.bytesOf(Text) }

// String is a copy of the text; empty if it is none.
func (v Value) String() string {
	text, _ := v.Text()
	return string(text)
}

// Binary is bytes that are no text, as Text is.
func (v Value) Binary() ([]byte, bool) { return v.bytesOf(Binary) }

// Extension is an extension's type and bytes, as Text is.
func (v Value) Extension() (kind int8, bytes []byte, ok bool) {
	bytes, ok = v.bytesOf(Extension)
	if ok {
		header, _, _ := head(v.at)
		kind = int8(byteAt(v.at, header-1))
	}
	return kind, bytes, ok
}

// Is says whether it is this text.
func (v Value) Is(text string) bool { return v.at != nil && isAt(v.at, text) }

func isAt(at unsafe.Pointer, text string) bool {
	// Most are short.
	if m := byteAt(at, 0); m&0xe0 == 0xa0 {
		return int(m&31) == len(text) && unsafe.String((*byte)(unsafe.Add(at, 1)), len(text)) == text
	}
	found, ok := Value{at}.Text()
	return ok && string(found) == text
}

// Get is the member of this name. Of several the last, which is the one that counts elsewhere, in JSON text for example.
func (v Value) Get(key string) (found Value) {
	entries := v.Entries()
	at := entries.at
	for left := entries.left; left > 0; left-- {
		value := skip(at)
		if isAt(at, key) {
			found.at = value
		}
		at = skip(value)
	}
	return found
}

// First is the first member of this name: less work where names stand early and come once.
func (v Value) First(key string) Value {
	entries := v.Entries()
	at := entries.at
	for left := entries.left; left > 0; left-- {
		value := skip(at)
		if isAt(at, key) {
			return Value{value}
		}
		at = skip(value)
	}
	return Value{}
}

// Len is how many entries a map or values an array has; else 0.
func (v Value) Len() int {
	switch v.Kind() {
	case Map:
		_, _, values := head(v.at)
		return values / 2
	case Array:
		_, _, values := head(v.at)
		return values
	}
	return 0
}

// Raw is its msgpack, as Text is; nothing if it is missing.
func (v Value) Raw() []byte {
	if v.at == nil {
		return nil
	}
	return unsafe.Slice((*byte)(v.at), uintptr(skip(v.at))-uintptr(v.at))
}

// Iterator goes through the entries of a map or the values of an array.
type Iterator struct {
	// Key and Value are the entry in hand; in an array there are no keys.
	Key, Value Value
	at         unsafe.Pointer
	left       int
	isMap      bool
}

// Entries goes through the entries of a map, in their order: for entries := v.Entries(); entries.Next(); { .. entries.Key, entries.Value .. }.
func (v Value) Entries() Iterator { return v.iterate(Map) }

// Items goes through the values of an array.
func (v Value) Items() Iterator { return v.iterate(Array) }

func (v Value) iterate(kind Kind) Iterator {
	if v.Kind() != kind {
		return Iterator{}
	}
	header, _, values := head(v.at)
	if kind == Map {
		values /= 2
	}
	return Iterator{at: unsafe.Add(v.at, header), left: values, isMap: kind == Map}
}

// Next takes the next one in hand, and says whether there is one.
func (i *Iterator) Next() bool {
	if i.left == 0 {
		return false
	}
	i.left--
	if i.isMap {
		i.Key.at = i.at
		i.at = skip(i.at)
	}
	i.Value.at = i.at
	i.at = skip(i.at)
	return true
}
