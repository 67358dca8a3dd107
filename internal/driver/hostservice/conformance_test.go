package hostservice

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
	"github.com/astern-dev/astern/internal/host"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t testing.TB) func(string, *astern.Component, *Settings){
		"local": func(testing.TB) func(string, *astern.Component, *Settings) { return nil },
		"ssh":   overSSH,
		"drained": func(testing.TB) func(string, *astern.Component, *Settings) {
			return func(_ string, c *astern.Component, s *Settings) {
				s.Commands.Drain, s.Commands.Undrain = []string{"./ctl", "drain", "{instance}"}, []string{"./ctl", "undrain", "{instance}"}
				s.Commands.Start, s.Commands.Stop, s.Commands.Restart = []string{"./ctl", "start", "{instance}"}, []string{"./ctl", "stop", "{instance}"}, nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			suite := conformance(t, change)
			if name == "drained" { // only there have ways such places
				for _, place := range []string{"drain.status", "undrain.status"} {
					suite.Data[place] = drivertest.Datum{Because: "nothing reads it: no process is looked at"}
				}
			}
			suite.Run(t)
		})
	}
}

func conformance(t *testing.T, change func(t testing.TB) func(string, *astern.Component, *Settings)) drivertest.Suite {
	t.Helper()
	labs := map[string]*lab{}
	pool := host.NewPool()
	t.Cleanup(func() { pool.Close() })
	return drivertest.Suite{
		Driver: New(pool, func(address string) (astern.Component, bool) {
			l, ok := labs[address]
			if !ok {
				return astern.Component{}, false
			}
			return l.c, true
		}),
		New: func(t testing.TB) drivertest.World {
			l := newLab(t, change(t))
			l.c.Name = fmt.Sprintf("w%d", len(labs))
			labs[l.c.Address()] = l
			l.environment()
			l.link("current", "v2") // for a search, which looks for links at the top
			l.write("releases/v1/service.env", "DB_PASSWORD="+password+"\n", 0o600)
			return drivertest.World{Component: l.c, Old: "v1", New: "v2", History: l.history(), Secrets: []string{password}, Beside: []string{filepath.Dir(l.root)}, Place: l.root,
				Snapshot: func(t testing.TB) map[string]string {
					files := drivertest.Files(t, l.root)
					for _, name := range []string{"a", "b"} {
						files["process "+name] = fmt.Sprint(l.pid(name))
					}
					return files
				}}
		},
		Data:  hostileData(labs),
		Legal: legal(),
		Breaks: []drivertest.Break{
			{Name: "the release is gone", Want: astern.Broken, Do: func(t testing.TB, w drivertest.World) {
				os.RemoveAll(filepath.Join(labs[w.Component.Address()].root, "releases/v1"))
			}},
			{Name: "a file was changed", Want: astern.Broken, Do: func(t testing.TB, w drivertest.World) {
				labs[w.Component.Address()].write("releases/v1/data/version", "v1?", 0o644)
			}},
			{Name: "a file became executable", Want: astern.Broken, Do: func(t testing.TB, w drivertest.World) {
				os.Chmod(filepath.Join(labs[w.Component.Address()].root, "releases/v1/data/version"), 0o755)
			}},
			{Name: "a link leads out", Want: astern.Broken, Do: func(t testing.TB, w drivertest.World) {
				os.Symlink("../../../etc", filepath.Join(labs[w.Component.Address()].root, "releases/v1/data/etc"))
			}},
		},
	}
}

// legal are the places of a call at which a text may be one that there could be: beside the instance that a step is for, others
// may be named.
func legal() map[string]func(string) bool {
	out := map[string]func(string) bool{"token": tokenShape.MatchString}
	for _, verb := range New(nil, nil).Verbs {
		out[verb.Verb+".places"] = func(text string) bool { _, ok := placeIn(text); return ok }
	}
	return out
}
