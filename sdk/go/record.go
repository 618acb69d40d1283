package flb

import (
	"math"
	"unsafe"
)

// Memory that fills up.
type writer struct {
	at   unsafe.Pointer
	room int
	full bool
}

// The next bytes, or nil.
func (w *writer) take(n int) unsafe.Pointer {
	if n > w.room {
		w.full = true
		return nil
	}
	at := w.at
	w.at = unsafe.Add(at, n)
	w.room -= n
	return at
}

func (w *writer) bytes(from []byte) {
	if at := w.take(len(from)); at != nil {
		copy(unsafe.Slice((*byte)(at), len(from)), from)
	}
}

func (w *writer) str(from string) {
	if at := w.take(len(from)); at != nil {
		copy(unsafe.Slice((*byte)(at), len(from)), from)
	}
}

// A first byte, and as many of the number's.
func (w *writer) number(mark byte, value uint64, n int) {
	at := w.take(1 + n)
	if at == nil {
		return
	}
	*(*byte)(at) = mark
	for ; n > 0; n-- {
		*(*byte)(unsafe.Add(at, n)) = byte(value)
		value >>= 8
	}
}

func (w *writer) header(fixed byte, most int, mark byte, count int) {
	switch {
	case count <= most:
		w.number(fixed|byte(count), 0, 0)
	case fixed == 0xa0 && count < 0x100:
		w.number(0xd9, uint64(count), 1)
	case count < 0x10000:
		w.number(mark, uint64(count), 2)
	default:
		w.number(mark+1, uint64(count), 4)
	}
}

// Record is the record in hand.
//
// What is written, by itself or between Begin and an edit, is a Value as well; so all edits take a Value: of the record's, or a new one.
//
//	record.Set("n", record.Int(5))
//
//	list := record.Begin()
//	record.Array(2)
//	record.Int(1)
//	record.Int(2)
//	record.Set("list", list)
type Record struct {
	rec                   *rec
	writer, list          writer
	firstValue, firstEdit writer
	parts                 int
	reason                unsafe.Pointer
	reasonLen             int
}

func (r *Record) answer(verdict uint32, at address, length int) {
	r.rec.at, r.rec.length, r.rec.verdict = at, uint32(length), verdict
}

func (r *Record) edits() int { return int((uintptr(r.list.at) - uintptr(r.firstEdit.at)) / unsafe.Sizeof(edit{})) }

// Body is the whole body, a map.
func (r *Record) Body() Value { return Value{r.rec.body.pointer()} }

// Metadata is the metadata, a map, often an empty one.
func (r *Record) Metadata() Value { return Value{r.rec.meta.pointer()} }

// Time is when it happened: seconds since 1970, and nanoseconds.
func (r *Record) Time() (sec, nsec uint32) { return r.rec.sec, r.rec.nsec }

// Get is the body's member of this name; of several the last.
func (r *Record) Get(key string) Value { return r.Body().Get(key) }

// Begin is the value that is written next.
func (r *Record) Begin() Value { return Value{r.writer.at} }

// Nil writes nil.
func (r *Record) Nil() Value {
	v := r.Begin()
	r.writer.number(0xc0, 0, 0)
	return v
}

// Bool writes true or false.
func (r *Record) Bool(value bool) Value {
	v := r.Begin()
	if value {
		r.writer.number(0xc3, 0, 0)
	} else {
		r.writer.number(0xc2, 0, 0)
	}
	return v
}

// Int writes an integer.
func (r *Record) Int(value int64) Value {
	if value >= 0 {
		return r.Uint(uint64(value))
	}
	v := r.Begin()
	switch {
	case value >= -0x20:
		r.writer.number(byte(value), 0, 0)
	case value >= math.MinInt8:
		r.writer.number(0xd0, uint64(value), 1)
	case value >= math.MinInt16:
		r.writer.number(0xd1, uint64(value), 2)
	case value >= math.MinInt32:
		r.writer.number(0xd2, uint64(value), 4)
	default:
		r.writer.number(0xd3, uint64(value), 8)
	}
	return v
}

