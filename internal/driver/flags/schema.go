package flags

import (
	"maps"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
)

// validate says what the published schema finds wrong with the document, and what it can't say: a default variant that
// is none of the flag's, a rule that refers to none.
func (d *document) validate() error {
	if r := conforms(d.root); r != nil {
		return r.err()
	}
	for _, name := range d.names {
		f := d.flags[name]
		if v := f.member("defaultVariant"); v != nil && v.kind == kindString && f.member("variants").member(v.text) == nil {
			return astern.Errorf(astern.Invalid, "the default variant %q of %s is none of its variants", oneLine(v.text), oneLine(name))
		}
	}
	known := map[string]bool{}
	if all := d.root.member("$evaluators"); all != nil {
		for _, m := range all.items {
			known[m.key] = true
		}
	}
	for _, r := range d.references(d.root) {
		if !known[r] {
			return astern.Errorf(astern.Invalid, "a rule refers to %q, which is not among $evaluators", oneLine(r))
		}
	}
	return nil
}

// references returns the names that {"$ref": NAME} below a node refers to, each once; none below no node.
func (d *document) references(n *node) []string {
	if n == nil {
		return nil
	}
	found := map[string]bool{}
	for left := []*node{n}; len(left) > 0; {
		next := left[len(left)-1]
		left = append(left[:len(left)-1], next.items...)
		if next.key == "$ref" && next.kind == kindString {
			found[next.text] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// conforms returns what the published JSON Schema of flagd's files refuses in a document: github.com/open-feature/flagd-schemas,
// json 0.2.15. It is checked by hand, here and in rules.go, in one pass: a library for JSON Schema costs each start of
// astern milliseconds, and takes exponential time on this schema, which tries each operation in several ways. The tests
// hold it against the schema itself, and what is let through is the same.
func conforms(root *node) *refusal {
	switch {
	case root.kind != kindObject:
		return refuse("the file must be an object")
	case root.member("flags") == nil:
		return refuse(`"flags" is missing`)
	}
	return members(root, func(m *node) *refusal {
		switch m.key {
		case "flags":
			if m.kind == kindList {
				return elements(m, listedFlag)
			}
			return named(m, flag)
		case "$evaluators":
			return named(m, rule)
		case "metadata":
			return metadata(m)
		}
		return nil
	})
}

// flag judges one flag.
func flag(n *node) *refusal {
	if n.kind != kindObject {
		return refuse("must be an object")
	}
	for _, key := range []string{"state", "variants"} {
		if n.member(key) == nil {
			return refuse(`"` + key + `" is missing`)
		}
	}
	return members(n, func(m *node) *refusal {
		switch m.key {
		case "state":
			if m.kind != kindString || m.text != "ENABLED" && m.text != "DISABLED" {
				return refuse("must be ENABLED or DISABLED")
			}
		case "defaultVariant":
			if m.kind != kindString && m.typeName() != "null" {
				return refuse("must be the name of a variant, or null")
			}
		case "targeting":
			return rule(m)
		case "metadata":
			return metadata(m)
		case "variants":
			return variants(m)
		}
		return nil
	})
}

// listedFlag judges a flag that stands in a list, and so has its name inside.
func listedFlag(n *node) *refusal {
	if r := flag(n); r != nil {
		return r
	}
	if key := n.member("key"); key == nil || key.kind != kindString || key.text == "" {
		return refuse(`"key" is missing, or no text`)
	}
	return nil
}

// variants judges what a flag can be: at least one, all of one type.
func variants(n *node) *refusal {
	if n.kind == kindObject && len(n.items) == 0 {
		return refuse("there are none")
	}
	return named(n, func(m *node) *refusal {
		first := n.items[0].typeName()
		switch t := m.typeName(); {
		case t == "null" || t == "list":
			return refuse("must be true or false, a text, a number or an object")
		case t != first:
			return refuse("is a " + t + ", but the first variant is a " + first)
		}
		return nil
	})
}

func metadata(n *node) *refusal {
	if n.kind != kindObject {
		return refuse("must be an object")
	}
	return members(n, func(m *node) *refusal {
		if t := m.typeName(); t == "null" || t == "list" || t == "object" {
			return refuse("must be a text, a number, true or false")
		}
		return nil
	})
}

// refusal is what is wrong with a node.
type refusal struct {
	says string
	at   []string // where it stands, from the inside out
}

func refuse(says string) *refusal { return &refusal{says: says} }

func (r *refusal) err() error {
	if len(r.at) == 0 {
		return astern.Errorf(astern.Invalid, "%s", oneLine(r.says))
	}
	slices.Reverse(r.at)
	return astern.Errorf(astern.Invalid, "/%s: %s", oneLine(strings.Join(r.at, "/")), oneLine(r.says))
}

// members judges each member of an object, and says where the first that is refused stands.
func members(n *node, judge func(*node) *refusal) *refusal {
	for _, m := range n.items {
		if r := judge(m); r != nil {
			r.at = append(r.at, m.key)
			return r
		}
	}
	return nil
}

// named judges an object whose members are named by people. The schema wants names of one line (its pattern "^.{1,}$").
func named(n *node, judge func(*node) *refusal) *refusal {
	if n.kind != kindObject {
		return refuse("must be an object")
	}
	return members(n, func(m *node) *refusal {
		if m.key == "" || strings.Contains(m.key, "\n") {
			return refuse("its name is empty, or more than one line")
		}
		return judge(m)
	})
}

// typeName is what a person calls the type of a value.
func (n *node) typeName() string {
	switch {
	case n.kind == kindObject:
		return "object"
	case n.kind == kindList:
		return "list"
	case n.kind == kindString:
		return "text"
	case n.kind == kindNumber:
		return "number"
	case n.text == "null":
		return "null"
	}
	return "boolean"
}
