package proc

import (
	"math"
	"runtime"
	"runtime/debug"
)

// firstCollection is how much memory astern takes before garbage is collected for the first time. Most commands end
// before that: what they would spend on collecting is a fifth of their time.
const firstCollection = 64 << 20

// afterwards is by how many percent the memory in use may grow until the next collection. Go's usual 100 would double it: of 10,000 steps
// and their journal that is 40 MB more, for a tenth of the time.
const afterwards = 40

// CollectLate puts the first collection of garbage off, and has those after it come sooner than is usual in a Go program. All come
// as the environment says when it does.
func CollectLate(env func(string) string) {
	if env("GOGC") != "" || env("GOMEMLIMIT") != "" {
		return
	}
	if debug.SetGCPercent(-1) < 0 {
		return // it is put off already
	}
	debug.SetMemoryLimit(firstCollection)
	first := new([1 << 10]byte)
	runtime.AddCleanup(first, func(unlimited int64) {
		debug.SetGCPercent(afterwards)
		debug.SetMemoryLimit(unlimited)
	}, int64(math.MaxInt64))
}
