package awsappconfig

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
)

const variants = `{"version":"1","flags":{"cart":{"name":"Cart"}},"values":{"cart":{"_variants":[` +
	`{"name":"beta","enabled":true,"rule":"(eq $group \"beta\")","attributeValues":{"limit":9}},{"name":"default","enabled":false}]}}}`

func TestReadFlags(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]map[string]string{
		flagsNew:                                     {"cart": "on", "new-checkout": "on"},
		flagsOld:                                     {"cart": "on", "new-checkout": "off"},
		variants:                                     {"cart": "on in 1 of 2 variants"},
		`{"version":"1"}`:                            {},
		`{"version":"1","values":{}}`:                {},
		`[]`:                                         nil,
		`{"values":[]}`:                              nil,
		`{"values":{"cart":true}}`:                   nil,
		`{"values":{"cart":null}}`:                   nil,
		`{"values":{"cart":{}}}`:                     nil,
		`{"values":{"cart":{"enabled":"yes"}}}`:      nil,
		`{"values":{"cart":{"enabled":null}}}`:       nil,
		`{"values":{"cart":{"_variants":[]}}}`:       nil,
		`{"values":{"cart":{"_variants":[{}]}}}`:     nil,
		`{"values":{"cart":{"_variants":{"a":{}}}}}`: nil,
		`{"values":{"Cart\u001b[2J":{"enabled":1}}}`: {}, // no name that AppConfig takes
		strings.Repeat(`{"values":`, 20_000):         nil,
		"":                                           nil,
	} {
		got, err := readFlags([]byte(content))
		if want == nil && astern.CodeOf(err) != astern.Invalid || want != nil && (err != nil || !maps.Equal(got, want)) {
			t.Errorf("%.80s: %v, %v, want %v", content, got, err, want)
		}
	}
}

// How many get a flag is known where all do, or nobody does.
func TestReach(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"on": 100, "off": 0, "on in 1 of 2 variants": -1, "": -1} {
		s := astern.State{Values: map[string]astern.Value{"flag/cart": {Text: text}}}
		if percent, known := (router{}).Reach(astern.Component{}, s, "cart"); known != (want >= 0) || known && percent != want {
			t.Errorf("%q: %v, %t, want %v", text, percent, known, want)
		}
	}
}

// Switching a flag off changes whether it is enabled, in each of its variants, and nothing else.
func TestSwitchOffChangesNothingElse(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Custom(func(t *rapid.T) any {
			return rapid.OneOf(rapid.Just[any](true), rapid.Map(rapid.Float64Range(-1e9, 1e9), func(f float64) any { return f }),
				rapid.Map(rapid.String(), func(s string) any { return strings.ToValidUTF8(s, "") })).Draw(t, "value")
		})
		flag := func(name string) map[string]any {
			out := map[string]any{"enabled": rapid.Bool().Draw(t, name)}
			for i := range rapid.IntRange(0, 3).Draw(t, "attributes") {
				out[fmt.Sprintf("a%d", i)] = value.Draw(t, "attribute")
			}
			return out
		}
		values, defined := map[string]any{}, map[string]any{}
		for i := range rapid.IntRange(1, 4).Draw(t, "flags") {
			name := fmt.Sprintf("f%d", i)
			defined[name], values[name] = map[string]any{"name": value.Draw(t, "name")}, flag(name)
			if n := rapid.IntRange(0, 3).Draw(t, "variants"); n > 0 {
				var list []any
				for range n {
					list = append(list, flag("variant"))
				}
				values[name] = map[string]any{"_variants": list, "_createdAt": "then"}
			}
		}
		doc := map[string]any{"version": "1", "flags": defined, "values": values}
		before, err := json.MarshalIndent(doc, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		after, err := switchOff(before, "f0")
		if err != nil {
			t.Fatal(err)
		}
		if f := values["f0"].(map[string]any); f["_variants"] != nil {
			for _, v := range f["_variants"].([]any) {
				v.(map[string]any)["enabled"] = false
			}
		} else {
			f["enabled"] = false
		}
		var got, want any
		text, _ := json.Marshal(doc)
		if json.Unmarshal(after, &got) != nil || json.Unmarshal(text, &want) != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s became\n%s, want\n%s", before, after, text)
		}
	})
}

func TestLabels(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 64)
	for _, c := range []struct {
		base int64
		flag string
		want string
	}{
		{3, "cart", "3-off-cart"},
		{999_999_999, long, labelOff(999_999_999, long)},
	} {
		if got := labelOff(c.base, c.flag); got != c.want || len(got) > maxLabel || !astern.ValidRevision(got) {
			t.Errorf("%d, %s: %s", c.base, c.flag, got)
		}
	}
	if labelOff(1, long) == labelOff(1, long[:63]+"y") {
		t.Error("two flags have one label")
	}
}