// Uint writes an integer that is not negative.
func (r *Record) Uint(value uint64) Value {
	v := r.Begin()
	switch {
	case value < 0x80:
		r.writer.number(byte(value), 0, 0)
	case value <= math.MaxUint8:
		r.writer.number(0xcc, value, 1)
	case value <= math.MaxUint16:
		r.writer.number(0xcd, value, 2)
	case value <= math.MaxUint32:
		r.writer.number(0xce, value, 4)
	default:
		r.writer.number(0xcf, value, 8)
	}
	return v
}

// Float writes a float.
func (r *Record) Float(value float64) Value {
	v := r.Begin()
	r.writer.number(0xcb, math.Float64bits(value), 8)
	return v
}

// Str writes a text.
func (r *Record) Str(text string) Value {
	v := r.Begin()
	r.writer.header(0xa0, 31, 0xda, len(text))
	r.writer.str(text)
	return v
}

// Text writes a text that there are bytes of.
func (r *Record) Text(text []byte) Value {
	v := r.Begin()
	r.writer.header(0xa0, 31, 0xda, len(text))
	r.writer.bytes(text)
	return v
}

// Binary writes bytes that are no text.
func (r *Record) Binary(bytes []byte) Value {
	v := r.Begin()
	switch n := len(bytes); {
	case n <= math.MaxUint8:
		r.writer.number(0xc4, uint64(n), 1)
	case n <= math.MaxUint16:
		r.writer.number(0xc5, uint64(n), 2)
	default:
		r.writer.number(0xc6, uint64(n), 4)
	}
	r.writer.bytes(bytes)
	return v
}

// Map writes the header of a map: as many keys and values must follow.
func (r *Record) Map(entries int) Value {
	v := r.Begin()
	r.writer.header(0x80, 15, 0xde, entries)
	return v
}

// Array writes the header of an array: as many values must follow.
func (r *Record) Array(values int) Value {
	v := r.Begin()
	r.writer.header(0x90, 15, 0xdc, values)
	return v
}

// Copy writes a value once more, as part of an array or a map; nil for one that is missing. Edits need no copy.
func (r *Record) Copy(value Value) Value {
	if !value.Exists() {
		return r.Nil()
	}
	v := r.Begin()
	r.writer.bytes(value.Raw())
	return v
}

// BeginText begins a text whose length is not known yet: Push and PushBytes follow, and EndText with what this returns.
func (r *Record) BeginText() Value {
	v := r.Begin()
	r.writer.number(0xa0, 0, 0)
	return v
}

// Push writes a piece of the text.
func (r *Record) Push(text string) { r.writer.str(text) }

// PushBytes writes a piece of the text.
func (r *Record) PushBytes(text []byte) { r.writer.bytes(text) }

// EndText ends the text that was begun.
func (r *Record) EndText(text Value) Value {
	n := int(uintptr(r.writer.at)-uintptr(text.at)) - 1
	wider := 4
	switch {
	case n < 32:
		wider = 0
	case n <= math.MaxUint8:
		wider = 1
	case n <= math.MaxUint16:
		wider = 2
	}
	if r.writer.full || r.writer.take(wider) == nil {
		return text
	}
	copy(unsafe.Slice((*byte)(unsafe.Add(text.at, 1+wider)), n), unsafe.Slice((*byte)(unsafe.Add(text.at, 1)), n))
	header := writer{at: text.at, room: 5}
	header.header(0xa0, 31, 0xda, n)
	return text
}

// JSON writes the body's JSON text, as the host prints it.
func (r *Record) JSON() Value {
	text := r.BeginText()
	body := r.rec.body.pointer()
	size := uint32(uintptr(r.rec.end.pointer()) - uintptr(body))
	n := int(hostJSON(body, size, r.writer.at, uint32(r.writer.room)))
	r.writer.take(n)
	return r.EndText(text)
}

// RFC3339 writes the record's time, in UTC: 2026-11-22T13:49:40.917655454Z.
func (r *Record) RFC3339() Value {
	// A year is taken to begin in March, so that the leap day is its last: then 400 years are always 146,097 days, and the months before
	// a month have (153 * month + 2) / 5.
	sec, nsec := r.Time()
	days := sec/86_400 + 719_468
	era, day := days/146_097, days%146_097
	year := (day - day/1_460 + day/36_524 - day/146_096) / 365
	day -= 365*year + year/4 - year/100
	month := (5*day + 2) / 153
	day = day - (153*month+2)/5 + 1
	year += era * 400
	if month < 10 {
		month += 3
	} else {
		month -= 9
		year++
	}
	v := r.Begin()
	r.writer.number(0xa0|30, 0, 0)
	r.digits(year, 4, '-')
	r.digits(month, 2, '-')
	r.digits(day, 2, 'T')
	r.digits(sec/3_600%24, 2, ':')
	r.digits(sec/60%60, 2, ':')
	r.digits(sec%60, 2, '.')
	r.digits(nsec, 9, 'Z')
	return v
}

