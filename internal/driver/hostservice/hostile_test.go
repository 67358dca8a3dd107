package hostservice

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
)

// hostileData are the places of a call whose text is data.
func hostileData(labs map[string]*lab) map[string]drivertest.Datum {
	out := map[string]drivertest.Datum{
		"step": {Because: "nothing reads it"},
		"swap.hash": {Because: "the history has it, as JSON", Shown: func(t testing.TB, w drivertest.World) string {
			lines := strings.Split(strings.TrimSuffix(labs[w.Component.Address()].read(".astern-history.jsonl"), "\n"), "\n")
			var last HistoryLine
			if err := json.Unmarshal([]byte(lines[len(lines)-1]), &last); err != nil {
				t.Error(err)
			}
			return last.Hash
		}},
		"execution": {Because: "the lock file has it, as JSON", Shown: func(t testing.TB, w drivertest.World) string {
			return drivertest.LockedBy(t, filepath.Join(labs[w.Component.Address()].root, ".astern.lock"))
		}},
	}
	for _, name := range commandPlaces {
		out[name] = drivertest.Datum{Because: "it is an argument of the user's own command", By: "TestInjection"}
	}
	return out
}

func TestHostileTexts(t *testing.T) {
	programs := drivertest.Programs(t)
	suite := conformance(t, func(testing.TB) func(string, *astern.Component, *Settings) { return nil })
	suite.HostileTexts(t, programs)
}
