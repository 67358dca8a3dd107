package flags

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
)

func percent(n int) *int { return &n }

// TestChanges makes each kind of change on testdata/shop.json: the bytes that change are named, and all others must stay.
// The jq filter that the plan prints must do the same to the values.
func TestChanges(t *testing.T) {
	for name, c := range map[string]struct {
		change   astern.FlagChange
		old, new string
	}{
		"everywhere":           {astern.FlagChange{Flag: "new-checkout"}, `"new-checkout":   { "state": "ENABLED"`, `"new-checkout":   { "state": "DISABLED"`},
		"one city":             {astern.FlagChange{Flag: "new-checkout", Segment: "city=berlin", Percent: percent(10)}, `["on", 30], ["off",   70]`, `["on", 10], ["off",   90]`},
		"one city, none":       {astern.FlagChange{Flag: "new-checkout", Segment: "city=berlin"}, `["on", 30], ["off",   70]`, `["on", 0], ["off",   100]`},
		"all of a city":        {astern.FlagChange{Flag: "new-checkout", Segment: "city=hamburg"}, `{ "var": ["city"] }] }, "on"`, `{ "var": ["city"] }] }, "off"`},
		"nested, no weights":   {astern.FlagChange{Flag: "new-checkout", Segment: "city=munich", Percent: percent(20)}, `["off"], ["on"]`, `["off", 80], ["on", 20]`},
		"weights kept whole":   {astern.FlagChange{Flag: "rollout", Percent: percent(10)}, `["yes", 1], ["no", 3]`, `["yes", 10], ["no", 90]`},
		"kill switch":          {astern.FlagChange{Flag: "payments-off", Serve: "on"}, `"defaultVariant": "off" },` + "\n    \"kept-out\"", `"defaultVariant": "on" },` + "\n    \"kept-out\""},
		"served though off":    {astern.FlagChange{Flag: "kept-out", Serve: "on"}, `"kept-out": { "state": "DISABLED"`, `"kept-out": { "state": "ENABLED"`},
		"served without rules": {astern.FlagChange{Flag: "rollout", Serve: "no"}, `{ "fractional": [ ["yes", 1], ["no", 3] ] }`, `{}`},
		"a default is added": {astern.FlagChange{Flag: "also-shared", Serve: "off"},
			`"state": "ENABLED", "variants": { "on": true, "off": false }, "targeting": { "if": [ { "var": "beta" }, { "$ref": "half" }, "off" ] }`,
			`"defaultVariant": "off", "state": "ENABLED", "variants": { "on": true, "off": false }, "targeting": {}`},
	} {
		t.Run(name, func(t *testing.T) {
			text := shop(t)
			d, err := read([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			e, err := d.change(c.change)
			if err != nil {
				t.Fatal(err, astern.HintOf(err))
			}
			got, err := d.apply(e)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(text, c.old); n != 1 {
				t.Fatalf("the test is wrong: %q stands there %d times", c.old, n)
			}
			if diff := cmp.Diff(strings.Replace(text, c.old, c.new, 1), string(got)); diff != "" {
				t.Errorf("the file (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(values(t, jq(t, e.jq, text)), values(t, got)); diff != "" {
				t.Errorf("what a person types does another thing (-typed +ours): %s\n%s", e.jq, diff)
			}
		})
	}
}

func jq(t *testing.T, filter, text string) []byte {
	t.Helper()
	cmd := exec.Command("jq", filter)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("jq %s: %v (apt-get install jq)", filter, err)
	}
	return out
}

func values(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestRefused: what is not understood is refused, with what to do instead.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change astern.FlagChange
		code   astern.Code
		says   string
	}{
		"an unknown flag":          {astern.FlagChange{Flag: "nope"}, astern.NotFound, `there is no flag "nope"`},
		"over 100":                 {astern.FlagChange{Flag: "search", Percent: percent(101)}, astern.Invalid, "not between 0 and 100"},
		"below 0":                  {astern.FlagChange{Flag: "search", Percent: percent(-1)}, astern.Invalid, "not between 0 and 100"},
		"more than now":            {astern.FlagChange{Flag: "new-checkout", Segment: "city=berlin", Percent: percent(31)}, astern.Refused, "31 % is more than the 30 % that get it now"},
		"as it is":                 {astern.FlagChange{Flag: "new-checkout", Segment: "city=berlin", Percent: percent(30)}, astern.Refused, "nothing to do"},
		"disabled already":         {astern.FlagChange{Flag: "kept-out"}, astern.Refused, "nothing to do"},
		"a segment of what is off": {astern.FlagChange{Flag: "kept-out", Segment: "city=berlin"}, astern.Refused, "nothing to do"},
		"no such branch":           {astern.FlagChange{Flag: "new-checkout", Segment: "city=vienna"}, astern.NotFound, "no branch for city=vienna"},
		"a branch for two cities":  {astern.FlagChange{Flag: "new-checkout", Segment: "city=lyon"}, astern.Refused, "for others as well"},
		"a branch for a part":      {astern.FlagChange{Flag: "new-checkout", Segment: "city=rome"}, astern.Refused, "not for all of them"},
		"a share of all":           {astern.FlagChange{Flag: "new-checkout", Segment: "city=hamburg", Percent: percent(50)}, astern.Refused, "nothing says how to share them out"},
		"no segment":               {astern.FlagChange{Flag: "new-checkout", Segment: "berlin"}, astern.Invalid, "is no segment"},
		"a percentage of rules":    {astern.FlagChange{Flag: "new-checkout", Percent: percent(5)}, astern.Refused, "does not share out all by one percentage"},
		"no targeting":             {astern.FlagChange{Flag: "banner", Segment: "city=berlin"}, astern.Refused, "has no targeting"},
		"two variants beside off":  {astern.FlagChange{Flag: "search", Percent: percent(10)}, astern.Refused, "more than one variant beside off"},
		"a shared rule":            {astern.FlagChange{Flag: "shared", Segment: "city=oslo"}, astern.Refused, "is used by also-shared as well"},
		"no such variant":          {astern.FlagChange{Flag: "search", Serve: "v3"}, astern.NotFound, `no variant "v3"`},
		"served in a segment":      {astern.FlagChange{Flag: "search", Serve: "v1", Segment: "city=berlin"}, astern.Invalid, "no segment"},
	} {
		d, err := read([]byte(shop(t)))
		if err != nil {
			t.Fatal(err)
		}
		_, err = d.change(c.change)
		if err == nil || astern.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v (%s), want %s: %s", name, err, astern.CodeOf(err), c.code, c.says)
		}
	}
}

