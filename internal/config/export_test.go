package config

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/astern-dev/astern"
)

// Judge is Parse with a schema of the test's own; it compiles the schema once.
func Judge(schema []byte) func(name string, src []byte, folder string, drivers []astern.Driver) (astern.System, error) {
	s, err := compile(schema)
	if err != nil {
		panic(err)
	}
	return func(name string, src []byte, folder string, drivers []astern.Driver) (astern.System, error) {
		return parse(name, src, folder, drivers, func() (*rules, error) { return s, nil })
	}
}

// Stages returns what the decoder alone, with the drivers' settings, and the schema alone report about a text.
func Stages(schema []byte) func(src []byte, drivers []astern.Driver) (decoder, schema []Problem) {
	s, err := compile(schema)
	if err != nil {
		panic(err)
	}
	return func(src []byte, drivers []astern.Driver) (decoder, schema []Problem) {
		d, v := read("x", src), read("x", src)
		if d.root == nil || len(d.problems) > 0 {
			return d.problems, v.problems
		}
		var doc Document
		d.decodeDocument(&doc)
		for en, env := range doc.Environments {
			for cn, c := range env.Components {
				if _, ok := (scope{drivers: drivers}).driver(c.Kind); ok {
					d.judgeKind(join("environments", en, "components", cn), c, scope{drivers: drivers})
				}
			}
		}
		v.validate(s, drivers)
		return d.problems, v.problems
	}
}

// Fields returns the keys that the decoder knows and those that it requires.
var Fields = func(f []structField) (known, required []string) {
	for _, x := range f {
		known = append(known, x.name)
		if x.required {
			required = append(required, x.name)
		}
	}
	return known, required
}

// FieldsOf is the decoder's view of a struct type.
var FieldsOf = fieldsOf

// PlainJSON returns a YAML text as JSON.
func PlainJSON(src []byte) ([]byte, error) { return json.Marshal(read("x", src).root.plain()) }

// Refused returns what our own reading of a schema refuses in a text, as lines of path and keyword, and the text's
// values as JSON has them.
func Refused(schema []byte) func(src []byte) (refused []string, plain any) {
	r, err := compile(schema)
	if err != nil {
		panic(err)
	}
	return func(src []byte) (refused []string, plain any) {
		f := read("x", src)
		for _, v := range r.violations("", f.root) {
			slices.Sort(v.keys)
			refused = append(refused, fmt.Sprintln(v.path, v.keyword, v.keys))
		}
		return refused, f.root.plain()
	}
}

// Compile reports why a schema is not understood.
func Compile(schema []byte) error {
	_, err := compile(schema)
	return err
}
