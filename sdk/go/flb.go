// Package flb is for log filters in Go, which run as WebAssembly in flb-agent: a function that is given a record, and says what becomes
// of it.
//
//	package main
//
//	import (
//		"flb"
//		"unsafe"
//	)
//
//	//go:wasmexport hide
//	func hide(batch unsafe.Pointer) uint32 { return flb.Run(batch, decide) }
//
//	func decide(record *flb.Record, ctx *flb.Context) flb.Verdict {
//		if record.Get("level").Is("debug") {
//			return flb.Drop
//		}
//		record.Set("tag", record.Text(ctx.Tag()))
//		return flb.Keep
//	}
//
//	func main() {}
//
// It is built by
//
//	GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags=-s -o hide.wasm .
//	tinygo build -target=wasip1 -buildmode=c-shared -no-debug -o hide.wasm .
//
// The exported name is the filter's Function_Name; a module may have several. Nothing here allocates: records are read where the host put
// them, answers are written into memory that it lends. What is read is the record as it came: edits change what leaves. Of keys that come
// twice the last one is read; edits take all of a name. Values and the bytes of texts are the record's: they are good until the filter
// returns.
package flb

import (
	"runtime"
	"strconv"
	"unsafe"
)

// Verdict is what becomes of a record.
type Verdict int

const (
	// Keep lets it go on, with what was edited; or in parts, if it was split.
	Keep Verdict = iota
	// Drop ends it here.
	Drop
	// Failed makes it a failure, for the reason that Record.Fail was given.
	Failed
)

type rec struct {
	sec, nsec       uint32
	meta, body, end address
	verdict         uint32
	at              address
	length          uint32
}

type startBlock struct {
	version, size        uint32
	config               address
	configLen            uint32
	name                 address
	nameLen              uint32
	out                  address
	outCap               uint32
	reason               address
	reasonLen            uint32
	flags, reserved      uint32
}

type batch struct {
	version, size, count, next uint32
	recs                       address
	recSize                    uint32
	tag                        address
	tagLen                     uint32
	out                        address
	outCap                     uint32
	now, deadline              uint64
	flags                      uint32
	start                      address
}

type edit struct {
	kind       uint32
	key, value address
	length     uint32
}

type part struct {
	sec, nsec uint32
	meta      address
	metaLen   uint32
	body      address
	bodyLen   uint32
	tag       address
	tagLen    uint32
}

// What an edit does; with the high bit set, to the metadata.
const (
	set uint32 = iota
	appended
	deleted
	renamed
	put
	all
	toTime
	toTag
	metadata uint32 = 0x80
)

// At the end of the scratch memory, for the last words of a panic.
const lastWords = 1024

// Context is what a filter is told beside the record.
type Context struct{ batch *batch }

// Tag is the record's tag: bytes of the batch's, which are not to be changed.
func (c *Context) Tag() []byte { return c.batch.tag.bytes(int(c.batch.tagLen)) }

// Now is the time, as the agent's clock has it: nanoseconds since 1970.
func (c *Context) Now() uint64 { return c.batch.now }

// Config is a property of the filter's configuration, a text: Config.Level is Config("level").
func (c *Context) Config(key string) Value { return c.start().Config(key) }

// Name is the filter's name in log and metrics.
func (c *Context) Name() []byte { return c.start().Name() }

func (c *Context) start() *Started { return (*Started)(c.batch.start.pointer()) }

// Started is what a filter is told before its first record.
type Started startBlock

// Config is as Context.Config.
func (s *Started) Config(key string) Value { return Value{s.config.pointer()}.Get(key) }

// Name is as Context.Name.
func (s *Started) Name() []byte { return s.name.bytes(int(s.nameLen)) }

// Start calls the function once, before the first record; what it returns says why the filter cannot start, or is empty:
//
//	//go:wasmexport flb_start
//	func start(block unsafe.Pointer) uint32 { return flb.Start(block, check) }
func Start(block unsafe.Pointer, check func(*Started) string) uint32 {
	started := (*Started)(block)
	why := check(started)
	if why == "" {
		return 0
	}
	w := writer{at: started.out.pointer(), room: int(started.outCap)}
	w.str(why)
	started.reason, started.reasonLen = started.out, uint32(len(why))
	return 1
}

// The record in hand and what a filter is told beside it: one of each, so that none is made in a call.
var record Record
var context Context

// Run has the filter decide about every record of the batch.
func Run(block unsafe.Pointer, filter func(*Record, *Context) Verdict) (code uint32) {
	b := (*batch)(block)
	context.batch = b
	r := &record
	room := (int(b.outCap) - lastWords) &^ 15
	front := room / 4 * 3 &^ 15
	r.writer = writer{at: b.out.pointer(), room: front}
	r.list = writer{at: unsafe.Add(b.out.pointer(), front), room: room - front}
	defer panicked(b)
	for i := b.next; i < b.count; i++ {
		store(&b.next, i)
		r.rec = (*rec)(unsafe.Add(b.recs.pointer(), int(i)*int(b.recSize)))
		r.firstEdit, r.firstValue = r.list, r.writer
		r.parts = -1
		verdict := filter(r, &context)
		if verdict == Drop {
			r.list, r.writer = r.firstEdit, r.firstValue
			r.rec.verdict = 1
			continue
		}
		if r.writer.full || r.list.full {
			return 1
		}
		switch {
		case verdict == Failed:
			r.answer(5, addressOf(r.reason), r.reasonLen)
		case r.parts >= 0:
			r.answer(4, addressOf(r.firstEdit.at), r.parts)
		case r.list.at != r.firstEdit.at:
			r.answer(2, addressOf(r.firstEdit.at), r.edits())
		}
	}
	store(&b.next, b.count)
	return 0
}

// After what was decided before, for the compiler moves no store past a call.
//
//go:noinline
func store(to *uint32, value uint32) { *to = value }

// A panic's message is the failure's, with file and line. It goes on, for what is left of the guest cannot be trusted: the record in hand
// is lost to it, and no other.
func panicked(b *batch) {
	why := recover()
	if why == nil {
		return
	}
	at := unsafe.Add(b.out.pointer(), int(b.outCap)-lastWords)
	words := writer{at: at, room: lastWords}
	words.str(message(why))
	if file, line, known := place(); known && len(file) < 256 {
		words.str(" at ")
		words.str(file)
		words.str(":")
		words.str(strconv.Itoa(line))
	}
	r := (*rec)(unsafe.Add(b.recs.pointer(), int(b.next)*int(b.recSize)))
	r.at, r.length, r.verdict = addressOf(at), uint32(uintptr(words.at)-uintptr(at)), 5
	panic(why)
}

func message(why any) (text string) {
	switch why := why.(type) {
	case error:
		text = why.Error()
	case string:
		text = why
	case interface{ String() string }:
		text = why.String()
	default:
		text = "a panic"
	}
	return text[:min(len(text), lastWords/2)]
}

// Where it panicked: the first function above that is neither the language's nor ours.
func place() (file string, line int, known bool) {
	for skip := 3; skip < 16; skip++ {
		counter, file, line, known := runtime.Caller(skip)
		if !known {
			break
		}
		name := runtime.FuncForPC(counter).Name()
		if len(name) < 8 || name[:8] != "runtime." {
			return file, line, true
		}
	}
	return "", 0, false
}
