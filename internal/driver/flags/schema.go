package flags

import (
	"bytes"
	"embed"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/astern-dev/astern"
)

// The published JSON Schema of flagd's files, unchanged: github.com/open-feature/flagd-schemas, json 0.2.15, commit
// 741a7f8e7dc309a6e3a9c4259edbe52c89488ea9, Apache-2.0.
//
//go:embed schema/*.json
var schemaFiles embed.FS

const schemaURL = "https://flagd.dev/schema/v0/"

// fileSchema is what the daemon reads: flags as an object or as a list. It is compiled when it is first needed.
var fileSchema = sync.OnceValue(func() *jsonschema.Schema {
	c := jsonschema.NewCompiler()
	for _, name := range []string{"flags.json", "flagd.json", "targeting.json"} {
		text, err := schemaFiles.ReadFile("schema/" + name)
		if err != nil {
			panic(err) // the schema is part of the program
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err == nil {
			err = c.AddResource(schemaURL+name, doc)
		}
		if err != nil {
			panic(err)
		}
	}
	return c.MustCompile(schemaURL + "flagd.json")
})

// validate says what the published schema finds wrong with the document, and what it can't say: a default variant that
// is none of the flag's, a rule that refers to none.
func (d *document) validate() error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.text))
	if err != nil {
		return astern.Errorf(astern.Invalid, "it is no JSON: %w", err)
	}
	var wrong *jsonschema.ValidationError
	if err := fileSchema().Validate(value); errors.As(err, &wrong) {
		return astern.Errorf(astern.Invalid, "%s", meant(wrong))
	} else if err != nil {
		return astern.Errorf(astern.Invalid, "its schema can't be checked: %w", err)
	}
	for _, name := range d.names {
		f := d.flags[name]
		if v := f.member("defaultVariant"); v != nil && v.kind == kindString && f.member("variants").member(v.text) == nil {
			return astern.Errorf(astern.Invalid, "the default variant %q of %s is none of its variants", oneLine(v.text), oneLine(name))
		}
	}
	known := d.root.member("$evaluators")
	for _, r := range d.references(d.root) {
		if known.member(r) == nil {
			return astern.Errorf(astern.Invalid, "a rule refers to %q, which is not among $evaluators", oneLine(r))
		}
	}
	return nil
}

// meant words the cause that most alternatives agree on, the deepest of them: flagd's schema tries each flag as a boolean,
// a text, a number and an object, and what all of them refuse is what is wrong.
func meant(e *jsonschema.ValidationError) string {
	times := map[string]int{}
	best, depth := "", -1
	for left := []*jsonschema.ValidationError{e}; len(left) > 0; {
		next := left[0]
		left = append(left[1:], next.Causes...)
		if len(next.Causes) > 0 {
			continue
		}
		alone := *e
		alone.Causes = []*jsonschema.ValidationError{next}
		text := alone.Error()
		if next == e {
			text = e.Error()
		}
		text = strings.TrimPrefix(text[strings.LastIndex(text, "\n")+1:], "- ")
		times[text]++
		if n := times[text]; best == "" || n > times[best] || n == times[best] && len(next.InstanceLocation) > depth {
			best, depth = text, len(next.InstanceLocation)
		}
	}
	return oneLine(best)
}

// references returns the names that {"$ref": NAME} below a node refers to, each once; none below no node.
func (d *document) references(n *node) []string {
	if n == nil {
		return nil
	}
	var out []string
	for left := []*node{n}; len(left) > 0; {
		next := left[len(left)-1]
		left = append(left[:len(left)-1], next.items...)
		if next.key == "$ref" && next.kind == kindString && !slices.Contains(out, next.text) {
			out = append(out, next.text)
		}
	}
	slices.Sort(out)
	return out
}
