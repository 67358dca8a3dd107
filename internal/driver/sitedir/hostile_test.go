package sitedir

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
)

// hostileData are the places of a call whose text is data.
func hostileData(labs map[string]*lab) map[string]drivertest.Datum {
	return map[string]drivertest.Datum{
		"member": {Because: "there are none"}, "step": {Because: "nothing reads it"},
		"put.keep": {Because: "nothing keeps it: what is no release stands for where the link leads"},
		"execution": {Because: "the lock file has it, as JSON", Shown: func(t testing.TB, w drivertest.World) string {
			var lock astern.Claim
			text, err := os.ReadFile(filepath.Join(labs[w.Component.Address()].root, ".astern.lock"))
			if err == nil {
				err = json.Unmarshal(text, &lock)
			}
			if err != nil {
				t.Error(err)
			}
			return lock.Execution
		}},
	}
}

func TestHostileTexts(t *testing.T) {
	conformance(t, false).HostileTexts(t, drivertest.Programs(t))
}
