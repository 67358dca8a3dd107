package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/config"
	"github.com/astern-dev/astern/internal/config/schemagen"
)

// The committed schema is that of the types, apart from the kinds: those come from the drivers, and the test that
// knows all drivers compares the whole file.
func TestSchemaIsCurrent(t *testing.T) {
	fresh, err := schemagen.GenerateSchema(nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(withoutKinds(t, fresh), withoutKinds(t, config.Schema())); diff != "" {
		t.Errorf("astern.schema.json is not that of the types (-want +got); "+
			"go test ./internal/app -run TestSchemaFile -update writes it:\n%s", diff)
	}
}

func withoutKinds(t *testing.T, b []byte) map[string]any {
	t.Helper()
	var s map[string]any
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	defs := s["$defs"].(map[string]any)
	for name := range defs {
		if strings.Contains(name, ".") {
			delete(defs, name)
		}
	}
	component := defs["Component"].(map[string]any)
	delete(component, "allOf")
	delete(component["properties"].(map[string]any)["kind"].(map[string]any), "enum")
	return s
}

func TestSchemaIsDeterministic(t *testing.T) {
	first := testSchema(t)
	for range 5 {
		if !bytes.Equal(first, testSchema(t)) {
			t.Fatal("two runs differ")
		}
	}
}

// Each struct that is decoded has a definition with the same keys, the same required ones, and no others.
func TestSchemaHasTheFields(t *testing.T) {
	var schema struct {
		definition
		Defs map[string]definition `json:"$defs"`
	}
	if err := json.Unmarshal(testSchema(t), &schema); err != nil {
		t.Fatal(err)
	}
	seen := 0
	var walk func(prefix string, typ reflect.Type)
	walk = func(prefix string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(prefix, typ.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		def, ok := schema.Defs[prefix+typ.Name()]
		if typ == reflect.TypeFor[config.Document]() {
			def, ok = schema.definition, true
		}
		if !ok {
			return // read from text, or a header's value: the mutations below compare those
		}
		seen++
		known, required := config.Fields(config.FieldsOf(typ))
		got := make([]string, 0, len(def.Properties))
		for k := range def.Properties {
			got = append(got, k)
		}
		slices.Sort(known)
		slices.Sort(got)
		slices.Sort(required)
		slices.Sort(def.Required)
		if !slices.Equal(known, got) || !slices.Equal(required, def.Required) || string(def.Additional) != "false" {
			t.Errorf("%v: the decoder knows %v and requires %v; the schema knows %v, requires %v, allows others: %s",
				typ, known, required, got, def.Required, def.Additional)
		}
		for i := range typ.NumField() {
			walk(prefix, typ.Field(i).Type)
		}
	}
	walk("", reflect.TypeFor[config.Document]())
	walk("test.service.", reflect.TypeFor[testSettings]())
	if seen < 15 {
		t.Errorf("only %d types were compared", seen)
	}
}

type definition struct {
	Properties map[string]json.RawMessage `json:"properties"`
	Required   []string                   `json:"required"`
	Additional json.RawMessage            `json:"additionalProperties"`
}

// What the decoder refuses for an unknown key, a missing key or a wrong type, the schema refuses at the same place, and
// the reverse: any place of a complete valid document is changed in any of these ways.
func TestSchemaAndDecoderAgree(t *testing.T) {
	stages := config.Stages(testSchema(t))
	system, err := config.Judge(testSchema(t))("valid.yaml", example(t), "/", testDrivers())
	if err != nil {
		t.Fatal(err, system)
	}
	decoder, schema := stages(example(t), testDrivers())
	if len(decoder)+len(schema) > 0 {
		t.Fatal("the example is not valid", decoder, schema)
	}
	original := toJSON(t)
	rapid.Check(t, func(t *rapid.T) {
		var doc any
		if err := json.Unmarshal(original, &doc); err != nil {
			t.Fatal(err)
		}
		change := mutate(t, &doc)
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		decoder, schema := stages(b, testDrivers())
		if structural(decoder) != structural(schema) {
			t.Fatalf("%s\ndecoder: %v\nschema: %v", change, decoder, schema)
		}
	})
}

// structural reports whether any problem is one that both stages must see: an unknown key, a missing key, a wrong type.
func structural(list []config.Problem) bool {
	return slices.ContainsFunc(list, func(p config.Problem) bool {
		return strings.Contains(p.What, "unknown key") || strings.Contains(p.What, "missing key") ||
			strings.Contains(p.What, ", but is") || strings.HasSuffix(p.What, " is empty") ||
			strings.Contains(p.What, "none of the forms") && mayBeSecret(p.Path) ||
			strings.Contains(p.What, "is not the name of an environment variable")
	})
}

// mayBeSecret reports whether a value is plain or a reference to a secret: there the decoder sees the form, too.
func mayBeSecret(path string) bool {
	return strings.Contains(path, "/headers/") || strings.Contains(path, "/command/env/") || strings.HasSuffix(path, "/webhook/url")
}

// toJSON returns the example as JSON, which is YAML, too.
func toJSON(t *testing.T) []byte {
	t.Helper()
	b, err := config.PlainJSON(example(t))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// slot is one place of a document, and what can be done to it.
type slot struct {
	path string
	set  func(any)
	drop func()
	now  any
}

// slotsOf returns all places of the document.
func slotsOf(doc *any) []slot {
	var slots []slot
	var walk func(path string, v any, set func(any), drop func())
	walk = func(path string, v any, set func(any), drop func()) {
		slots = append(slots, slot{path, set, drop, v})
		switch v := v.(type) {
		case map[string]any:
			for _, k := range slices.Sorted(maps.Keys(v)) {
				walk(path+"/"+k, v[k], func(n any) { v[k] = n }, func() { delete(v, k) })
			}
		case []any:
			for i := range v {
				walk(fmt.Sprintf("%s/%d", path, i), v[i], func(n any) { v[i] = n }, func() {})
			}
		}
	}
	walk("", *doc, func(n any) { *doc = n }, func() {})
	return slots
}

// otherValues are what is put into a place.
func otherValues() []any {
	return []any{nil, "", "x", 0, 1, -1, 1.5, 1.0, 1e20, true, []any{}, []any{1}, []any{"x"}, map[string]any{},
		map[string]any{"x": 1}, map[string]any{"env": "X"}, map[string]any{"env": 1}}
}

// change changes the slot in one of so many ways and says how, "" when that way is none of this slot's.
func (s slot) change(how int) string {
	m, isMap := s.now.(map[string]any)
	switch {
	case how == 0:
		s.drop()
		return "without " + s.path
	case how == 1 && isMap:
		m["unknwon"] = "x"
		return "with an unknown key in " + s.path
	case how == 1:
		return ""
	}
	n := otherValues()[how-2]
	s.set(n)
	return fmt.Sprintf("with %T %v at %s", n, n, s.path)
}

// mutate changes one place of the document and says how.
func mutate(t *rapid.T, doc *any) string {
	slots := slotsOf(doc)
	s := slots[rapid.IntRange(0, len(slots)-1).Draw(t, "slot")]
	return s.change(rapid.IntRange(0, len(otherValues())+1).Draw(t, "how"))
}

func FuzzParse(f *testing.F) {
	f.Add(example(f))
	f.Add([]byte("version: 1\nsystem: a\nenvironments: {p: {components: {a: {kind: test.bare, depends_on: [a, b]}}}}\n"))
	f.Add([]byte("a: &x [*x]\n"))
	f.Add([]byte("\xff\xfea"))
	f.Add([]byte(bomb()))
	f.Add([]byte("a: {b: [c, \"d\n"))
	f.Add([]byte("? [1]\n: 0777\n<<: {a: 1_0}\n!!foo b: .inf\n"))
	judge := config.Judge(testSchema(f))
	f.Fuzz(func(t *testing.T, src []byte) {
		system, err := judge("astern.yaml", src, "/", testDrivers())
		if err == nil {
			if len(system.Environments) == 0 || system.Name == "" {
				t.Error("an empty system was accepted")
			}
			return
		}
		list, ok := err.(*config.Errors)
		if !ok || len(list.Problems) == 0 || astern.CodeOf(err) != astern.Invalid {
			t.Fatalf("got %T %v", err, err)
		}
		lines := len(src) + 1 // a lone carriage return ends a line, too
		for _, p := range list.Problems {
			if p.Line < 0 || p.Line > lines || p.What == "" || strings.ContainsAny(p.Snippet, "\n\x1b\x00") {
				t.Errorf("a broken problem: %#v", p)
			}
		}
	})
}
