package proc

import (
	"math"
	"runtime"
	"runtime/debug"
)

// firstCollection is how much memory astern takes before garbage is collected for the first time. Most commands end
// before that: what they would spend on collecting is a fifth of their time.
const firstCollection = 64 << 20

// CollectLate puts the first collection of garbage off. The collections after it come as usual in a Go program, and so
// do all of them when the environment says how they shall come.
func CollectLate(env func(string) string) {
	if env("GOGC") != "" || env("GOMEMLIMIT") != "" {
		return
	}
	usual := debug.SetGCPercent(-1)
	if usual < 0 {
		return // it is put off already
	}
	debug.SetMemoryLimit(firstCollection)
	first := new([1 << 10]byte)
	runtime.AddCleanup(first, func(unlimited int64) {
		debug.SetGCPercent(usual)
		debug.SetMemoryLimit(unlimited)
	}, int64(math.MaxInt64))
}
