package planner_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/planner"
	"github.com/astern-dev/astern/internal/proof"
)

// TestTampering changes every byte and every JSON field of plans: none of the changed files is taken. One whose seal was
// made anew by hand has another hash, so that nobody vouches for it (TestNobodyVouches in internal/app). A trial is one plan.
func TestTampering(t *testing.T) {
	t.Parallel()
	first, count := proof.Seeds(t, 2)
	w := &tamperer{t: t}
	for seed := first; seed < first+count && !t.Failed(); seed++ {
		w.trial(planOf(t, seed), seed, 0, 1)
	}
	w.figures()
}

// largeParts is in how many parts each byte and field of the largest plan is changed: a part is each so many-th of them.
const largeParts = 1_000

// TestTamperingLarge does the same to the largest plan that planfile keeps, that of a fleet. A trial is one part of it.
func TestTamperingLarge(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../planfile/testdata/plans/" + largePlan)
	if err != nil || len(doc) < 100_000 {
		t.Fatalf("the largest plan has %d bytes: %v", len(doc), err)
	}
	proof.Covers(t, largeParts)
	first, count := proof.Seeds(t, 1)
	w := &tamperer{t: t}
	for part := first; part < first+count && !t.Failed(); part++ {
		w.trial(doc, part, int(part), largeParts)
	}
	w.figures()
}

// requests draws what random people ask of random systems.
var requests = rapid.Custom(func(t *rapid.T) planner.Request {
	_, r := drawRequest(t)
	return r
})

// largePlan is the one that planfile keeps whose size asks for many parts.
const largePlan = "fleet.json"

// smallPlan is how large a random plan is at most, in bytes. Those that planfile keeps are larger.
const smallPlan = 4 << 10

