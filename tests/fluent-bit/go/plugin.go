// An output of Fluent Bit's in Go, to stand beside the filter aot: it says of each flush how much came, and of the first few
// whether a fault of Go's own is still Go's to handle.
package main

/*
// What Fluent Bit asks a plugin to fill in; later releases have more members behind these.
struct definition {
	int type;
	int proxy;
	int flags;
	char *name;
	char *description;
};
*/
import "C"

import (
	"fmt"
	"os"
	"runtime"
	"unsafe"
)

const (
	output = 2
	golang = 11
	ok     = 1
	faults = 3
)

var flushes int

//export FLBPluginRegister
func FLBPluginRegister(given unsafe.Pointer) C.int {
	definition := (*C.struct_definition)(given)
	definition._type = output
	definition.proxy = golang
	definition.name = C.CString("gocount")
	definition.description = C.CString("Counts what comes")
	return 0
}

//export FLBPluginInit
func FLBPluginInit(plugin unsafe.Pointer) C.int {
	return ok
}

//export FLBPluginFlush
func FLBPluginFlush(data unsafe.Pointer, size C.int, tag *C.char) C.int {
	flushes++
	// The collector stops all threads of Go's, by its own signal.
	runtime.GC()
	line := fmt.Sprintf("%d bytes\n", size)
	if flushes <= faults && isCaught() {
		line = "caught, " + line
	}
	file, err := os.OpenFile("flushes", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return -1
	}
	defer file.Close()
	if _, err = file.WriteString(line); err != nil {
		return -1
	}
	return ok
}

//export FLBPluginExit
func FLBPluginExit() C.int {
	return ok
}

// isCaught faults, and says whether that became a panic.
func isCaught() (caught bool) {
	defer func() { caught = recover() != nil }()
	var nowhere *int
	*nowhere = 1
	return false
}

func main() {}
