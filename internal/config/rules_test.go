package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	keyword "github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/astern-dev/astern/internal/config"
)

// Our own reading of the schema refuses what a library for all of JSON Schema refuses, at the same places: in the
// complete example with any place changed in each way, by the schema of the tests' kinds and by the committed one.
func TestRulesAgreeWithALibrary(t *testing.T) {
	command, err := os.ReadFile("../../examples/jsonexec/astern.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]struct{ schema, document []byte }{
		"kinds of the tests": {testSchema(t), example(t)},
		"committed":          {config.Schema(), command},
		"host.service":       {config.Schema(), []byte(hostService)},
	} {
		t.Run(name, func(t *testing.T) {
			refused, library := config.Refused(m.schema), libraryOf(t, m.schema)
			original, err := config.PlainJSON(m.document)
			if err != nil {
				t.Fatal(err)
			}
			var doc any
			if err := json.Unmarshal(original, &doc); err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			slots := len(slotsOf(&doc))
			for n := range slots {
				for how := range len(otherValues()) + 2 {
					if slots > 100 && (n+how)%7 != 0 { // the others are small, and go through every change
						continue
					}
					if err := json.Unmarshal(original, &doc); err != nil {
						t.Fatal(err)
					}
					change := slotsOf(&doc)[n].change(how)
					b, err := json.Marshal(doc)
					if err != nil {
						t.Fatal(err)
					}
					ours, plain := refused(b)
					theirs := library(plain)
					slices.Sort(ours)
					slices.Sort(theirs)
					ours, theirs = slices.Compact(ours), slices.Compact(theirs)
					if diff := cmp.Diff(theirs, ours); diff != "" {
						t.Fatalf("%s\n(-library +ours)\n%s", change, diff)
					}
					for _, line := range theirs {
						seen[strings.Fields(line)[1]] = true
					}
				}
			}
			if len(seen) < 8 {
				t.Errorf("only %v were ever refused", seen)
			}
		})
	}
}

const hostService = `
version: 1
system: shop
environments:
  production:
    hosts: {a: {ssh: {address: "10.0.0.1:22", user: deploy, key_file: key}}}
    components:
      shop:
        kind: host.service
        checks: {up: {http: {url: "http://{address}/", headers: {A: b, C: {env: D}}}, timeout: 2s, attempts: 2}}
        with:
          root: root
          instances: [{name: one, host: a}]
          retention: {keep: 3}
          commands: {start: ["true"], stop: ["true"], status: [sh, -c, "exit 3"]}
`

// libraryOf returns what the library refuses, as lines of path and keyword.
func libraryOf(t *testing.T, schema []byte) func(plain any) []string {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("s.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("s.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(plain any) []string {
		var ve *jsonschema.ValidationError
		if err := s.Validate(plain); !errors.As(err, &ve) {
			return nil
		}
		return innermost(ve)
	}
}

func innermost(e *jsonschema.ValidationError) []string {
	_, oneOf := e.ErrorKind.(*keyword.OneOf)
	if len(e.Causes) > 0 && !oneOf {
		var out []string
		for _, c := range e.Causes {
			out = append(out, innermost(c)...)
		}
		return out
	}
	var keys []string
	switch k := e.ErrorKind.(type) {
	case *keyword.Required:
		keys = slices.Sorted(slices.Values(k.Missing))
	case *keyword.AdditionalProperties:
		keys = slices.Sorted(slices.Values(k.Properties))
	}
	path := e.ErrorKind.KeywordPath()
	return []string{fmt.Sprintln(strings.Join(e.InstanceLocation, "/"), path[len(path)-1], keys)}
}

// A keyword that is not understood is refused, and never passed over: what it demands would silently not hold.
func TestRulesRefuseWhatTheyDoNotKnow(t *testing.T) {
	for _, schema := range []string{`{"format": "uri"}`, `{"properties": {"a": {"maximum": 3}}}`, `{"$ref": "#/$defs/none"}`,
		`{"$defs": {"a": {"anyOf": []}}}`, `{"type": ["string", "null"]}`, `{"minItems": "2"}`, `{"minItems": 1.5}`, `{"items": 3}`, `[]`, `{`} {
		if config.Compile([]byte(schema)) == nil {
			t.Errorf("%s is understood", schema)
		}
	}
}

// Patterns are compiled when they are first needed, so that a bad one would show only then.
func TestSchemaPatternsCompile(t *testing.T) {
	found := regexp.MustCompile(`"pattern": ("(?:[^"\\]|\\.)*")`).FindAllSubmatch(config.Schema(), -1)
	for _, m := range found {
		var p string
		if err := json.Unmarshal(m[1], &p); err != nil {
			t.Fatal(err)
		}
		if _, err := regexp.Compile(p); err != nil {
			t.Error(err)
		}
	}
	if len(found) < 5 {
		t.Errorf("%d patterns were found", len(found))
	}
}
