package notice_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/notice"
)

func TestDeaf(t *testing.T) {
	now := time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	sent := func(channel string, at time.Duration) astern.Dispatch {
		return astern.Dispatch{Channel: channel, State: astern.DispatchSent, QueuedAt: ago(at + time.Second), SettledAt: ago(at), Error: "as text"}
	}
	lost := func(channel string, at time.Duration) astern.Dispatch {
		return astern.Dispatch{Channel: channel, State: astern.DispatchGivenUp, QueuedAt: ago(at + time.Second), SettledAt: ago(at), Error: "403"}
	}
	waits := func(channel string, at time.Duration, tries int) astern.Dispatch {
		d := astern.Dispatch{Channel: channel, State: astern.DispatchWaiting, QueuedAt: ago(at), Tries: tries}
		if tries > 0 {
			d.Error = "503"
		}
		return d
	}
	for name, c := range map[string]struct {
		all  []astern.Dispatch
		want []astern.DeafChannel
	}{
		"nothing":             {nil, nil},
		"all told":            {[]astern.Dispatch{sent("a", time.Hour), sent("b", time.Minute)}, nil},
		"refused":             {[]astern.Dispatch{sent("a", time.Hour), lost("b", 2*time.Hour), lost("b", time.Minute)}, []astern.DeafChannel{{Channel: "b", Since: ago(2*time.Hour + time.Second), Untold: 2, Error: "403"}}},
		"refused, then taken": {[]astern.Dispatch{lost("a", time.Hour), sent("a", time.Minute)}, nil},
		"taken, then refused": {[]astern.Dispatch{sent("a", time.Hour), lost("a", time.Minute)}, []astern.DeafChannel{{Channel: "a", Since: ago(time.Minute + time.Second), Untold: 1, Error: "403"}}},
		"down":                {[]astern.Dispatch{waits("a", 10*time.Minute, 3)}, []astern.DeafChannel{{Channel: "a", Since: ago(10 * time.Minute), Untold: 1, Error: "503"}}},
		"not tried yet":       {[]astern.Dispatch{waits("a", 10*time.Minute, 0)}, nil},
	} {
		if d := cmp.Diff(c.want, notice.Deaf(c.all)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}
