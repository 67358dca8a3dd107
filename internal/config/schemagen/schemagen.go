// Package schemagen writes the JSON Schema of astern.yaml from the types that it is decoded into. Only tests import it:
// the schema is a committed file, and its generator is not part of the program.
package schemagen

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/config"
)

// GenerateSchema returns the schema of astern.yaml with the settings of the drivers' kinds: a component's `with` is
// chosen by its kind. The same drivers in the same order give the same bytes.
func GenerateSchema(drivers []astern.Driver) ([]byte, error) {
	schema := reflector("").Reflect(config.Document{})
	schema.Title = "astern.yaml"
	schema.Description = "What astern brings back: systems, their environments and components."
	component, ok := schema.Definitions["Component"]
	if !ok {
		return nil, fmt.Errorf("the schema has no definition of a component")
	}
	kind, ok := component.Properties.Get("kind")
	if !ok {
		return nil, fmt.Errorf("the schema of a component has no kind")
	}
	for _, d := range drivers {
		kind.Enum = append(kind.Enum, d.Kind)
		component.AllOf = append(component.AllOf, choice(schema, d))
	}
	b, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	return append(b, '\n'), nil
}

// choice says that components of the driver's kind have its settings. The definitions of the settings' types are
// added to the schema, their names led by the kind.
func choice(schema *jsonschema.Schema, d astern.Driver) *jsonschema.Schema {
	is, then := jsonschema.NewProperties(), jsonschema.NewProperties()
	is.Set("kind", &jsonschema.Schema{Const: d.Kind})
	c := &jsonschema.Schema{
		If:   &jsonschema.Schema{Properties: is, Required: []string{"kind"}},
		Then: &jsonschema.Schema{Properties: then},
	}
	if d.Settings == nil {
		none := uint64(0)
		then.Set("with", &jsonschema.Schema{Type: "object", MaxProperties: &none})
		return c
	}
	r := reflector(d.Kind + ".")
	r.ExpandedStruct = false
	settings := r.ReflectFromType(reflect.TypeOf(d.Settings))
	for name, definition := range settings.Definitions {
		schema.Definitions[name] = definition
		if settings.Ref == "#/$defs/"+name && len(definition.Required) > 0 {
			c.Then.Required = []string{"with"}
		}
	}
	settings.Definitions, settings.Version = nil, ""
	then.Set("with", settings)
	return c
}

// reflector returns a reflector whose definitions' names begin with prefix.
func reflector(prefix string) *jsonschema.Reflector {
	return &jsonschema.Reflector{
		Anonymous:      true,
		ExpandedStruct: true,
		Mapper:         special,
		Namer: func(t reflect.Type) string {
			if t.Name() == "" {
				return ""
			}
			return prefix + strings.NewReplacer("[", "-", "]", "", "/", ".", "*", "").Replace(t.Name())
		},
	}
}

// patterned is a type that reads itself from text of a certain pattern.
type patterned interface{ SchemaPattern() string }

var (
	textType = reflect.TypeFor[encoding.TextUnmarshaler]()
	jsonType = reflect.TypeFor[json.Unmarshaler]()
	own      = reflect.TypeFor[interface{ JSONSchema() *jsonschema.Schema }]()
)

// special returns the schema of types that do not look in the file as they look in Go, and nil for all others.
func special(t reflect.Type) *jsonschema.Schema {
	p := reflect.PointerTo(t)
	switch {
	case t == reflect.TypeFor[config.HeaderValue]():
		return headerValue()
	case p.Implements(own):
		return nil
	case p.Implements(textType):
		s := &jsonschema.Schema{Type: "string"}
		if v, ok := reflect.New(t).Interface().(patterned); ok {
			s.Pattern = v.SchemaPattern()
		}
		return s
	case p.Implements(jsonType):
		return &jsonschema.Schema{}
	}
	return nil
}

// headerValue is a plain string, or a reference to a secret.
func headerValue() *jsonschema.Schema {
	r := reflector("")
	r.DoNotReference = true
	secret := r.Reflect(astern.Secret{})
	secret.Version = ""
	return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "string"}, secret}}
}
