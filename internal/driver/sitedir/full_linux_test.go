package sitedir

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/drivertest"
)

// TestFullAnywhere lets the disk of a site be full at each page and each file in turn that a rollback takes there, and one of
// a single file.
func TestFullAnywhere(t *testing.T) {
	if !drivertest.OwnMounts(t) {
		return
	}
	const pick = "pick"
	var points []drivertest.Point
	for _, what := range []string{"rollback", pick} {
		undisturbed := newFull(t, what == pick)
		undisturbed.whole(drivertest.Plenty)
		// The new link is a file more for a moment; what is kept for open pages is left out while there is not room for much more.
		takes := undisturbed.disk.Takes.And(drivertest.Usage{Files: 1})
		points = append(points, drivertest.Points(what, takes, takes.And(drivertest.Usage{Pages: slackBytes / 4096, Files: slackFiles}))...)
	}
	all := drivertest.FullAnywhere{Points: points, Share: 2}
	all.Try(t, func(t *testing.T, p drivertest.Point, figures map[string]float64) string {
		f := newFull(t, p.What == pick)
		f.whole(p.Left)
		if f.dropped {
			figures["kept_nothing_for_open_pages"]++
		}
		if p.Enough && f.dropped {
			t.Errorf("with %+v left what is kept for open pages was dropped", p.Left)
		}
		return f.disk.Failed
	})
}

// full is a way in a site on a disk that runs full meanwhile.
type full struct {
	*lab
	disk    *drivertest.Full
	calls   []astern.Call
	dropped bool   // the disk had no room for what is kept for open pages
	served  string // what is to be served of the file that goes back
}

func newFull(t *testing.T, pick bool) *full {
	t.Helper()
	f := &full{lab: newLab(t, false, nil), served: "old logo"}
	for _, rev := range []string{"v1", "v2"} {
		f.write("releases/"+rev+"/pages."+rev, strings.Repeat(rev, os.Getpagesize()))
		for n := range 10 { // so that a manifest takes more than a page
			f.write(fmt.Sprintf("releases/%s/many/%0240d", rev, n), rev)
		}
	}
	f.history.Deployments = nil // of the releases as they were
	f.disk = &drivertest.Full{Disk: drivertest.NewDisk(t, f.root), Intact: func(what string, _ bool) { f.intact(what) }}
	if pick {
		f.calls = f.steps(astern.VerbRollback, "", &astern.ObjectChange{Object: "logo.svg", Revision: "v1"})
	} else {
		f.calls = f.steps(astern.VerbRollback, "v1", nil)
	}
	return f
}

// whole carries everything out, with that much of the disk left.
func (f *full) whole(left drivertest.Usage) {
	f.Helper()
	f.disk.Begin(left)
	outputs := map[string]map[string]astern.Arg{}
	for i, c := range f.calls {
		op := f.disk.Again(c.Step, func() (astern.Op, astern.FoundAnswer) {
			c.Token += fmt.Sprint("-", i)
			for name, a := range c.Args {
				if a.Ref != nil {
					c.Args[name] = outputs[a.Ref.From][a.Ref.Output]
				}
			}
			image, err := f.driver.Actor.Before(f.Context(), c)
			if err != nil {
				f.Fatal(err)
			}
			c.Image = image
			return f.driver.Actor.Start(f.Context(), c), f.driver.Actor.Find(f.Context(), c).Answer
		})
		outputs[c.Step] = op.Outputs
		f.dropped = f.dropped || strings.Contains(op.Progress, "no room")
	}
	if got := f.read("current/logo.svg"); got != f.served {
		f.Errorf("at the end the logo is %q", got)
	}
}

// intact looks at all that lies under a name that is served or read.
func (f *full) intact(what string) {
	f.Helper()
	if page := f.read("current/index.html"); page != "one" && page != "two" {
		f.Errorf("%s: served is %q", what, page)
	}
	views, _ := filepath.Glob(f.at("served/*"))
	for _, view := range views {
		rev := revisionAt(placeOf(f.lab), servedFolder+"/"+filepath.Base(view))
		files, _ := filepath.Glob(f.at("releases/" + rev + "/*/*"))
		for _, file := range files {
			at, err := filepath.Rel(f.at("releases/"+rev), file)
			if err != nil {
				f.Fatal(err)
			}
			if got, want := f.read("served/"+filepath.Base(view)+"/"+at), f.read("releases/"+rev+"/"+at); got != want {
				f.Errorf("%s: %s in %s is %.20q instead of %.20q", what, at, view, got, want)
			}
		}
	}
	manifests, _ := filepath.Glob(f.at("manifests/*"))
	for _, m := range manifests {
		text, err := os.ReadFile(m)
		if _, bad := decode(text, strings.TrimSuffix(filepath.Base(m), ".json")); err != nil || bad != nil {
			f.Errorf("%s: the manifest %s is half: %v", what, m, bad)
		}
	}
	for _, pattern := range []string{"*/.partial-*", ".astern-link-*"} {
		if left, _ := filepath.Glob(f.at(pattern)); len(left) > 0 {
			f.Errorf("%s: left over: %v", what, left)
		}
	}
	var claim astern.Claim
	if lock := strings.TrimSpace(f.read(".astern.lock")); lock != "" && json.Unmarshal([]byte(lock), &claim) != nil {
		f.Errorf("%s: the lock is half: %q", what, lock)
	}
}
