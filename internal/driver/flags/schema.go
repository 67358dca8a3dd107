package flags

import (
	"bytes"
	"embed"
	"errors"
	"slices"
	"strconv"
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

// schemas are what the daemon reads, flags as an object or as a list, and a rule of its own. They are compiled when they are
// first needed.
var schemas = sync.OnceValue(func() (out struct{ file, rule *jsonschema.Schema }) {
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
	out.file, out.rule = c.MustCompile(schemaURL+"flagd.json"), c.MustCompile(schemaURL+"targeting.json")
	return out
})

// Limits of a rule. The schema tries each of its operations in several ways, and each fractional in a fractional in twice
// as many: without a limit a small file could keep a reader busy for ever.
const (
	maxOperations = 500
	maxFractional = 3 // one in the other
)

// validate says what the published schema finds wrong with the document, and what it can't say: a default variant that
// is none of the flag's, a rule that refers to none.
func (d *document) validate() error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(d.text))
	if err != nil {
		return astern.Errorf(astern.Invalid, "it is no JSON: %w", err)
	}
	rules := d.takeRules(value)
	if err := conforms(schemas().file, value, ""); err != nil {
		return err
	}
	for _, r := range rules {
		if operations, fractionals := size(r.node); operations > maxOperations || fractionals > maxFractional {
			return astern.Errorf(astern.Invalid, "%s has more than %d operations, or more than %d fractional in each other", oneLine(r.at), maxOperations, maxFractional)
		}
		if err := conforms(schemas().rule, r.value, r.at); err != nil {
			return err
		}
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

// rule is a targeting or one of $evaluators, with where it stands.
type rule struct {
	at    string
	node  *node
	value any
}

// takeRules takes the rules out of the document's value, to be validated one by one: as a part of it each would be tried
// anew for each type of flag.
func (d *document) takeRules(value any) []rule {
	var out []rule
	top, _ := value.(map[string]any)
	take := func(from any, n *node, key, at string) {
		m, ok := from.(map[string]any)
		if child := n.member(key); ok && child != nil {
			out = append(out, rule{at + "/" + key, child, m[key]})
			delete(m, key)
		}
	}
	flags := d.root.member("flags")
	if flags != nil {
		list, _ := top["flags"].([]any)
		object, _ := top["flags"].(map[string]any)
		for i, n := range flags.items {
			if i < len(list) {
				take(list[i], n, "targeting", "/flags/"+strconv.Itoa(i))
			} else {
				take(object[n.key], n, "targeting", "/flags/"+n.key)
			}
		}
	}
	if all := d.root.member("$evaluators"); all != nil && all.kind == kindObject {
		for _, n := range all.items {
			take(top["$evaluators"], all, n.key, "/$evaluators")
		}
	}
	return out
}

// size counts the operations of a rule, and how many fractionals stand in each other.
func size(n *node) (operations, fractionals int) {
	if n.kind == kindObject {
		operations = 1
	}
	for _, m := range n.items {
		o, f := size(m)
		operations += o
		if m.key == "fractional" {
			f++
		}
		fractionals = max(fractionals, f)
	}
	return operations, fractionals
}

// conforms validates a value that stands at a place of the document.
func conforms(s *jsonschema.Schema, value any, at string) error {
	err := s.Validate(value)
	var wrong *jsonschema.ValidationError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &wrong) && at == "":
		return astern.Errorf(astern.Invalid, "%s", meant(wrong))
	case errors.As(err, &wrong):
		return astern.Errorf(astern.Invalid, "%s: %s", oneLine(at), meant(wrong))
	}
	return astern.Errorf(astern.Invalid, "its schema can't be checked: %w", err)
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
