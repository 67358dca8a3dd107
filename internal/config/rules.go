package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/astern-dev/astern"
)

// rules is what a schema demands of a value: the keywords of JSON Schema (draft 2020-12) that our generator writes.
// compile refuses all others, so that none is ever passed over in silence. A library for all of JSON Schema would cost
// each start of astern more than everything else together; the tests compare the two.
type rules struct {
	never bool // the schema false, which nothing fits

	ref                      *rules
	kind                     string // a type of JSON, "" for any
	constant                 []any  // the one value that is allowed
	enum                     []any
	minimum                  *big.Rat
	minLength                int
	pattern                  string
	matches                  func() *regexp.Regexp
	minItems                 int
	items                    *rules
	maxProperties            int // -1 for any number
	required                 []string
	properties               map[string]*rules
	additional               *rules
	allOf, oneOf             []*rules
	condition, then, without *rules
}

// violation is one thing that a value does not fulfil.
type violation struct {
	path    string
	keyword string
	rule    *rules
	value   *value
	keys    []string // those missing or unknown
}

// compiler turns the text of a schema into rules.
type compiler struct {
	defs     map[string]*rules
	patterns map[string]func() *regexp.Regexp
	wrong    error
}

func compile(b []byte) (*rules, error) {
	var doc any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&doc); err != nil {
		return nil, &astern.Error{Code: astern.Internal, Doing: "reading the schema of astern.yaml", Cause: err}
	}
	c := &compiler{defs: map[string]*rules{}, patterns: map[string]func() *regexp.Regexp{}}
	top, _ := doc.(map[string]any)
	defs, _ := top["$defs"].(map[string]any)
	for name := range defs {
		c.defs["#/$defs/"+name] = &rules{}
	}
	for name, def := range defs {
		*c.defs["#/$defs/"+name] = *c.rules(def)
	}
	r := c.rules(doc)
	return r, c.wrong
}

// refuse notes the first thing in a schema that is not understood.
func (c *compiler) refuse(what string) {
	if c.wrong == nil {
		c.wrong = astern.Errorf(astern.Internal, "compiling the schema of astern.yaml: %s is not understood", what)
	}
}

// as returns v as a T.
func as[T any](c *compiler, keyword string, v any) T {
	t, ok := v.(T)
	if !ok {
		c.refuse("the value of " + keyword)
	}
	return t
}

func (c *compiler) rules(doc any) *rules {
	r := &rules{maxProperties: -1}
	if any, ok := doc.(bool); ok {
		r.never = !any
		return r
	}
	for keyword, v := range as[map[string]any](c, "a schema", doc) {
		switch keyword {
		case "$schema", "$defs", "title", "description":
		case "$ref":
			if r.ref = c.defs[as[string](c, keyword, v)]; r.ref == nil {
				c.refuse("the reference " + as[string](c, keyword, v))
			}
		case "type":
			r.kind = as[string](c, keyword, v)
		case "const":
			r.constant = []any{v}
		case "enum":
			r.enum = as[[]any](c, keyword, v)
		case "minimum":
			r.minimum, _ = new(big.Rat).SetString(as[json.Number](c, keyword, v).String())
		case "minLength":
			r.minLength = c.count(keyword, v)
		case "minItems":
			r.minItems = c.count(keyword, v)
		case "maxProperties":
			r.maxProperties = c.count(keyword, v)
		case "pattern":
			r.pattern = as[string](c, keyword, v)
			r.matches = c.compiled(r.pattern)
		case "required":
			for _, name := range as[[]any](c, keyword, v) {
				r.required = append(r.required, as[string](c, keyword, name))
			}
		case "properties":
			r.properties = map[string]*rules{}
			for name, p := range as[map[string]any](c, keyword, v) {
				r.properties[name] = c.rules(p)
			}
		default:
			c.nested(r, keyword, v)
		}
	}
	return r
}

// nested takes the keywords that hold one schema or several.
func (c *compiler) nested(r *rules, keyword string, v any) {
	switch keyword {
	case "additionalProperties":
		r.additional = c.rules(v)
	case "items":
		r.items = c.rules(v)
	case "if":
		r.condition = c.rules(v)
	case "then":
		r.then = c.rules(v)
	case "else":
		r.without = c.rules(v)
	case "allOf", "oneOf":
		var all []*rules
		for _, s := range as[[]any](c, keyword, v) {
			all = append(all, c.rules(s))
		}
		if keyword == "allOf" {
			r.allOf = all
		} else {
			r.oneOf = all
		}
	default:
		c.refuse("the keyword " + keyword)
	}
}

func (c *compiler) count(keyword string, v any) int {
	n, err := as[json.Number](c, keyword, v).Int64()
	if err != nil {
		c.refuse("the value of " + keyword)
	}
	return int(n)
}

// compiled returns the pattern, compiled when it is first asked for: most are not, by most files.
func (c *compiler) compiled(pattern string) func() *regexp.Regexp {
	f, ok := c.patterns[pattern]
	if !ok {
		f = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(pattern) })
		c.patterns[pattern] = f
	}
	return f
}

