package flags

import (
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// TestReach: how many get a flag is read where the file tells, and unknown (-1) everywhere else.
func TestReach(t *testing.T) {
	state := func(text string) astern.State {
		return astern.State{Values: map[string]astern.Value{"content": {Text: text, At: time.Now()}}}
	}
	for flag, want := range map[string]float64{
		"banner": 100, "payments-off": 0, "kept-out": 0, // on, off and disabled for all
		"search": 75, "rollout": 25, // weights of 100, and of 4
		"new-checkout": -1, "shared": -1, "also-shared": -1, // segments
		"none": -1,
	} {
		percent, known := (router{}).Reach(astern.Component{}, state(shop(t)), flag)
		if known != (want >= 0) || known && percent != want {
			t.Errorf("%s: %v, %t, want %v", flag, percent, known, want)
		}
	}
	for name, flag := range map[string]string{
		"the code has the default":      `{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":null}`,
		"no default":                    `{"state":"ENABLED","variants":{"on":true,"off":false}}`,
		"nothing says which is off":     `{"state":"ENABLED","variants":{"a":1,"b":2},"defaultVariant":"a"}`,
		"weights that add up to none":   `{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on","targeting":{"fractional":[["on",0],["off",0]]}}`,
		"a weight that is computed":     `{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on","targeting":{"fractional":[["on",{"var":"n"}],["off",1]]}}`,
		"a variant that is none":        `{"state":"ENABLED","variants":{"on":true,"off":false},"defaultVariant":"on","targeting":{"fractional":[["on",1],[{"var":"n"},1]]}}`,
		"what is no flag file any more": `}`,
	} {
		if percent, known := (router{}).Reach(astern.Component{}, state(`{"flags":{"x":`+flag+`}}`), "x"); known {
			t.Errorf("%s: %v", name, percent)
		}
	}
	s := state(shop(t))
	s.Values["problem"] = astern.Value{Text: "line 1"}
	if percent, known := (router{}).Reach(astern.Component{}, s, "banner"); known {
		t.Errorf("of a file that is not valid: %v", percent)
	}
	if percent, known := (router{}).Reach(astern.Component{}, astern.State{}, "banner"); known {
		t.Errorf("of nothing: %v", percent)
	}
}