// TestBadFiles: each is refused with what is wrong and where.
func TestBadFiles(t *testing.T) {
	deep := strings.Repeat(`{"if":[true,`, 40) + `"on"` + strings.Repeat(`]}`, 40)
	for name, c := range map[string]struct{ text, says string }{
		"empty":         {"", "line 1: it ends in the middle"},
		"half written":  {shop(t)[:300], "it ends in the middle"},
		"zeroes":        {strings.Repeat("\x00", 100), "line 1: it is no JSON"},
		"yaml":          {"flags:\n  a: {}\n", "it is no JSON"},
		"a comment":     {"{\n// no\n\"flags\": {}}", "line 2: it is no JSON"},
		"two documents": {`{"flags":{}} {}`, "something follows after its end"},
		"a key twice":   {"{\"flags\":{\n\"a\":{\"state\":\"ENABLED\",\"state\":\"DISABLED\",\"variants\":{\"on\":true}}}}", `line 2: the key "state" stands twice`},
		"a flag twice":  {`{"flags":[{"key":"a","state":"ENABLED","variants":{"on":true}},{"key":"a","state":"ENABLED","variants":{"on":true}}]}`, `the flag "a" stands twice`},
		"large":         {`{"flags":{}}` + strings.Repeat(" ", maxFile), "larger than 1 MB"},
		"deep":          {`{"flags":{"a":{"state":"ENABLED","variants":{"on":true},"targeting":` + deep + `}}}`, "nested more than 64 levels"},
		"rules that the schema takes for ever on": {`{"flags":{"a":{"state":"ENABLED","variants":{"on":true},"targeting":` + strings.Repeat(`{"fractional":[["a",1],[`, 19) + `{"x":1}` +
			strings.Repeat(`]]}`, 19) + `}}}`, "/x: there is no such operator"},
		"not UTF-8":          {"{\"flags\":{\"\xff\":1}}", "not UTF-8"},
		"no flags":           {`{}`, "flags"},
		"a wrong state":      {`{"flags":{"a":{"state":"ON","variants":{"on":true}}}}`, "/flags/a/state"},
		"mixed variants":     {`{"flags":{"a":{"state":"ENABLED","variants":{"on":true,"off":"no"}}}}`, "/flags/a/variants"},
		"an unknown default": {`{"flags":{"a":{"state":"ENABLED","variants":{"on":true},"defaultVariant":"of"}}}`, `the default variant "of" of a`},
		"an unknown rule":    {`{"flags":{"a":{"state":"ENABLED","variants":{"on":true},"targeting":{"if":[{"$ref":"x"},"on"]}}}}`, `refers to "x"`},
	} {
		_, err := read([]byte(c.text))
		if err == nil || astern.CodeOf(err) != astern.Invalid || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// FuzzRead: whatever the file, reading it ends, and what was read and changed is valid again and differs in that flag alone.
func FuzzRead(f *testing.F) {
	f.Add([]byte(shop(f)), "new-checkout", "city=berlin", 10)
	f.Add([]byte(`{"flags":[{"key":"a","state":"ENABLED","variants":{"on":true,"off":false}}]}`), "a", "", 0)
	f.Fuzz(func(t *testing.T, text []byte, flag, segment string, share int) {
		d, err := read(text)
		if err != nil {
			return
		}
		e, err := d.change(astern.FlagChange{Flag: flag, Segment: segment, Percent: &share})
		if err != nil {
			return
		}
		got, err := d.apply(e)
		if err != nil {
			t.Fatalf("the change makes it invalid: %v\n%s", err, text)
		}
		if bytes.Equal(got, text) {
			t.Fatalf("the change changes nothing:\n%s", text)
		}
		after, err := read(got)
		if err != nil {
			t.Fatal(err)
		}
		for name, n := range d.flags {
			m := after.flags[name]
			if m == nil || name != flag && !bytes.Equal(text[n.start:n.end], got[m.start:m.end]) {
				t.Fatalf("the flag %q was changed with %q", name, flag)
			}
		}
	})
}
