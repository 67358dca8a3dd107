package readiness_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/readiness"
)

func closes(days int, leaves astern.Readiness) func(*astern.Target) {
	return func(t *astern.Target) {
		t.Doors = append(t.Doors, astern.Door{At: ago(time.Duration(-days) * day), What: "a rule deletes " + t.Revision, Leaves: leaves})
	}
}

// TestForecast: run forward in time, what a rule deletes is gone, what leaves something stays, and the last way back is named
// with its day.
func TestForecast(t *testing.T) {
	for name, c := range map[string]struct {
		targets []astern.Target
		days    int
		left    string // ready ones then
		last    string // the last way back, and the day of its end
		end     int
	}{
		"nothing closes":          {[]astern.Target{target("v3", 1, current), target("v2", 2), target("v1", 3)}, 400, "v3 v2 v1", "", 0},
		"one of two":              {[]astern.Target{target("v3", 1, current), target("v2", 2, closes(12, "")), target("v1", 3)}, 12, "v3 v1", "", 0},
		"a moment before":         {[]astern.Target{target("v3", 1, current), target("v2", 2, closes(12, ""))}, 11, "v3 v2", "v2", 12},
		"the older first":         {[]astern.Target{target("v3", 1, current), target("v2", 2, closes(12, "")), target("v1", 3, closes(5, ""))}, 6, "v3 v2", "v2", 12},
		"the newer first":         {[]astern.Target{target("v3", 1, current), target("v2", 2, closes(5, "")), target("v1", 3, closes(12, ""))}, 20, "v3", "v1", 12},
		"a shorter way":           {[]astern.Target{target("v3", 1, current), target("v2", 2, closes(3, astern.Ready))}, 20, "v3 v2", "", 0},
		"a proof":                 {[]astern.Target{target("v3", 1, current), target("v2", 2, closes(3, astern.AtRisk), closes(9, ""))}, 5, "v3 v2", "v2", 9},
		"by deployments":          {[]astern.Target{target("v3", 1, current), target("v2", 2, door(1))}, 900, "v3 v2", "", 0},
		"what runs":               {[]astern.Target{target("v3", 1, current, closes(1, "")), target("v2", 2)}, 2, "v2", "", 0},
		"no way back to begin by": {[]astern.Target{target("v3", 1, current), target("v2", 2, closes(2, ""), func(t *astern.Target) { t.KnownGoodAt = nil })}, 1, "v3 v2", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(c.targets)
			var left string
			for _, x := range readiness.At(c.targets, now.Add(time.Duration(c.days)*day)) {
				if x.Readiness == astern.Ready {
					left += " " + x.Revision
				}
			}
			if left != " "+c.left {
				t.Errorf("ready in %d days are%s, want %s", c.days, left, c.left)
			}
			last, d, ends := readiness.Dies(c.targets, astern.Value{Text: "v3"})
			if last.Revision != c.last || ends != (c.last != "") {
				t.Errorf("the last way back is %q (%t), want %q", last.Revision, ends, c.last)
			}
			if ends && !d.At.Equal(now.Add(time.Duration(c.end)*day)) {
				t.Errorf("it ends at %s, want in %d days", d.At, c.end)
			}
			if diff := cmp.Diff(before, c.targets); diff != "" {
				t.Errorf("what was given was changed:\n%s", diff)
			}
		})
	}
}

// TestNeeding: who deletes a thing, or the folder that it is in, is told which targets rest on it.
func TestNeeding(t *testing.T) {
	needs := func(list ...string) func(*astern.Target) { return func(t *astern.Target) { t.Needs = list } }
	targets := []astern.Target{target("v3", 1, current, needs("s3://b/v3/x")), target("v2", 2, needs("s3://b/v2/x", "s3://b/v2/y")), target("v1", 3, needs("s3://b/v20/x", "/srv/v1/")), target("v0", 4, needs("s3://c/", "s3://c/records/v0"))}
	for resource, want := range map[string][]string{
		"s3://b/v2/x": {"v2"}, "s3://b/v2/": {"v2"}, "s3://b/v2": nil, "s3://b/": {"v3", "v2", "v1"}, "/": nil, "": nil, "s3://b/v2/xy": nil,
		"/srv/v1/bin/shop": {"v1"}, "/srv/v1": nil, "/srv/v12/": nil, "/srv/": {"v1"}, "s3://c/v9/x": {"v0"}, "s3://c/records/v0": {"v0"},
	} {
		if diff := cmp.Diff(want, readiness.Needing(targets, resource)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", resource, diff)
		}
	}
	var left []string
	for _, x := range readiness.Without(targets, []string{"v2", "v3"}) {
		left = append(left, x.Revision)
	}
	if diff := cmp.Diff([]string{"v3", "v1", "v0"}, left); diff != "" {
		t.Errorf("what runs stays, whatever is deleted (-want +got):\n%s", diff)
	}
}
