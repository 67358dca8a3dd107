package config

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/astern-dev/astern"
)

//go:embed astern.schema.json
var schemaJSON []byte

// Schema returns the JSON Schema of astern.yaml, for editors.
func Schema() []byte { return bytes.Clone(schemaJSON) }

// embedded is the compiled schema of this astern.
var embedded = sync.OnceValues(func() (*rules, error) { return compile(schemaJSON) })

// validate reports what the schema demands beyond what has been reported. Which kinds there are is known from the
// drivers, so what the schema says about a component's kind is not listened to.
func (f *file) validate(schema *rules, drivers []astern.Driver) {
	kinds := scope{drivers: drivers}.kinds()
	for _, v := range schema.violations("", f.root) {
		switch v.keyword {
		case "required":
			for _, m := range v.keys {
				if !f.broken(join(v.path, m)) { // what is required of it may have been said already
					f.missing(v.path, m)
				}
			}
		case "additionalProperties":
			for _, k := range v.keys {
				f.unknownKey(join(v.path, k), k, nil)
			}
		case "oneOf":
			if !f.broken(v.path) {
				f.at(v.path, "{} has none of the forms that are allowed here", "")
			}
		case "enum":
			got := ""
			if v.value.kind == text {
				got = v.value.text
			}
			if got == "" || !slices.Contains(kinds, got) || !strings.HasSuffix(v.path, "/kind") {
				f.at(v.path, "{} must be one of "+strings.Join(texts(v.rule.enum), ", "), didYouMean(got, texts(v.rule.enum), ""))
			}
		default:
			f.at(v.path, "{} "+v.demand(), "")
		}
	}
}

func texts(values []any) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprint(v)
	}
	return out
}
