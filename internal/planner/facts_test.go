package planner

import (
	"testing"

	"github.com/astern-dev/astern"
)

// TestOthersSet: a fact of one member that its step changes is none for the steps of the others; what no step changes is.
func TestOthersSet(t *testing.T) {
	route := func() astern.Route {
		return astern.Route{Fleet: &astern.Fleet{Members: []string{"a", "b"}}, Stages: []astern.Stage{
			{Steps: []astern.Step{{ID: "copy", Sets: []astern.Set{{Path: "a/release/v1"}}}}},
			{Each: &astern.Each{To: 2}, Steps: []astern.Step{{ID: "swap", Sets: []astern.Set{{Path: "{member}/link"}}}, {ID: "restart"}}}}}
	}
	for name, c := range map[string]struct {
		path, step string
		alone      bool
		want       bool
	}{
		"one for all":                {path: "{member}/link", step: "swap"},
		"of one, for all":            {path: "a/link", step: "swap", want: true},
		"of one, for a later step":   {path: "a/link", step: "restart", want: true},
		"of nobody":                  {path: "c/link", step: "swap"},
		"shorter than the pattern":   {path: "link", step: "swap"},
		"what no member's step sets": {path: "a/release/v1", step: "swap"},
		"for a step of its own":      {path: "a/release/v1", step: "copy"},
		"no members":                 {path: "a/link", step: "swap", alone: true},
	} {
		r := route()
		if c.alone {
			r.Fleet = nil
		}
		if got := othersSet(r, astern.Fact{Path: c.path, Steps: []string{c.step}}); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
