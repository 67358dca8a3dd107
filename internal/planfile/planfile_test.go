package planfile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/proof"
)

func golden(t testing.TB, name string) []byte {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("testdata", "plans", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// TestEveryByte changes each byte of a plan in several ways, removes it and doubles it: nothing gets through. Where fewer
// trials are asked for, they are spread over the plan.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"dynamodb-undo"} {
		doc := golden(t, name)
		refuse := func(what string, i int, changed []byte) {
			if _, _, err := planfile.Decode(changed); err == nil {
				t.Fatalf("%s: byte %d %s and the plan is taken: …%s…", name, i, what, changed[max(0, i-20):min(len(changed), i+20)])
			}
		}
		_, count := proof.Seeds(t, uint64(len(doc)))
		for i := 0; i < len(doc); i += max(1, len(doc)/int(max(1, count))) {
			b := doc[i]
			for _, to := range []byte{b + 1, '"'} {
				if to == b {
					continue
				}
				changed := bytes.Clone(doc)
				changed[i] = to
				refuse("is changed", i, changed)
			}
			refuse("is removed", i, append(bytes.Clone(doc[:i]), doc[i+1:]...))
			refuse("is doubled", i, append(bytes.Clone(doc[:i+1]), doc[i:]...))
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	doc := string(golden(t, "ecs"))
	replace := func(old, new string) string {
		if !strings.Contains(doc, old) {
			t.Fatalf("the plan does not hold %q", old)
		}
		return strings.Replace(doc, old, new, 1)
	}
	for _, c := range []struct {
		name, doc string
		code      astern.Code
		says      []string
	}{
		{"empty", "", astern.Invalid, []string{"empty"}},
		{"not JSON", "kind: Plan\n", astern.Invalid, []string{"line 1, byte 1 is not JSON"}},
		{"another kind", `{"kind":"Report","version":1}`, astern.Invalid, []string{`kind is "Report"`}},
		{"a list", `[]`, astern.Invalid, nil},
		{"newer", replace(`"version":1}`, `"version":2,"zeal":true}`), astern.Refused, []string{"newer astern", "version is 2", "reads 1"}},
		{"no version", `{"kind":"Plan"}`, astern.Invalid, []string{"version"}},
		{"half a version", `{"kind":"Plan","version":1.5}`, astern.Invalid, []string{"version"}},
		{"version 0", `{"kind":"Plan","version":0}`, astern.Invalid, []string{`version is "0", not a whole number from 1 on`}},
		{"a version beyond numbers", `{"kind":"Plan","version":99999999999999999999}`, astern.Invalid, []string{"not a whole number from 1 on"}},
		{"a trailing newline", doc + "\n", astern.Refused, []string{"edited", "in $", "canonical JSON is the end"}},
		{"two documents", doc + doc, astern.Invalid, []string{"not JSON"}},
		{"white space", replace(`"percent":50`, `"percent": 50`), astern.Refused, []string{"edited", "in $.intent.percent"}},
		{"where it differs", replace(`"scale_percent":50`, `"scale_percent": 50`), astern.Refused, []string{
			fmt.Sprintf("byte %d, in $.stages[1].steps[0].args.scale_percent: says ", strings.Index(doc, `"scale_percent":50`)+17),
			`: says " 50,\"subnets\":[\"subnet-0", canonical JSON is "50,\"subnets\":[\"subnet-0a" (`}},
		{"white space behind a value", replace(`"percent":50`, `"percent":50 `), astern.Refused, []string{"in $.intent: says"}},
		{"a field nobody knows in a list", replace(`"kind":"aws.ecs","readiness"`, `"kind":"aws.ecs","zeal":1,"readiness"`), astern.Refused, []string{"$.moves[0].zeal says 1"}},
		{"order of keys", replace(`"kind":"aws.ecs","readiness":"ready","to":"api:41"`, `"kind":"aws.ecs","to":"api:41","readiness":"ready"`), astern.Refused, []string{"edited", "in $.moves[0]"}},
		{"a twin key", replace(`"percent":50`, `"percent":50,"percent":50`), astern.Refused, []string{"edited"}},
		{"an escape", replace(`"mona"`, `"mon\u0061"`), astern.Refused, []string{"edited", "in $.asked.by"}},
		{"another number form", replace(`"percent":50`, `"percent":5e1`), astern.Invalid, []string{"percent"}},
		{"a float form", replace(`"median_seconds":610`, `"median_seconds":610.0`), astern.Refused, []string{"$.estimate.median_seconds says 610.0, canonical is 610"}},
		{"another zone", replace(`"created_at":"2026-11-21T03:02:00Z"`, `"created_at":"2026-11-21T04:02:00+01:00"`), astern.Refused, []string{"$.created_at says"}},
		{"nanoseconds", replace(`"created_at":"2026-11-21T03:02:00Z"`, `"created_at":"2026-11-21T03:02:00.0000001Z"`), astern.Refused, []string{"$.created_at says"}},
		{"a field nobody knows", replace(`"percent":50`, `"percent":50,"zpercent":1`), astern.Refused, []string{"$.intent.zpercent says 1"}},
		{"another case", replace(`"percent":50`, `"Percent":50`), astern.Refused, []string{"$.intent.Percent says 50"}},
		{"a field in an argument", replace(`{"from":"2.start","output":"task_set"}`, `{"from":"2.start","output":"task_set","zoutput":1}`), astern.Invalid, []string{"zoutput"}},
		{"null for a list", replace(`"loss":[]`, `"loss":null`), astern.Refused, []string{"$.loss says null"}},
		{"another type", replace(`"percent":50`, `"percent":"50"`), astern.Invalid, []string{"$.intent.percent is a string"}},
		{"another value", replace(`"percent":50`, `"percent":51`), astern.Refused, []string{"edited", "seal in $.id"}},
		{"another id", replace(`"id":"ecs.`, `"id":"acs.`), astern.Refused, []string{"seal"}},
		{"no seal", replace(`"id":"ecs.`, `"id":"ecs-`), astern.Refused, []string{"no seal"}},
		{"a huge integer", replace(`"percent":50`, `"percent":9007199254740993`), astern.Invalid, []string{"$.intent.percent", "2^53"}},
		{"cut off", doc[:len(doc)-1], astern.Invalid, []string{"not JSON"}},
		{"too deep", strings.Repeat("[", 100000), astern.Invalid, []string{"nested"}},
		{"one too deep", strings.Repeat("[", 65) + strings.Repeat("]", 65), astern.Invalid, []string{"nested more than 64 deep"}},
		{"just not too deep", strings.Repeat("[", 64) + strings.Repeat("]", 64), astern.Invalid, []string{"array"}},
		{"objects too deep", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 100), astern.Invalid, []string{"nested"}},
		{"invalid UTF-8", replace(`"mona"`, "\"mon\xff\""), astern.Refused, []string{"edited"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, hash, err := planfile.Decode([]byte(c.doc))
			if astern.CodeOf(err) != c.code || hash != "" {
				t.Fatalf("%v (%s), want %s", err, astern.CodeOf(err), c.code)
			}
			if astern.HintOf(err) == "" && !strings.Contains(c.name, "too deep") && !strings.Contains(c.name, "version") && c.name != "a huge integer" {
				t.Error("no hint")
			}
			for _, s := range c.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q lacks %q", err, s)
				}
			}
		})
	}
}