func (r *Record) digits(number uint32, width int, behind byte) {
	at := r.writer.take(width + 1)
	if at == nil {
		return
	}
	*(*byte)(unsafe.Add(at, width)) = behind
	for ; width > 0; width-- {
		*(*byte)(unsafe.Add(at, width-1)) = byte('0' + number%10)
		number /= 10
	}
}

func (r *Record) isFull() bool { return r.writer.full || r.list.full }

func (r *Record) edit(e edit) *edit {
	if r.isFull() {
		return nil
	}
	at := (*edit)(r.list.take(int(unsafe.Sizeof(e))))
	if at != nil {
		*at = e
	}
	return at
}

// The key is copied, for a string of Go's may be gone when the host looks.
func (r *Record) named(kind uint32, key string, value Value, missing bool) {
	if r.isFull() {
		return
	}
	if !missing && !value.Exists() {
		value = r.Nil()
	}
	size := len(value.Raw())
	at := r.writer.at
	r.writer.str(key)
	r.edit(edit{kind | uint32(len(key))<<8, addressOf(at), addressOf(value.at), uint32(size)})
}

// Set sets a member: every one of this name, in its place; if there is none, behind the others. A missing value becomes nil.
func (r *Record) Set(key string, value Value) { r.named(set, key, value, false) }

// Append adds a member behind the others, without looking whether there is one of this name: the cheapest way to add.
func (r *Record) Append(key string, value Value) { r.named(appended, key, value, false) }

// Delete takes every member of this name away.
func (r *Record) Delete(key string) { r.named(deleted, key, Value{}, true) }

// Rename gives every member of this name another one.
func (r *Record) Rename(key, name string) {
	at := r.writer.at
	r.writer.str(name)
	from := r.writer.at
	r.writer.str(key)
	r.edit(edit{renamed | uint32(len(key))<<8, addressOf(from), addressOf(at), uint32(len(name))})
}

// SetMetadata is as Set, for the metadata.
func (r *Record) SetMetadata(key string, value Value) { r.named(metadata|set, key, value, false) }

// DeleteMetadata is as Delete, for the metadata.
func (r *Record) DeleteMetadata(key string) { r.named(metadata|deleted, key, Value{}, true) }

// Put puts another value in the place of one of the record's, at any depth, in its body or its metadata. Where there is none nothing happens.
// A value may be replaced alone or with the one that it is in, but not both.
func (r *Record) Put(old, value Value) {
	if !old.Exists() || r.isFull() {
		return
	}
	if !value.Exists() {
		value = r.Nil()
	}
	kind, from := put, r.rec.body.pointer()
	if uintptr(old.at) < uintptr(from) {
		kind, from = metadata|put, r.rec.meta.pointer()
	}
	place := numbered(uint32(uintptr(old.at) - uintptr(from)))
	mine := edit{kind, place, addressOf(value.at), uint32(len(value.Raw()))}
	if r.edit(mine) == nil {
		return
	}
	// The ABI wants puts in the order in which the values stand, and one for each; so this one is moved to where it belongs.
	edits := unsafe.Slice((*edit)(r.firstEdit.at), r.edits())
	last := len(edits) - 1
	to := last
	for i := last - 1; i >= 0; i-- {
		if edits[i].kind != kind {
			continue
		}
		if its := edits[i].key.number(); its < place.number() {
			break
		} else if its == place.number() {
			edits[i] = mine
			r.list.at = unsafe.Add(r.list.at, -int(unsafe.Sizeof(mine)))
			r.list.room += int(unsafe.Sizeof(mine))
			return
		}
		to = i
	}
	copy(edits[to+1:], edits[to:last])
	edits[to] = mine
}

// Replace puts a map in the place of the whole body. Other edits of the body cannot stand beside it.
func (r *Record) Replace(body Value) {
	if !r.isFull() {
		r.edit(edit{kind: all, value: addressOf(body.at), length: uint32(len(body.Raw()))})
	}
}

