package proc

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

// The first collection comes late, but it comes; those after it come sooner than usual.
func TestCollectsLateAndThenSooner(t *testing.T) {
	limit := debug.SetMemoryLimit(-1)
	usual := debug.SetGCPercent(100)
	defer debug.SetMemoryLimit(limit)
	defer debug.SetGCPercent(usual)

	CollectLate(func(name string) string { return map[string]string{"GOGC": "50"}[name] })
	if got := debug.SetGCPercent(100); got != 100 || debug.SetMemoryLimit(-1) != limit {
		t.Fatalf("what the environment says does not hold: %d", got)
	}
	CollectLate(func(string) string { return "" })
	if got := debug.SetMemoryLimit(-1); got != firstCollection {
		t.Fatalf("the limit is %d", got)
	}
	for allocated := 0; debug.SetMemoryLimit(-1) != math.MaxInt64; allocated += 1 << 20 {
		if allocated > 100*firstCollection {
			t.Fatal("memory was never collected")
		}
		runtime.KeepAlive(make([]byte, 1<<20))
		runtime.Gosched()
	}
	if got := debug.SetGCPercent(100); got != afterwards {
		t.Errorf("garbage is then collected by %d percent", got)
	}
}