// TestLargestFile: a file may be just so large, be it read or written.
func TestLargestFile(t *testing.T) {
	if _, _, err := planfile.Decode(make([]byte, planfile.MaxSize+1)); astern.CodeOf(err) != astern.Invalid || !strings.Contains(err.Error(), "bytes; a plan file has at most") {
		t.Error(err)
	}
	if _, _, err := planfile.Decode(make([]byte, planfile.MaxSize)); astern.CodeOf(err) != astern.Invalid || strings.Contains(err.Error(), "at most") {
		t.Errorf("a file of the largest size: %v", err)
	}
	if slowed { // to write 64 MB takes minutes then, and there is nothing in it that could race
		return
	}
	large := ecsPlan()
	large.Notes = []string{strings.Repeat("x", planfile.MaxSize)}
	if doc, hash, err := planfile.Encode(large); astern.CodeOf(err) != astern.Invalid || doc != nil || hash != "" || !strings.Contains(err.Error(), "the plan has 67") {
		t.Errorf("a plan that makes too large a file: %v", err)
	}
}

// TestEditedPlanShowsItsDifference: with the original at hand, a caller can show what was edited.
func TestEditedPlanShowsItsDifference(t *testing.T) {
	doc := golden(t, "ecs")
	original, _, err := planfile.Decode(doc)
	if err != nil {
		t.Fatal(err)
	}
	edited, _, err := planfile.Decode(bytes.Replace(doc, []byte(`"scale_percent":50`), []byte(`"scale_percent":90`), 1))
	if astern.CodeOf(err) != astern.Refused {
		t.Fatal(err)
	}
	want := []string{"stages[1].steps[2.start].args.scale_percent: was 50, is 90"}
	if d := cmp.Diff(want, planfile.Differences(original, edited)); d != "" {
		t.Error(d)
	}
}

