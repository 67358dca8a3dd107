package app_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/config"
)

// policiesOf are those of a world with another policy.
func (w watchWorld) policiesOf(policy string) app.Policies {
	w.t.Helper()
	w.write("other.yaml", strings.Replace(watchConfig, "POLICY", policy, 1), 0o600)
	s, err := config.Load(filepath.Join(w.folder, "other.yaml"), app.Drivers(nil, nil))
	w.must(err)
	return app.PoliciesOf(s)
}

// TestReplaySays: a recording of a fault, and its incident, judged again by the same policy say what the watch did; by a more
// careful one what would have been lost.
func TestReplaySays(t *testing.T) {
	w := newWatchWorld(t, automatic)
	var recording bytes.Buffer
	w.record = &recording
	w.watch(shortPast, never)
	w.deploy("v2", 1, 2)
	if !w.watch(60, w.says(astern.WatchResolved)) { // another process, which appends to the recording
		t.Fatal("it was not resolved")
	}
	incidents, _, _ := w.state()
	in := incidents[0]
	w.with(func(a *app.App) {
		for _, again := range []func(policy string) (astern.Replay, error){
			func(policy string) (astern.Replay, error) {
				return a.ReplaySignals("recording", bytes.NewReader(recording.Bytes()), w.policiesOf(policy))
			},
			func(policy string) (astern.Replay, error) {
				return a.ReplayIncident(t.Context(), in.ID, w.policiesOf(policy))
			},
		} {
			same, err := again(automatic)
			w.must(err)
			if len(same.Faults) != 1 {
				t.Fatalf("%+v", same)
			}
			f := same.Faults[0]
			if f.Title != in.Title || !f.NoticedAt.Equal(in.OpenedAt) || !f.BeganAt.Equal(in.BeganAt) || f.Cause == nil || f.Cause.Revision != "v2" || f.Cause.Event != in.Cause.Event ||
				f.Saving != nil || f.EndedAt == nil || len(f.Decisions) != 1 {
				t.Errorf("%+v\nfor %+v", f, in)
			}
			d := f.Decisions[0]
			if !d.Same || d.Would == nil || d.Would.Because != in.Decisions[0].Because || d.Was.Plan != in.Decisions[0].Plan || d.Mode != astern.ModeAutomatic || d.Severity != in.Severity {
				t.Errorf("%+v\nfor %+v", d, in.Decisions[0])
			}
			if f.Cost.Requests < 0.9*in.Cost.Requests || f.Cost.Requests > in.Cost.Requests {
				t.Errorf("it cost %+v, not %+v", f.Cost, in.Cost)
			}
			careful, err := again("{approvals: 0, watch: 1s, automatic: {mode: tell}}")
			w.must(err)
			s := careful.Faults[0].Saving
			if d := careful.Faults[0].Decisions[0]; d.Same || d.Would.Act != astern.ActTell || s == nil || s.PerMinute == nil || *s.PerMinute < 100 {
				t.Errorf("%+v, %+v", d, s)
			}
		}
	})
}

// TestReplayShadow: what shadow mode would have done, that people did the same later, and how much sooner it would have been.
func TestReplayShadow(t *testing.T) {
	w := newWatchWorld(t, "{approvals: 0, watch: 1s, automatic: {mode: shadow}}")
	var recording bytes.Buffer
	w.record = &recording
	w.watch(shortPast, never)
	w.deploy("v2", 1, 2)
	if !w.watch(60, w.says(astern.WatchDecided)) {
		t.Fatal("nothing was decided")
	}
	w.watch(20, never)
	w.deploy("v1", 1, 2)
	if !w.watch(120, w.says(astern.WatchResolved)) {
		t.Fatal("it was not resolved")
	}
	incidents, _, _ := w.state()
	w.with(func(a *app.App) {
		decided := incidents[0].OpenedAt
		for name, again := range map[string]func() (astern.Replay, error){
			"shadow": func() (astern.Replay, error) {
				return a.ReplayShadow(t.Context(), decided.Add(-time.Hour), app.PoliciesOf(a.System))
			},
			"incident": func() (astern.Replay, error) {
				return a.ReplayIncident(t.Context(), "inc-1", w.policiesOf(automatic))
			},
			"recording": func() (astern.Replay, error) {
				return a.ReplaySignals("recording", bytes.NewReader(recording.Bytes()), w.policiesOf(automatic))
			},
		} {
			r, err := again()
			w.must(err)
			if len(r.Faults) != 1 || len(r.Faults[0].Decisions) != 1 {
				t.Fatalf("%s: %+v", name, r)
			}
			f := r.Faults[0]
			d, s := f.Decisions[0], f.Saving
			if d.Was.Act != astern.ActShadow || d.Would.Act != astern.ActAutomatic || d.Would.Way != "shop back to v1" {
				t.Errorf("%s: %+v", name, d)
			}
			if s == nil || s.Seconds == nil || *s.Seconds < 200 || s.Requests == nil || *s.Requests < 500 || *s.Requests > incidents[0].Cost.Requests {
				t.Errorf("%s: %+v of %+v", name, s, incidents[0].Cost)
			}
			if name != "recording" && !strings.HasSuffix(f.People, "the same way") {
				t.Errorf("%s: %+v", name, f)
			}
		}
		none, err := a.ReplayShadow(t.Context(), w.clock(), app.PoliciesOf(a.System))
		if err != nil || len(none.Faults) != 0 {
			t.Errorf("%+v, %v", none, err)
		}
	})
}

// fullDisk takes so many writes and half of one, refuses one, and has room again.
type fullDisk struct {
	bytes.Buffer
	left int
}

func (d *fullDisk) Write(b []byte) (int, error) {
	if d.left--; d.left == 0 {
		n, _ := d.Buffer.Write(b[:len(b)/2])
		return n, errors.New("no space left on device")
	}
	return d.Buffer.Write(b)
}

// TestRecordingFull: a disk that is full for a round stops nothing; the recording says what is missing, and is judged as well
// as before from then on.
func TestRecordingFull(t *testing.T) {
	w := newWatchWorld(t, automatic)
	disk := &fullDisk{left: 3}
	w.record = disk
	w.watch(shortPast, never)
	w.deploy("v2", 1, 2)
	if !w.watch(60, w.says(astern.WatchResolved)) {
		t.Fatal("it was not resolved")
	}
	w.with(func(a *app.App) {
		r, err := a.ReplaySignals("recording", &disk.Buffer, w.policiesOf(automatic))
		w.must(err)
		if len(r.Faults) != 1 || !r.Faults[0].Decisions[0].Same || !strings.Contains(strings.Join(r.Notes, "\n"), "is cut off") {
			t.Errorf("%+v", r)
		}
	})
	if said := w.says(astern.WatchTrouble)(); !said {
		t.Error("nobody was told")
	}
}
