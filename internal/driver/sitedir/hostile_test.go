package sitedir

import (
	"path/filepath"
	"testing"

	"github.com/astern-dev/astern/internal/drivertest"
)

// hostileData are the places of a call whose text is data.
func hostileData(labs map[string]*lab) map[string]drivertest.Datum {
	return map[string]drivertest.Datum{
		"member": {Because: "there are none"}, "step": {Because: "nothing reads it"},
		"put.keep": {Because: "nothing keeps it: what is no release stands for where the link leads"},
		"execution": {Because: "the lock file has it, as JSON", Shown: func(t testing.TB, w drivertest.World) string {
			return drivertest.LockedBy(t, filepath.Join(labs[w.Component.Address()].root, ".astern.lock"))
		}},
	}
}

func TestHostileTexts(t *testing.T) {
	conformance(t, false).HostileTexts(t, drivertest.Programs(t))
}