// violations returns the innermost things that the rules refuse.
func (r *rules) violations(path string, v *value) []violation {
	var out []violation
	add := func(keyword string, keys ...string) { out = append(out, violation{path, keyword, r, v, keys}) }
	switch {
	case r.never:
		add("false")
		return out
	case r.kind != "" && !v.isA(r.kind):
		add("type")
		return out
	case r.constant != nil && !v.among(r.constant):
		add("const")
		return out
	case r.enum != nil && !v.among(r.enum):
		add("enum")
		return out
	}
	if r.ref != nil {
		out = append(out, r.ref.violations(path, v)...)
	}
	switch v.kind {
	case object:
		out = append(out, r.ofObject(path, v)...)
	case list:
		if len(v.items) < r.minItems {
			add("minItems")
		}
		for i, item := range v.items {
			if r.items != nil {
				out = append(out, r.items.violations(join(path, strconv.Itoa(i)), item)...)
			}
		}
	case text:
		if r.minLength > 0 && utf8.RuneCountInString(v.text) < r.minLength {
			add("minLength")
		}
		if r.matches != nil && !r.matches().MatchString(v.text) {
			add("pattern")
		}
	case number:
		if x := v.rational(); r.minimum != nil && x != nil && x.Cmp(r.minimum) < 0 {
			add("minimum")
		}
	}
	return append(out, r.combined(path, v)...)
}

// ofObject judges the keys of an object and their values.
func (r *rules) ofObject(path string, v *value) []violation {
	var out []violation
	if r.maxProperties >= 0 && len(v.entries) > r.maxProperties {
		out = append(out, violation{path, "maxProperties", r, v, nil})
	}
	var missing, unknown []string
	for _, name := range r.required {
		if _, ok := v.index[name]; !ok {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		out = append(out, violation{path, "required", r, v, missing})
	}
	for _, e := range v.entries {
		p, known := r.properties[e.key]
		switch {
		case known:
			out = append(out, p.violations(join(path, e.key), e.value)...)
		case r.additional == nil:
		case r.additional.never:
			unknown = append(unknown, e.key)
		default:
			out = append(out, r.additional.violations(join(path, e.key), e.value)...)
		}
	}
	if unknown != nil {
		out = append(out, violation{path, "additionalProperties", r, v, unknown})
	}
	return out
}

// combined judges what is said by several schemas together. Why each of the forms of a oneOf does not fit would confuse.
func (r *rules) combined(path string, v *value) []violation {
	var out []violation
	for _, part := range r.allOf {
		out = append(out, part.violations(path, v)...)
	}
	if r.oneOf != nil {
		fitting := 0
		for _, form := range r.oneOf {
			if len(form.violations(path, v)) == 0 {
				fitting++
			}
		}
		if fitting != 1 {
			out = append(out, violation{path, "oneOf", r, v, nil})
		}
	}
	if r.condition != nil {
		next := r.then
		if len(r.condition.violations(path, v)) > 0 {
			next = r.without
		}
		if next != nil {
			out = append(out, next.violations(path, v)...)
		}
	}
	return out
}

// jsonType is what JSON calls the value's kind.
func (v *value) jsonType() string {
	switch v.kind {
	case object:
		return "object"
	case list:
		return "array"
	case text:
		return "string"
	case number:
		return "number"
	case boolean:
		return "boolean"
	}
	return "null"
}

// isA reports whether the value is of that type of JSON.
func (v *value) isA(t string) bool {
	if t == "integer" {
		x := v.rational()
		return x != nil && x.IsInt()
	}
	return v.jsonType() == t
}

// rational returns a number's exact value, nil for all else. The reader has bounded its length and exponent.
func (v *value) rational() *big.Rat {
	if v.kind != number {
		return nil
	}
	x, _ := new(big.Rat).SetString(v.text)
	return x
}

// among reports whether the value is one of those that a schema names: text, numbers, true, false and null.
func (v *value) among(wanted []any) bool {
	for _, w := range wanted {
		switch w := w.(type) {
		case string:
			if v.kind == text && v.text == w {
				return true
			}
		case json.Number:
			x, y := v.rational(), &value{kind: number, text: w.String()}
			if z := y.rational(); x != nil && z != nil && x.Cmp(z) == 0 {
				return true
			}
		case bool:
			if v.kind == boolean && (v.text == "true") == w {
				return true
			}
		case nil:
			if v.kind == null {
				return true
			}
		}
	}
	return false
}

// demand puts into words what a rule demands. It never shows the value.
func (v violation) demand() string {
	r := v.rule
	switch v.keyword {
	case "type":
		return "must be " + r.kind + ", but is " + v.value.jsonType()
	case "pattern":
		return "must match " + r.pattern
	case "const":
		return "must be " + strings.Join(texts(r.constant), "")
	case "minimum":
		return "must be at least " + r.minimum.RatString()
	case "minLength":
		if r.minLength == 1 {
			return "is empty"
		}
		return fmt.Sprintf("must have at least %d characters", r.minLength)
	case "minItems":
		if r.minItems == 1 {
			return "has no items"
		}
		return fmt.Sprintf("must have at least %d items", r.minItems)
	case "maxProperties":
		return fmt.Sprintf("must have at most %d keys", r.maxProperties)
	}
	return "does not fit the schema (" + v.keyword + ")"
}