func TestDifferences(t *testing.T) {
	a, b := ecsPlan(), ecsPlan()
	b.Facts = append([]astern.Fact{fact("production/api", "new", "x")}, b.Facts[1:]...)
	b.Facts[1].Value = "arn:other"
	b.Stages[2].Steps[0], b.Stages[2].Steps[1] = b.Stages[2].Steps[1], b.Stages[2].Steps[0]
	b.Notes = nil
	b.Intent.Reason = "another"
	b.Stages[1].Parallel = 2
	want := []string{
		`facts[production/api service].value: was "arn:aws:ecs:eu-central-1:111122223333:service/prod/api", is "arn:other"`,
		`facts: gone: production/api revision`,
		`facts: new: production/api new`,
		`intent.reason: was "checkout answers 500 since 02:51", is "another"`,
		`notes: was ["api:40 is older and ready too; api:41 is the newest known-good before api:42"], is absent`,
		`stages[1].parallel: was absent, is 2`,
		`stages[2].steps: the order was 3.grow, 3.shift, 3.primary, is 3.shift, 3.grow, 3.primary`,
	}
	if d := cmp.Diff(want, planfile.Differences(a, b)); d != "" {
		t.Error(d)
	}
	fewer, more := ecsPlan(), ecsPlan()
	fewer.Notes, more.Notes = []string{"a", "a"}, []string{"a", "b", "b"} // twins have no name: compared by place
	if d := cmp.Diff([]string{`notes[1]: was "a", is "b"`, `notes[2]: was absent, is "b"`}, planfile.Differences(fewer, more)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{`notes[1]: was "b", is "a"`, `notes[2]: was "b", is absent`}, planfile.Differences(more, fewer)); d != "" {
		t.Error(d)
	}
	more.Notes = []string{"a", "b"} // one list alone has names: by place as well
	if d := cmp.Diff([]string{`notes[1]: was "a", is "b"`}, planfile.Differences(fewer, more)); d != "" {
		t.Error(d)
	}
	odd := ecsPlan()
	odd.Notes = []string{"\xff"}
	for i, got := range [][]string{planfile.Differences(odd, a), planfile.Differences(a, odd)} {
		if which := []string{"first", "second"}[i]; len(got) != 1 || !strings.HasPrefix(got[0], "the "+which+" plan can't be compared: ") {
			t.Errorf("a plan that can't be written: %q", got)
		}
	}
	if d := planfile.Differences(a, ecsPlan()); len(d) != 0 {
		t.Error(d)
	}
	smaller := fleetPlan()
	smaller.Fleets[0].Members = smaller.Fleets[0].Members[5:]
	want = []string{"fleets[production/edge].members: gone: edge-00001, edge-00002, edge-00003 and 2 more"}
	if d := cmp.Diff(want, planfile.Differences(fleetPlan(), smaller)); d != "" {
		t.Error(d)
	}
	smaller.Fleets[0].Members = fleetPlan().Fleets[0].Members[4:] // four are named, for "and 1 more" is no shorter
	want = []string{"fleets[production/edge].members: gone: edge-00001, edge-00002, edge-00003, edge-00004"}
	if d := cmp.Diff(want, planfile.Differences(fleetPlan(), smaller)); d != "" {
		t.Error(d)
	}
}