// planOf returns the plan file of a seed: the first are those that planfile keeps, the others the answers to random
// requests.
func planOf(t *testing.T, seed uint64) []byte {
	t.Helper()
	files, err := filepath.Glob("../planfile/testdata/plans/*.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("the plans of planfile: %d, %v", len(files), err)
	}
	// Seed 0 is a random one, so that a small share has both.
	if k := int(seed) - 1; k >= 0 && k < len(files) && filepath.Base(files[k]) != largePlan {
		doc, err := os.ReadFile(files[k])
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	for try := 0; ; try++ {
		p, err := planner.Plan(requests.Example(int(seed)*1000 + try))
		if err != nil {
			continue
		}
		doc, _, err := planfile.Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		if len(doc) <= smallPlan { // the work grows with the square
			return doc
		}
	}
}

// tamperer changes plan files and counts.
type tamperer struct {
	t                              *testing.T
	rnd                            *rand.Rand
	doc                            []byte
	hash                           string
	bytes, fields, files, resealed int
}

// figures reports what was changed.
func (w *tamperer) figures() {
	w.t.Helper()
	proof.Figures(w.t, map[string]float64{"bytes": float64(w.bytes), "fields": float64(w.fields),
		"files_refused": float64(w.files), "resealed_with_another_hash": float64(w.resealed)})
}

// trial changes each step-th byte and field of a plan, beginning with the part-th.
func (w *tamperer) trial(doc []byte, seed uint64, part, step int) {
	w.rnd, w.doc = rand.New(rand.NewPCG(seed, 0x7a3)), doc
	var err error
	if _, w.hash, err = planfile.Decode(w.doc); err != nil {
		w.t.Fatalf("the plan of seed %d itself is refused: %v", seed, err)
	}
	for i := part; i < len(w.doc) && !w.t.Failed(); i += step {
		w.bytes++
		w.byte(i)
	}
	w.refused("a byte added", len(w.doc), len(w.doc), byte(w.rnd.IntN(256)))
	var spots []spot
	if end := collect(w.doc, 0, &spots); end != len(w.doc) {
		w.t.Fatalf("the walk through the plan ended at byte %d of %d", end, len(w.doc))
	}
	for k := part; k < len(spots) && !w.t.Failed(); k += step {
		w.fields++
		w.field(spots[k])
	}
	if w.t.Failed() {
		w.t.Logf("repeat it: ASTERN_PROOF_FIRST=%d ASTERN_PROOF_COUNT=1 go test -run '^%s$' ./internal/planner", seed, w.t.Name())
	}
}

// byte changes one byte in one of the ways.
func (w *tamperer) byte(i int) {
	switch w.rnd.IntN(8) {
	case 0:
		w.refused("a byte deleted", i, i+1)
	case 1:
		w.refused("a byte inserted", i, i, byte(w.rnd.IntN(256)))
	case 2:
		w.refused("cut off", i, len(w.doc))
	}
	w.refused("a byte changed", i, i+1, w.doc[i]+1+byte(w.rnd.IntN(255)))
}

// refused demands that the file with doc[from:to] replaced is refused.
func (w *tamperer) refused(what string, from, to int, by ...byte) {
	changed := append(append(bytes.Clone(w.doc[:from]), by...), w.doc[to:]...)
	if bytes.Equal(changed, w.doc) {
		return
	}
	w.files++
	if _, _, err := planfile.Decode(changed); err == nil {
		w.t.Errorf("%s at byte %d and the plan is taken: …%s…", what, from, changed[max(0, from-30):min(len(changed), from+30)])
	}
}

// spot is one field of an object, or one element of a list: [key, value) with its end, and where the next one ends.
type spot struct {
	key        int // where the key begins; that of the value in a list
	value, end int
	next       int // the end of the next field of the same object, 0 when there is none
	object     bool
}

// collect walks through canonical JSON, which has no white space, from the value at i and returns its end.
func collect(doc []byte, i int, out *[]spot) int {
	switch doc[i] {
	case '"':
		for i++; doc[i] != '"'; i++ {
			if doc[i] == '\\' {
				i++
			}
		}
		return i + 1
	case '{', '[':
		object := doc[i] == '{'
		last := -1
		for i++; doc[i] != '}' && doc[i] != ']'; {
			if doc[i] == ',' {
				i++
			}
			s := spot{key: i, object: object}
			if object {
				i = collect(doc, i, out) + 1
			}
			at := len(*out)
			*out = append(*out, s)
			s.value = i
			s.end = collect(doc, i, out)
			i = s.end
			(*out)[at] = s
			if last >= 0 {
				(*out)[last].next = s.end
			}
			last = at
		}
		return i + 1
	}
	for i < len(doc) && !bytes.ContainsRune([]byte(",]}"), rune(doc[i])) {
		i++
	}
	return i
}

// field changes one field in each kind of way.
func (w *tamperer) field(s spot) {
	d := string(w.doc)
	key, value := d[s.key:s.value], d[s.value:s.end]
	put := func(what string, from, to int, by string) {
		w.refused(what, from, to, []byte(by)...)
		w.anew(what, from, to, by)
	}
	one := func(of ...string) string { return of[w.rnd.IntN(len(of))] }
	others := otherValues(value)
	put("a value changed", s.value, s.end, one(others...))
	put("a value changed", s.value, s.end, one(others...))
	space := one(" ", "\n", "\t", "\r", "\ufeff", "\u00a0")
	at := []int{s.key, s.value, s.end}[w.rnd.IntN(3)]
	put("white space", at, at, space)
	switch {
	case d[s.end] == ',':
		put("removed", s.key, s.end+1, "")
	case d[s.key-1] == ',':
		put("removed", s.key-1, s.end, "")
	default:
		put("removed", s.key, s.end, "")
	}
	put("doubled", s.end, s.end, ","+key+value)
	if value[0] == '"' && len(value) > 2 && value[1] != '\\' && value[1] < 0x80 {
		put("escaped", s.value+1, s.value+2, fmt.Sprintf(`\u%04x`, value[1]))
	}
	if s.next > 0 {
		put("order changed", s.key, s.next, d[s.end+1:s.next]+","+key+value)
	}
	if !s.object {
		return
	}
	name := key[1 : len(key)-2]
	other := one(name+"x", "x"+name, name[:len(name)-1], strings.ToUpper(name), strings.ToUpper(name[:1])+name[1:], "")
	put("renamed", s.key, s.value, `"`+other+`":`)
	put("a twin of another name", s.key, s.key, `"`+other+`":`+value+",")
	put("a twin with another value", s.key, s.key, key+one(others...)+",")
	put("a twin with another value", s.end, s.end, ","+key+one(others...))
}

// otherValues are values of the same and of other types.
func otherValues(value string) []string {
	all := []string{"null", "true", "false", "0", "1", "-1", "1.5", "1e0", `""`, `"x"`, `"v9.9.9"`, "[]", "{}", `["x"]`, `{"x":1}`, "9007199254740993", `"` + value[:min(1, len(value))] + `"`}
	switch value[0] {
	case '"':
		all = append(all, value[:len(value)-1]+`x"`, value[:len(value)-1]+` "`, value[:len(value)-1]+`\u0000"`, `["`+value[1:]+"]")
	case '{', '[':
		all = append(all, "["+value+"]")
	default:
		all = append(all, value+"0", value+".0", "-"+value, `"`+value+`"`)
	}
	return all
}

// anew makes the seal and the hash of a changed file anew, as somebody would who knows how: where that is a plan, it has
// another hash, unless the change said nothing.
func (w *tamperer) anew(what string, from, to int, by string) {
	changed := append(append(bytes.Clone(w.doc[:from]), by...), w.doc[to:]...)
	var p astern.Plan
	if json.Unmarshal(changed, &p) != nil {
		return
	}
	doc, hash, err := planfile.Encode(p)
	if err != nil {
		return
	}
	if hash == w.hash && !bytes.Equal(doc, w.doc) {
		w.t.Errorf("%s at byte %d by %q: another plan with the same hash %s", what, from, by, hash)
	}
	if hash != w.hash {
		w.resealed++
	}
}
