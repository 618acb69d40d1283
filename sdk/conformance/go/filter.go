// The filters of the conformance suite, in Go. README.md in the folder above says what each one does.
package main

import (
	"bytes"
	"encoding/hex"
	"flb"
	"math"
	"unsafe"
)

func main() {}

var seen flb.Counter
var sizes flb.Histogram

//go:wasmexport flb_start
func start(block unsafe.Pointer) uint32 {
	return flb.Start(block, func(start *flb.Started) string {
		seen = flb.NewCounter("seen")
		sizes = flb.NewHistogram("sizes", []float64{2, 10})
		if start.Config("refuse").Exists() {
			return "told to refuse"
		}
		return ""
	})
}

//go:wasmexport keep
func keep(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(*flb.Record, *flb.Context) flb.Verdict { return flb.Keep })
}

//go:wasmexport drop_debug
func dropDebug(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		if record.Get("level").Is("debug") {
			return flb.Drop
		}
		return flb.Keep
	})
}

//go:wasmexport grep
func grep(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		level := record.Get("level")
		status, ok := record.Get("status").Int()
		if (level.Is("warn") || level.Is("error")) && ok && status >= 400 {
			return flb.Keep
		}
		return flb.Drop
	})
}

//go:wasmexport append
func appendEnv(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		record.Append("env", record.Str("production"))
		return flb.Keep
	})
}

//go:wasmexport set
func set(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		record.Set("level", record.Str("notice"))
		record.Set("n", record.Int(-129))
		record.Set("big", record.Uint(math.MaxUint64))
		record.Set("half", record.Float(0.5))
		record.Set("yes", record.Bool(true))
		record.Set("none", record.Nil())
		record.Set("raw", record.Binary([]byte{0, 255}))
		return flb.Keep
	})
}

//go:wasmexport forget
func forget(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		record.Delete("id")
		return flb.Keep
	})
}

//go:wasmexport name
func name(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		record.Rename("svc", "service")
		return flb.Keep
	})
}

//go:wasmexport mend
func mend(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		http := record.Get("http")
		path, status := http.Get("path"), http.Get("status")
		if number, ok := status.Int(); ok {
			record.Put(status, record.Int(number+1))
		} else {
			record.Put(status, record.Nil())
		}
		record.Put(path, record.Str("first"))
		record.Set("mended", record.Bool(true))
		record.Put(path, record.Str("/"))
		return flb.Keep
	})
}

//go:wasmexport wrap
func wrap(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, ctx *flb.Context) flb.Verdict {
		body := record.Map(3)
		record.Str("tags")
		record.Array(1)
		record.Text(ctx.Tag())
		record.Str("message")
		record.Copy(record.Get("message"))
		record.Str("n")
		record.Int(int64(record.Body().Len()))
		record.Replace(body)
		return flb.Keep
	})
}

//go:wasmexport split
func split(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		sec, nsec := record.Time()
		items := record.Get("items").Items()
		record.Split()
		for i := uint32(0); items.Next(); i++ {
			metadata := record.Map(1)
			record.Str("i")
			record.Int(int64(i))
			record.Add().Body(items.Value).Time(sec+i, nsec).Tag("item").Metadata(metadata)
		}
		return flb.Keep
	})
}

//go:wasmexport refuse
func refuse(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, ctx *flb.Context) flb.Verdict {
		if record.Get("user").Exists() {
			return flb.Keep
		}
		return record.Fail("no user in " + string(ctx.Tag()))
	})
}

//go:wasmexport crash
func crash(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		if record.Get("crash").Exists() {
			panic("as asked")
		}
		return flb.Keep
	})
}

//go:wasmexport enrich
func enrich(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, ctx *flb.Context) flb.Verdict {
		record.Set("tag", record.Text(ctx.Tag()))
		record.Set("time", record.RFC3339())
		record.Set("original", record.JSON())
		return flb.Keep
	})
}

//go:wasmexport redact
func redact(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		record.Walk(redactValue)
		return flb.Keep
	})
}

func redactValue(record *flb.Record, key, value flb.Value) bool {
	if isSecret(key) {
		record.Put(value, record.Str("***"))
		return false
	}
	if text, ok := value.Text(); ok && bytes.IndexByte(text, '@') >= 0 {
		record.Put(value, mask(record, text))
	}
	return true
}

func isSecret(key flb.Value) bool {
	text, ok := key.Text()
	if !ok {
		return false
	}
	for _, secret := range [...]string{"cookie", "password", "token"} {
		if len(text) == len(secret) && equalsIgnoringCase(text, secret) {
			return true
		}
	}
	return false
}

