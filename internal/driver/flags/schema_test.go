package flags

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/astern-dev/astern/internal/proof"
)

// published compiles the JSON Schema of flagd's files, unchanged: github.com/open-feature/flagd-schemas, json 0.2.15,
// commit 741a7f8e7dc309a6e3a9c4259edbe52c89488ea9, Apache-2.0.
func published(t *testing.T) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	const url = "https://flagd.dev/schema/v0/"
	for _, name := range []string{"flags.json", "flagd.json", "targeting.json"} {
		text, err := os.ReadFile("testdata/schema/" + name)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource(url+name, doc); err != nil {
			t.Fatal(err)
		}
	}
	s, err := c.Compile(url + "flagd.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// compare lets both judge a document, fails where they differ, and returns what they say.
func compare(t *testing.T, schema *jsonschema.Schema, text string) bool {
	t.Helper()
	root, err := parse([]byte(text))
	if err != nil {
		t.Fatalf("the test is wrong: %v\n%s", err, text)
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := conforms(root), schema.Validate(value)
	if (ours == nil) != (theirs == nil) {
		said := "it conforms"
		if ours != nil {
			said = ours.err().Error()
		}
		t.Fatalf("ours: %s\nthe published schema: %v\n%s", said, theirs, text)
	}
	return ours == nil
}

var operators = strings.Fields(`var missing missing_some == === != !== > >= % / map filter all none some in if substr < <= reduce * ! !! or and + - max min
	merge cat starts_with ends_with sem_ver fractional $ref targeting state log`)

// operands are values that some operator takes, or only just does not.
var operands = []string{`null`, `true`, `0`, `-0`, `-0.0e5`, `1.0`, `10e-1`, `1e-1`, `1.5`, `150e-2`, `100E+2`, `0.05e2`, `-1`, `1e999999`, `1e9999999999`, `0e9999999999`, `-1e999999`,
	`""`, `"on"`, `"$flagd."`, `"$flagd.flagKey"`, `"$flagd.timestamp"`, `"$flagd.flagKeys"`, `"$flagd.x\ny"`, `" $flagd.x"`, `"$flagd"`,
	`"="`, `"^"`, `"= !="`, `"=="`, `"1.2.3"`, `"1.2.03"`, `"v1.2.3"`, `"1.2.3-rc.1+b"`, `"1.2.3\n"`,
	`[]`, `["a"]`, `["a",1]`, `[1,["a"]]`, `[1,[2]]`, `["a",{}]`, `["a",{"x":1}]`, `[{"x":1}]`, `["a",1,2]`, `[null]`,
	`{}`, `{"x":1}`, `{"$ref":"r"}`, `{"$ref":1}`, `{"$ref":"r","var":"a"}`, `{"$ref":"r","x":"a"}`, `{"var":"a"}`, `{"var":{}}`, `{"var":"$flagd.x"}`, `{"var":"a","missing":[]}`,
	`{"==":[1,2],"in":[1,2]}`, `{"==":[1,2],"<":[1,2]}`, `{"!":1}`, `{"!":[{"x":1}]}`, `{"fractional":[["on"]]}`, `{"fractional":[{},["on",{}]]}`}

// pieces are values that the file, a flag or its variants take, or only just do not.
var pieces = []string{`"ENABLED"`, `"DISABLED"`, `"enabled"`, `{"a":1,"b":"c"}`, `{"a":true}`, `{"":true}`, `{"a\n":1}`, `{"a":null}`, `{"a":[]}`, `[[]]`, `{"a":{},"b":[]}`,
	`{"state":"ENABLED","variants":{"a":1}}`, `{"key":"x","state":"ENABLED","variants":{"a":1}}`, `[{"key":"","state":"ENABLED","variants":{"a":1}}]`, `[{"key":"\n","state":"ENABLED","variants":{"a":1}}]`}

// TestRulesAreThePublishedOnes: every operator with every single operand, and with lists of none to four of them, at the
// top and some inside of a flag's rule: what the published schema refuses is refused, and nothing else.
func TestRulesAreThePublishedOnes(t *testing.T) {
	schema := published(t)
	accepted, refused := map[string]int{}, map[string]int{}
	var whole []string // an accepted use of each operator
	judge := func(op, operand string) {
		use := fmt.Sprintf("%q: %s", op, operand)
		rule := "{" + use + "}"
		into := refused
		if compare(t, schema, `{"flags":{},"$evaluators":{"r":`+rule+`}}`) {
			if into = accepted; into[op] == 0 {
				whole = append(whole, use)
			}
		}
		into[op]++
		if (accepted[op]+refused[op])%8 == 0 {
			compare(t, schema, `{"flags":{"f":{"state":"ENABLED","variants":{"on":1},"targeting":{"if":[1,`+rule+`]}}}}`)
		}
	}
	for i, op := range operators {
		family, _ := operator(op)
		for j, a := range operands {
			b := operands[(7*j+i)%len(operands)]
			judge(op, a)
			judge(op, "["+a+"]")
			if family != op && (i+j)%4 != 0 { // the others of its family get the rest
				continue
			}
			judge(op, "["+a+","+b+"]")
			judge(op, `["on",`+a+`]`)
			judge(op, `[["on",`+a+`],["off",2]]`)
			judge(op, `[{"var":"a"},["on"],["off",`+a+`]]`)
			judge(op, `[["on"],`+a+`]`)
			judge(op, `["1.0.0",">",`+a+`]`)
			judge(op, `["1.0.0",`+a+`,{"var":"v"}]`)
			judge(op, `[`+a+`,`+b+`,"x"]`)
			judge(op, `[1,2,`+a+`,`+b+`]`)
		}
	}
	for _, op := range operators {
		unknown := slices.Contains([]string{"$ref", "targeting", "state", "log"}, op)
		if (accepted[op] == 0) != unknown || refused[op] == 0 {
			t.Errorf("%s: %d accepted, %d refused", op, accepted[op], refused[op])
		}
	}
	for i, a := range whole { // which may stand together
		for _, b := range whole[i+1:] {
			compare(t, schema, `{"flags":{},"$evaluators":{"r":{`+a+`,`+b+`}}}`)
		}
	}
}

// wide uses what shop.json leaves out.
const wide = `{"$schema":"s","metadata":{"version":"1","n":1,"b":true},"$evaluators":{"r":{"<":[1,{"var":"age"},3]},"none":{}},"flags":[
	{"key":"a","state":"DISABLED","defaultVariant":null,"variants":{"x":{"y":[1]},"z":{}},"metadata":{"team":"t"},"targeting":{}},
	{"key":"b","state":"ENABLED","defaultVariant":"one","variants":{"one":1,"two":2.5},"targeting":{"if":[{"sem_ver":[{"var":"v"},"^","1.0.0"]},"one",
		{"starts_with":[{"var":"mail"},"a"]},{"reduce":[[1],{"+":[1,{"var":"a"}]},0]},{"!":[{"$ref":"r"}]},{"fractional":[{"cat":["a",{"var":"k"}]},["one",{"*":[2,2]}],["two",3]]},
		{"missing_some":[1,["a"]]},{"missing":["a"]},null]}},
	{"key":"c","state":"ENABLED","variants":{"s":"a","t":"b"}}]}`

// TestPlacesAreThePublishedOnes: every key of a flag file, of a flag and of a flag in a list with every value that is told
// apart somewhere, and without the key.
func TestPlacesAreThePublishedOnes(t *testing.T) {
	schema := published(t)
	flag := `"state":"ENABLED","variants":{"a":1}`
	values := append(slices.Clone(pieces), operands...)
	accepted, count := 0, 0
	for _, place := range []string{`%s`, `{"flags":%s}`, `{"flags":{"f":%s}}`, `{"flags":[%s]}`, `{"flags":{},"metadata":%s}`, `{"flags":{},"metadata":{"":%s}}`, `{"flags":{},"metadata":{"flagSetId":%s}}`,
		`{"flags":{},"$evaluators":%s}`, `{"flags":{},"$evaluators":{"a":%s}}`, `{"flags":{},"$evaluators":{"":%s}}`, `{"flags":{},"$evaluators":{"a\nb":%s}}`, `{"flags":{},"other":%s}`,
		`{"flags":[{` + flag + `,"key":%s}]}`, `{"flags":{"f":{` + flag + `,"key":%s}}}`, `{"flags":{"":{` + flag + `,"key":%s}}}`, `{"flags":{"a\r":{` + flag + `,"key":%s}}}`, `{"flags":{"a\n":{` + flag + `,"key":%s}}}`,
		`{"flags":{"f":{"state":%s,"variants":{"a":1}}}}`, `{"flags":{"f":{"state":"ENABLED","variants":%s}}}`, `{"flags":{"f":{` + flag + `,"defaultVariant":%s}}}`,
		`{"flags":{"f":{` + flag + `,"metadata":%s}}}`, `{"flags":{"f":{` + flag + `,"targeting":%s}}}`, `{"flags":{"f":{"state":"ENABLED","variants":{"a":%s}}}}`,
		`{"flags":{"f":{"state":"ENABLED","variants":{"a":%s,"b":true}}}}`, `{"flags":{"f":{"state":"ENABLED","variants":{"a":%s,"":1}}}}`, `{"flags":{"f":{"variants":%s}}}`, `{"flags":{"f":{"state":%s}}}`} {
		for _, v := range values {
			count++
			if compare(t, schema, strings.Replace(place, "%s", v, 1)) {
				accepted++
			}
		}
	}
	if accepted < count/10 || accepted > count*9/10 {
		t.Errorf("%d of %d files are accepted: the comparison says little", accepted, count)
	}
}

// TestConformsAsPublished changes whole files at random places: both refuse the same ones.
func TestConformsAsPublished(t *testing.T) {
	schema := published(t)
	keys := append(slices.Clone(operators), "flags", "$evaluators", "metadata", "variants", "defaultVariant", "key", "", "a\nb", "other")
	values := append(slices.Clone(operands), pieces...)
	first, count := proof.Seeds(t, 300)
	accepted := 0
	for seed := first; seed < first+count; seed++ {
		random := rand.New(rand.NewPCG(uint64(seed), 1))
		text := []string{shop(t), wide}[random.IntN(2)]
		for range random.IntN(3) {
			text = changed(t, random, text, keys, values)
		}
		if compare(t, schema, text) {
			accepted++
		}
	}
	if n := int(count); n >= 100 && (accepted < n/10 || accepted > n*9/10) { // fewer are somebody repeating one
		t.Errorf("%d of %d files are accepted: the comparison says little", accepted, n)
	}
	proof.Figures(t, map[string]float64{"files": float64(count), "accepted": float64(accepted)})
}

// changed replaces, renames, removes or repeats a value of the document.
func changed(t *testing.T, random *rand.Rand, text string, keys, values []string) string {
	t.Helper()
	for {
		root, err := parse([]byte(text))
		if err != nil {
			t.Fatalf("the test is wrong: %v\n%s", err, text)
		}
		all := []*node{root}
		for i := 0; i < len(all); i++ {
			all = append(all, all[i].items...)
		}
		n := all[random.IntN(len(all))]
		value := text[n.start:n.end]
		switch random.IntN(5) {
		case 0:
			value = values[random.IntN(len(values))]
		case 1: // a value from elsewhere
			other := all[random.IntN(len(all))]
			if other.end-other.start > 200 { // large ones take the schema long
				continue
			}
			value = text[other.start:other.end]
		case 2: // an element or member more
			if n.kind != kindObject && n.kind != kindList {
				continue
			}
			value = strconv.Quote(keys[random.IntN(len(keys))]) + ":" + values[random.IntN(len(values))]
			if n.kind == kindList {
				value = values[random.IntN(len(values))]
			}
			if len(n.items) > 0 {
				value = "," + value
			}
			value = text[n.start:n.end-1] + value + text[n.end-1:n.end]
		case 3: // the last element or member less
			if len(n.items) == 0 {
				continue
			}
			last, end := n.items[len(n.items)-1], n.start+1
			if len(n.items) > 1 {
				end = n.items[len(n.items)-2].end
			}
			value = text[n.start:end] + text[last.end:n.end]
		case 4: // another name
			if n.keyStart == 0 {
				continue
			}
			name := strconv.Quote(keys[random.IntN(len(keys))])
			if out := text[:n.keyStart] + name + ":" + text[n.start:]; valid(out) {
				return out
			}
			continue
		}
		if out := text[:n.start] + value + text[n.end:]; valid(out) {
			return out
		}
	}
}

// valid reports whether our reader takes the text: it refuses keys that stand twice.
func valid(text string) bool {
	_, err := parse([]byte(text))
	return err == nil
}