// TestLongValuesAreCut: a value is shown as it is written up to 100 characters, quotation marks included.
func TestLongValuesAreCut(t *testing.T) {
	a, b := ecsPlan(), ecsPlan()
	a.Intent.Reason, b.Intent.Reason = strings.Repeat("<", 98), strings.Repeat("ü", 99)
	want := []string{`intent.reason: was "` + a.Intent.Reason + `", is "` + strings.Repeat("ü", 98) + `…`}
	if d := cmp.Diff(want, planfile.Differences(a, b)); d != "" {
		t.Error(d)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for says, change := range map[string]func(*astern.Plan){
		"$.intent.bake_seconds is 9007199254740992": func(p *astern.Plan) { p.Intent.BakeSeconds = 1 << 53 },
		"args.n is 9007199254740992":                func(p *astern.Plan) { p.Stages[0].Steps[0].Args["n"] = astern.Int(1 << 53) },
		"args.n":                                    func(p *astern.Plan) { p.Stages[0].Steps[0].Args["n"] = astern.Arg{} },
		"$.notes[0] is not valid UTF-8":             func(p *astern.Plan) { p.Notes = []string{"\xff"} },
		"(a key) is not valid UTF-8":                func(p *astern.Plan) { p.Stages[0].Steps[0].Args["\xff"] = astern.Int(1) },
		"$.estimate.median_seconds is NaN":          func(p *astern.Plan) { p.Estimate.MedianSeconds = math.NaN() },
		"$.created_at is a time in the year 20000":  func(p *astern.Plan) { p.CreatedAt = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC) },
	} {
		p := ecsPlan()
		change(&p)
		_, _, err := planfile.Encode(p)
		if says == "args.n" {
			says = "an argument is a string"
		}
		if astern.CodeOf(err) != astern.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
		if _, err := planfile.Seal(p); astern.CodeOf(err) != astern.Invalid {
			t.Errorf("it was sealed: %v, want %q", err, says)
		}
	}
}

// TestEncodeAtItsEdges: what canonical JSON just holds comes back as it was.
func TestEncodeAtItsEdges(t *testing.T) {
	for name, change := range map[string]func(*astern.Plan){
		"the year 0":              func(p *astern.Plan) { p.CreatedAt = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC) },
		"the year 9999":           func(p *astern.Plan) { p.ExpiresAt = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) },
		"the largest integer":     func(p *astern.Plan) { p.Intent.BakeSeconds = 1<<53 - 1 },
		"the least integer":       func(p *astern.Plan) { p.Stages[0].Steps[0].Args["n"] = astern.Int(1 - 1<<53) },
		"brackets in text":        func(p *astern.Plan) { p.Intent.Reason = strings.Repeat("[", 100) },
		"brackets behind a quote": func(p *astern.Plan) { p.Intent.Reason = `"` + strings.Repeat("{", 100) },
	} {
		p := ecsPlan()
		change(&p)
		doc, _, err := planfile.Encode(p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, _, err := planfile.Decode(doc)
		want, _ := planfile.Seal(p)
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", name, err, d)
		}
	}
}

func TestEncodeLeavesThePlanAlone(t *testing.T) {
	p := ecsPlan()
	p.CreatedAt = p.CreatedAt.In(time.FixedZone("", 3600)).Add(123456 * time.Nanosecond)
	p.Loss = nil
	before := p
	doc, hash, err := planfile.Encode(p)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(before, p); d != "" || p.Loss != nil {
		t.Error(d)
	}
	if !bytes.Equal(doc, golden(t, "ecs")) || hash != planfile.Hash(doc) {
		t.Error("a plan has more than one form")
	}
	once, _ := planfile.Seal(p)
	twice, err := planfile.Seal(once)
	if err != nil || once.ID != twice.ID {
		t.Error(once.ID, twice.ID, err)
	}
}