func equalsIgnoringCase(text []byte, small string) bool {
	for i, c := range text {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != small[i] {
			return false
		}
	}
	return true
}

// Everything beyond ASCII is a letter.
func isLetter(c byte) bool {
	return c >= 0x80 || (c|32) >= 'a' && (c|32) <= 'z' || c >= '0' && c <= '9'
}

func isName(c byte) bool { return isLetter(c) || bytes.IndexByte([]byte("._%+-"), c) >= 0 }

// from jane.doe@example.com -> from ***@example.com
func mask(record *flb.Record, rest []byte) flb.Value {
	masked := record.BeginText()
	for {
		at := bytes.IndexByte(rest, '@')
		if at < 0 {
			record.PushBytes(rest)
			return record.EndText(masked)
		}
		first := at
		for first > 0 && isName(rest[first-1]) {
			first--
		}
		if first < at && at+1 < len(rest) && isLetter(rest[at+1]) {
			record.PushBytes(rest[:first])
			record.Push("***@")
		} else {
			record.PushBytes(rest[:at+1])
		}
		rest = rest[at+1:]
	}
}

//go:wasmexport configured
func configured(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, ctx *flb.Context) flb.Verdict {
		record.Set("env", ctx.Config("env"))
		return flb.Keep
	})
}

//go:wasmexport kinds
func kinds(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		body := record.Map(1)
		record.Str("kinds")
		text := record.BeginText()
		for entries := record.Body().Entries(); entries.Next(); {
			record.Push(entries.Value.Kind().String())
			record.Push(" ")
		}
		record.EndText(text)
		record.Replace(body)
		return flb.Keep
	})
}

// A value that is read and written again takes its shortest form.
func copyValue(record *flb.Record, value flb.Value) {
	switch value.Kind() {
	case flb.Missing, flb.Nil:
		record.Nil()
	case flb.Bool:
		yes, _ := value.Bool()
		record.Bool(yes)
	case flb.Int:
		if number, ok := value.Int(); ok {
			record.Int(number)
		} else {
			large, _ := value.Uint()
			record.Uint(large)
		}
	case flb.Float:
		number, _ := value.Float()
		record.Float(number)
	case flb.Text:
		text, _ := value.Text()
		record.Text(text)
	case flb.Binary:
		bytes, _ := value.Binary()
		record.Binary(bytes)
	case flb.Extension:
		record.Copy(value)
	case flb.Array:
		record.Array(value.Len())
		for items := value.Items(); items.Next(); {
			copyValue(record, items.Value)
		}
	case flb.Map:
		record.Map(value.Len())
		for entries := value.Entries(); entries.Next(); {
			copyValue(record, entries.Key)
			copyValue(record, entries.Value)
		}
	}
}

//go:wasmexport copy
func copyAll(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		body := record.Begin()
		copyValue(record, record.Body())
		record.Replace(body)
		return flb.Keep
	})
}

//go:wasmexport ends
func ends(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		record.Set("first", record.Body().First("level"))
		record.Set("last", record.Get("level"))
		return flb.Keep
	})
}

//go:wasmexport meta
func meta(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		record.Put(record.Metadata().Get("n"), record.Str("changed"))
		record.SetMetadata("seen", record.Bool(true))
		record.DeleteMetadata("secret")
		return flb.Keep
	})
}

//go:wasmexport move_on
func moveOn(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		sec, _ := record.Time()
		record.SetTag("moved")
		record.SetTime(sec+1, 7)
		return flb.Keep
	})
}

//go:wasmexport digest
func digest(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		digest := flb.SHA256(record.Body().Raw())
		var digits [64]byte
		hex.Encode(digits[:], digest[:])
		record.Set("sha256", record.Text(digits[:]))
		return flb.Keep
	})
}

//go:wasmexport count
func count(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		seen.Add(1)
		sizes.Observe(float64(record.Body().Len()))
		flb.Log(flb.Info, "counted")
		return flb.Keep
	})
}

//go:wasmexport grow
func grow(batch unsafe.Pointer) uint32 {
	return flb.Run(batch, func(record *flb.Record, _ *flb.Context) flb.Verdict {
		size, _ := record.Get("size").Uint()
		text := record.BeginText()
		for ; size > 0; size-- {
			record.Push("x")
		}
		record.Append("big", record.EndText(text))
		return flb.Keep
	})
}