// What AppConfig can't do is refused with the reason, and so is what would change nothing.
func TestSwitchRefuses(t *testing.T) {
	t.Parallel()
	l := newLab(t, setup{flags: true})
	seen := l.observe()
	ten := 10
	for name, c := range map[string]struct {
		change astern.FlagChange
		set    map[string]string // paths of the state, "" takes one away
		says   string
		code   astern.Code
	}{
		"in a segment":         {change: astern.FlagChange{Flag: "cart", Segment: "city=berlin"}, says: "needs a variant with a rule"},
		"for a share":          {change: astern.FlagChange{Flag: "cart", Percent: &ten}, says: "needs a variant with a split rule"},
		"a variant for all":    {change: astern.FlagChange{Flag: "cart", Serve: "on"}, says: "AppConfig has no variant"},
		"no such flag":         {change: astern.FlagChange{Flag: "nope\x1b"}, says: "there is no flag", code: astern.NotFound},
		"off already":          {set: map[string]string{"flag/cart": "off"}, says: "it is off already"},
		"free-form":            {set: map[string]string{"type": "AWS.Freeform"}, says: "holds no feature flags"},
		"half-way":             {set: map[string]string{"revision": "1+2"}, says: "a deployment is under way"},
		"never deployed":       {set: map[string]string{"revision": ""}, says: "nothing is deployed"},
		"occupied":             {set: map[string]string{"busy": "9 other BAKING"}, says: "another deployment occupies the environment"},
		"the first of all":     {set: map[string]string{"busy": "2 limits BAKING", "revert": ""}, says: "the first deployment of all"},
		"being taken back":     {set: map[string]string{"busy": "2 limits ROLLING_BACK"}, says: "being taken back just now"},
		"an alarm":             {set: map[string]string{"alarms": "ALARM errors"}},
		"no strategy":          {set: map[string]string{"strategy": ""}, says: "there is no deployment strategy"},
		"its version is gone":  {set: map[string]string{"version/2": ""}, says: "was deleted"},
		"no configuration":     {set: map[string]string{"ids": ""}, says: "there is no such configuration"},
		"an alarm that is off": {set: map[string]string{"alarms": "OFF errors"}},
		"no data of an alarm":  {set: map[string]string{"alarms": "INSUFFICIENT_DATA errors\nOK other"}},
	} {
		s := astern.State{Address: seen.Address, Values: maps.Clone(seen.Values)}
		for path, text := range c.set {
			if v := s.Values["ids"]; text != "" {
				v.Text = text
				s.Values[path] = v
			} else {
				delete(s.Values, path)
			}
		}
		if c.change.Flag == "" {
			c.change.Flag = "cart"
		}
		if c.code == "" {
			c.code = astern.Refused
		}
		target, err := l.driver.Switcher.Switch(l.c, s, c.change)
		if c.says == "" {
			if err != nil || len(target.Evidence) < 3 {
				t.Errorf("%s: %+v, %v", name, target, err)
			}
			continue
		}
		if astern.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// Judging what was seen of profiles that the lab does not have.
func TestJudge(t *testing.T) {
	t.Parallel()
	l := newLab(t, setup{since: 80 * time.Hour})
	seen := l.observe()
	for name, c := range map[string]struct {
		set  map[string]string
		want astern.Readiness
		says string
	}{
		"as it is":                    {want: astern.Ready, says: "version 1 is there, and never changes"},
		"validators":                  {set: map[string]string{"validators": "LAMBDA"}, want: astern.AtRisk, says: "validators (LAMBDA) judge it when it is deployed"},
		"configuration elsewhere":     {set: map[string]string{"location": "s3://bucket/key"}, want: astern.ReadyUnknown, says: "only what AppConfig hosts itself"},
		"an alarm that is gone":       {set: map[string]string{"alarms": "GONE errors"}, want: astern.AtRisk, says: "does not exist"},
		"never deployed here":         {set: map[string]string{"deployed/1": ""}, want: astern.AtRisk, says: "never deployed to this environment"},
		"taken back while it grows":   {set: map[string]string{"revert": "2 1 -", "busy": "2 limits DEPLOYING"}, want: astern.Ready, says: "stopping it leads there"},
		"a window that can't be read": {set: map[string]string{"revert": "2 1 soon"}, want: astern.Ready, says: "the deployment strategy"},
	} {
		s := astern.State{Address: seen.Address, Values: maps.Clone(seen.Values)}
		for path, text := range c.set {
			if v := s.Values["ids"]; text != "" {
				v.Text = text
				s.Values[path] = v
			} else {
				delete(s.Values, path)
			}
		}
		e := judge(l.place(), s, astern.Deployment{}, "1")
		worst, said := astern.Ready, false
		for _, x := range e.List {
			said = said || strings.Contains(x.What, c.says)
			if x.Readiness != astern.Ready {
				worst = x.Readiness
			}
		}
		if worst != c.want || !said {
			t.Errorf("%s: %s, want %s with %q: %+v", name, worst, c.want, c.says, e.List)
		}
	}
}