// SetTime gives it another time.
func (r *Record) SetTime(sec, nsec uint32) {
	r.edit(edit{kind: toTime, key: numbered(sec), value: numbered(nsec)})
}

// SetTag lets it go on under another tag.
func (r *Record) SetTag(tag string) {
	at := r.writer.at
	r.writer.str(tag)
	r.edit(edit{kind: toTag, value: addressOf(at), length: uint32(len(tag))})
}

// Fail makes it a failure: return record.Fail("no user").
func (r *Record) Fail(why string) Verdict {
	r.reason, r.reasonLen = r.writer.at, len(why)
	r.writer.str(why)
	return Failed
}

// Split makes several records of this one, or none: the parts that are added, in their order. Its edits are forgotten.
func (r *Record) Split() { r.list, r.parts = r.firstEdit, 0 }

// Part is a record that comes of another one, and is as that came but for what is said here.
type Part struct {
	part   *part
	record *Record
}

// Add is one more part.
func (r *Record) Add() Part {
	at := (*part)(r.list.take(int(unsafe.Sizeof(part{}))))
	if at == nil {
		return Part{&part{}, r}
	}
	r.parts++
	*at = part{sec: r.rec.sec, nsec: r.rec.nsec}
	return Part{at, r}
}

// Time gives it another time.
func (p Part) Time(sec, nsec uint32) Part {
	p.part.sec, p.part.nsec = sec, nsec
	return p
}

// Tag gives it another tag.
func (p Part) Tag(tag string) Part {
	p.part.tag, p.part.tagLen = addressOf(p.record.writer.at), uint32(len(tag))
	p.record.writer.str(tag)
	return p
}

// Body gives it another body: a map of the record's, or one that was written.
func (p Part) Body(body Value) Part {
	if !p.record.isFull() {
		p.part.body, p.part.bodyLen = addressOf(body.at), uint32(len(body.Raw()))
	}
	return p
}

// Metadata gives it other metadata, a map as well.
func (p Part) Metadata(metadata Value) Part {
	if !p.record.isFull() {
		p.part.meta, p.part.metaLen = addressOf(metadata.at), uint32(len(metadata.Raw()))
	}
	return p
}

// Walk calls visit for every value of the body, at any depth and in the order in which they stand, with the key that it stands under; what is
// in an array has none. It answers whether to go into the value.
func (r *Record) Walk(visit func(r *Record, key, value Value) bool) { r.inside(r.Body(), visit) }

func (r *Record) inside(list Value, visit func(r *Record, key, value Value) bool) {
	items := list.Items()
	if list.Kind() == Map {
		items = list.Entries()
	}
	for items.Next() {
		if visit(r, items.Key, items.Value) {
			r.inside(items.Value, visit)
		}
	}
}

// Level is how much a line of the log matters.
type Level uint32

// Levels of the log.
const (
	Error Level = iota + 1
	Warn
	Info
	Debug
	Trace
)

// Log writes a line to the agent's log, under the filter's name.
func Log(level Level, line string) {
	hostLog(uint32(level), unsafe.Pointer(unsafe.StringData(line)), uint32(len(line)))
}

// SHA256 is the digest.
func SHA256(data []byte) (digest [32]byte) {
	hostSHA256(unsafe.Pointer(unsafe.SliceData(data)), uint32(len(data)), unsafe.Pointer(&digest))
	return digest
}

// Counter is one among the agent's metrics, with the filter's name beside its own.
type Counter uint32

// NewCounter is a counter of this name; best made once, in Start.
func NewCounter(name string) Counter {
	return Counter(hostCounter(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name))))
}

// Add counts.
func (c Counter) Add(by uint64) { hostAdd(uint32(c), by) }

// Histogram is one among the agent's metrics, with the filter's name beside its own.
type Histogram uint32

// NewHistogram is a histogram of this name, with buckets up to the bounds, which ascend, and one for the rest.
func NewHistogram(name string, bounds []float64) Histogram {
	at := unsafe.Pointer(unsafe.SliceData(bounds))
	return Histogram(hostHistogram(unsafe.Pointer(unsafe.StringData(name)), uint32(len(name)), at, uint32(len(bounds))))
}

// Observe counts a value in its bucket.
func (h Histogram) Observe(value float64) { hostObserve(uint32(h), value) }
