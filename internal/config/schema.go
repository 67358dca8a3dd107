package config

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
	keyword "github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/astern-dev/astern"
)

//go:embed astern.schema.json
var schemaJSON []byte

// Schema returns the JSON Schema of astern.yaml, for editors.
func Schema() []byte { return bytes.Clone(schemaJSON) }

// embedded is the compiled schema of this astern.
var embedded = sync.OnceValues(func() (*jsonschema.Schema, error) { return compile(schemaJSON) })

func compile(b []byte) (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		return nil, &astern.Error{Code: astern.Internal, Doing: "reading the schema of astern.yaml", Cause: err}
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("astern.schema.json", doc); err != nil {
		return nil, &astern.Error{Code: astern.Internal, Doing: "reading the schema of astern.yaml", Cause: err}
	}
	s, err := c.Compile("astern.schema.json")
	if err != nil {
		return nil, &astern.Error{Code: astern.Internal, Doing: "compiling the schema of astern.yaml", Cause: err}
	}
	return s, nil
}

// validate reports what the schema demands beyond what has been reported. Which kinds there are is known from the
// drivers, so what the schema says about a component's kind is not listened to.
func (f *file) validate(schema *jsonschema.Schema, drivers []astern.Driver) {
	kinds := scope{drivers: drivers}.kinds()
	for _, e := range violations(schema, f.root) {
		path := join("", e.InstanceLocation...)
		switch k := e.ErrorKind.(type) {
		case *keyword.Required:
			for _, m := range k.Missing {
				if !f.broken(join(path, m)) { // what is required of it may have been said already
					f.missing(path, m)
				}
			}
		case *keyword.AdditionalProperties:
			for _, p := range k.Properties {
				f.unknownKey(join(path, p), p, nil)
			}
		case *keyword.OneOf, *keyword.AnyOf:
			if !f.broken(path) {
				f.at(path, "{} has none of the forms that are allowed here", "")
			}
		case *keyword.Enum:
			got, ok := k.Got.(string)
			if !ok || !slices.Contains(kinds, got) || !strings.HasSuffix(path, "/kind") {
				f.at(path, "{} must be one of "+strings.Join(texts(k.Want), ", "), didYouMean(got, texts(k.Want), ""))
			}
		default:
			f.at(path, "{} "+demand(k), "")
		}
	}
}

// violations returns the innermost things that the schema refuses.
func violations(schema *jsonschema.Schema, root *value) []*jsonschema.ValidationError {
	var ve *jsonschema.ValidationError
	if err := schema.Validate(root.plain()); !errors.As(err, &ve) {
		return nil
	}
	var out []*jsonschema.ValidationError
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		switch e.ErrorKind.(type) {
		case *keyword.OneOf, *keyword.AnyOf: // why each form does not fit would confuse
			out = append(out, e)
			return
		}
		if len(e.Causes) == 0 {
			out = append(out, e)
		}
		for _, c := range e.Causes {
			walk(c)
		}
	}
	walk(ve)
	return out
}

// demand puts into words what a keyword of the schema demands. It never shows the value.
func demand(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *keyword.Type:
		return fmt.Sprintf("must be %s, but is %s", strings.Join(k.Want, " or "), k.Got)
	case *keyword.Pattern:
		return "must match " + k.Want
	case *keyword.Const:
		return fmt.Sprintf("must be %v", k.Want)
	case *keyword.Minimum:
		return "must be at least " + k.Want.RatString()
	case *keyword.Maximum:
		return "must be at most " + k.Want.RatString()
	case *keyword.ExclusiveMinimum:
		return "must be more than " + k.Want.RatString()
	case *keyword.ExclusiveMaximum:
		return "must be less than " + k.Want.RatString()
	case *keyword.MinLength:
		if k.Want == 1 {
			return "is empty"
		}
		return fmt.Sprintf("must have at least %d characters", k.Want)
	case *keyword.MaxLength:
		return fmt.Sprintf("must have at most %d characters", k.Want)
	case *keyword.MinItems:
		if k.Want == 1 {
			return "has no items"
		}
		return fmt.Sprintf("must have at least %d items", k.Want)
	case *keyword.MaxItems:
		return fmt.Sprintf("must have at most %d items", k.Want)
	case *keyword.MinProperties:
		return fmt.Sprintf("must have at least %d keys", k.Want)
	case *keyword.MaxProperties:
		return fmt.Sprintf("must have at most %d keys", k.Want)
	case *keyword.UniqueItems:
		return fmt.Sprintf("has equal items: %d and %d", k.Duplicates[0]+1, k.Duplicates[1]+1)
	}
	return "does not fit the schema (" + strings.Join(k.KeywordPath(), "/") + ")"
}

func texts(values []any) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprint(v)
	}
	return out
}
