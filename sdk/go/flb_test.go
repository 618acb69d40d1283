package flb

import (
	"bytes"
	"math"
	"testing"
	"unsafe"
)

func valueOf(msgpack string) Value {
	// Up to 16 bytes behind a value may be read.
	return Value{unsafe.Pointer(unsafe.SliceData([]byte(msgpack + "0123456789abcdef")))}
}

func TestIntegersAreExactInEveryForm(t *testing.T) {
	for _, c := range []struct {
		msgpack string
		signed  int64
		fits    bool
		large   uint64
		isLarge bool
	}{
		{"\x7f", 127, true, 127, true},
		{"\xe0", -32, true, 0, false},
		{"\xcd\xff\xff", 65_535, true, 65_535, true},
		{"\xd1\x80\x00", -32_768, true, 0, false},
		{"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 0, false, math.MaxUint64, true},
		{"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", math.MinInt64, true, 0, false},
		{"\xca\x00\x00\x00\x00", 0, false, 0, false},
	} {
		value := valueOf(c.msgpack)
		if n, ok := value.Int(); ok != c.fits || ok && n != c.signed {
			t.Errorf("%x is the integer %d, %t", c.msgpack, n, ok)
		}
		if n, ok := value.Uint(); ok != c.isLarge || ok && n != c.large {
			t.Errorf("%x is the integer %d, %t", c.msgpack, n, ok)
		}
	}
}

func TestOfANameThatComesTwiceTheLastIsRead(t *testing.T) {
	value := valueOf("\x83\xa1a\x01\xa1b\x02\xd9\x01a\x03")
	last, _ := value.Get("a").Int()
	first, _ := value.First("a").Int()
	if last != 3 || first != 1 || value.Get("b").Get("c").Exists() {
		t.Error(last, first)
	}
}

func TestValuesTakeTheirShortestForm(t *testing.T) {
	var room [256]byte
	r := Record{writer: writer{at: unsafe.Pointer(&room), room: len(room)}}
	r.Map(2)
	r.Str("a")
	r.Array(6)
	r.Int(1)
	r.Int(-1)
	r.Uint(200)
	r.Float(1.5)
	r.Bool(true)
	r.Nil()
	r.Str("b")
	text := r.BeginText()
	r.Push("text of more than ")
	r.PushBytes([]byte("thirty-one bytes"))
	r.EndText(text)
	wanted := "\x82\xa1a\x96\x01\xff\xcc\xc8\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xc3\xc0\xa1b\xd9\x22text of more than thirty-one bytes"
	if !bytes.HasPrefix(room[:], []byte(wanted)) {
		t.Errorf("%q", room)
	}
}