// anyPlan draws plans that keep the laws, with what is hard to write in every text.
func anyPlan(r *rapid.T) astern.Plan {
	text := func(label string) string { return "x" + rapid.String().Draw(r, label) }
	moment := func(label string) time.Time {
		return time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(r, label)).UTC()
	}
	amount := rapid.Int64Range(0, 1<<53-1)
	arg := func() astern.Arg {
		switch rapid.IntRange(0, 3).Draw(r, "type") {
		case 0:
			return astern.Int(rapid.Int64Range(-(1<<53-1), 1<<53-1).Draw(r, "int"))
		case 1:
			return astern.Bool(rapid.Bool().Draw(r, "bool"))
		case 2:
			return astern.List(rapid.SliceOf(rapid.String()).Draw(r, "list")...)
		}
		return astern.Text(text("text"))
	}
	p := night("p", astern.Intent{Verb: rapid.SampledFrom([]astern.Verb{astern.VerbRollback, astern.VerbDeploy}).Draw(r, "verb"),
		Addresses: []string{"production/a"}, Percent: rapid.IntRange(1, 100).Draw(r, "percent"), Reason: text("reason")})
	p.ID = rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9._-]{0,20}`).Draw(r, "id")
	p.CreatedAt = moment("created")
	p.ExpiresAt = p.CreatedAt.Add(time.Duration(rapid.Int64Range(1, 1e9).Draw(r, "age")) * time.Millisecond)
	p.Estimate.MedianSeconds = rapid.Float64Range(0, 1e300).Draw(r, "median")
	p.Loss = []astern.Loss{{Address: "production/a", Unit: "rows", Count: amount.Draw(r, "rows")}}
	p.Notes = rapid.SliceOf(rapid.String()).Draw(r, "notes")
	for range rapid.IntRange(0, 4).Draw(r, "stages") {
		st := astern.Stage{Title: text("title"), OnFailure: astern.OnFailureHold, Gate: &astern.Gate{IntervalSeconds: 1, TimeoutSeconds: 1}}
		for k := range rapid.IntRange(0, 3).Draw(r, "steps") {
			s := step(string(rune('a'+len(p.Stages)))+"."+string(rune('a'+k)), "production/a", "jsonexec act", text("what"), map[string]astern.Arg{})
			for range rapid.IntRange(0, 3).Draw(r, "args") {
				s.Args[rapid.String().Draw(r, "name")] = arg()
			}
			s.Outputs, s.Command = map[string]string{"out": "string"}, text("command")
			if k > 0 {
				s.Args["ref"] = astern.Arg{Ref: &astern.Ref{From: st.Steps[k-1].ID, Output: "out", In: "{}" + text("in")}}
			}
			st.Steps = append(st.Steps, s)
		}
		p.Facts = append(p.Facts, astern.Fact{Address: "production/a", Path: text("path") + string(rune('a'+len(p.Stages))), Value: text("value"), Seen: moment("seen")})
		p.Stages = append(p.Stages, st)
	}
	return p
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		p := anyPlan(r)
		doc, hash, err := planfile.Encode(p)
		if err != nil {
			r.Fatal(err)
		}
		got, gotHash, err := planfile.Decode(doc)
		if err != nil || gotHash != hash {
			r.Fatalf("%v, hash %s, want %s", err, gotHash, hash)
		}
		want, err := planfile.Seal(p)
		if err != nil {
			r.Fatal(err)
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			r.Fatal(d)
		}
		again, _, err := planfile.Encode(got)
		if err != nil || !bytes.Equal(again, doc) {
			r.Fatalf("encoding twice gives two documents: %v", err)
		}
	})
}

// FuzzDecode: nothing crashes the reader, and what it takes is canonical, keeps the laws and has the hash it says.
func FuzzDecode(f *testing.F) {
	for _, name := range []string{"ecs", "dynamodb", "dynamodb-undo", "stack", "region"} {
		f.Add(golden(f, name))
	}
	f.Add([]byte(`{"kind":"Plan","version":1}`))
	f.Add([]byte(`{"kind":"Plan","version":1,"stages":[{"steps":[{"args":{"a":{"from":"b"}}}]}]}`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		p, hash, err := planfile.Decode(doc)
		if err != nil {
			if code := astern.CodeOf(err); (code != astern.Invalid && code != astern.Refused) || hash != "" {
				t.Fatalf("%v (%s) %q", err, code, hash)
			}
			return
		}
		again, hash2, err := planfile.Encode(p)
		if err != nil || !bytes.Equal(again, doc) || hash2 != hash || len(planfile.Validate(p)) > 0 || !json.Valid(doc) {
			t.Fatalf("%v: taken, but not canonical", err)
		}
	})
}
