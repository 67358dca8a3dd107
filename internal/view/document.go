package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// DocumentVersion is the version of every JSON document of this package, in its `version` field.
const DocumentVersion = 1

// document encodes v, a struct without a MarshalJSON of its own, with `kind` and `version` in front.
func document(kind string, v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	body := bytes.TrimSpace(b.Bytes())
	head := fmt.Sprintf(`{"kind":%q,"version":%d`, kind, DocumentVersion)
	if string(body) == "{}" {
		return []byte(head + "}"), nil
	}
	return append([]byte(head+","), body[1:]...), nil
}

// Indented returns v as JSON writes it.
func Indented(v any) ([]byte, error) {
	b, err := encode(v)
	if err != nil {
		return nil, fmt.Errorf("encoding the output as JSON: %w", err)
	}
	return b, nil
}

// JSON writes v as indented JSON: times in UTC, absent lists as [], and characters that a terminal would obey escaped.
func JSON(w io.Writer, v any) error {
	b, err := encode(v)
	if err != nil {
		return fmt.Errorf("encoding the output as JSON: %w", err)
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}

func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if v != nil {
		v = normal(reflect.ValueOf(v)).Interface()
	}
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return escapeUnprintable(b.Bytes(), func(to []byte, r rune) []byte {
		if r < 0x10000 {
			return fmt.Appendf(to, `\u%04x`, r)
		}
		high, low := utf16.EncodeRune(r)
		return fmt.Appendf(to, `\u%04x\u%04x`, high, low)
	}), nil
}

// escapeUnprintable escapes what an encoder leaves as it is though a terminal may obey it. Outside strings there is only
// ASCII, so the bytes can be taken one character after the other.
func escapeUnprintable(b []byte, escape func(to []byte, r rune) []byte) []byte {
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r < 0x7f || unicode.IsPrint(r):
			out = append(out, b[:n]...)
		default:
			out = escape(out, r)
		}
		b = b[n:]
	}
	return out
}

// normal returns a deep copy of v with every time in UTC and every nil slice empty.
func normal(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return reflect.ValueOf(t.UTC())
		}
		out := reflect.New(v.Type()).Elem()
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(normal(v.Field(i)))
			}
		}
		return out
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(normal(v.Elem()))
		return out
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(normal(v.Index(i)))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeMapWithSize(v.Type(), v.Len())
		for it := v.MapRange(); it.Next(); {
			out.SetMapIndex(it.Key(), normal(it.Value()))
		}
		return out
	}
	return v
}

// YAML writes v as YAML with the keys, and their order, of its JSON.
func YAML(w io.Writer, v any) error {
	b, err := encode(v)
	if err != nil {
		return fmt.Errorf("encoding the output as YAML: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	node, err := yamlNode(d)
	if err != nil {
		return fmt.Errorf("encoding the output as YAML: %w", err)
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(node); err != nil {
		return fmt.Errorf("encoding the output as YAML: %w", err)
	}
	if err := e.Close(); err != nil {
		return fmt.Errorf("encoding the output as YAML: %w", err)
	}
	// Every string with such characters is in double quotes, where YAML has an escape for them.
	escaped := escapeUnprintable(out.Bytes(), func(to []byte, r rune) []byte {
		if r < 0x10000 {
			return fmt.Appendf(to, `\u%04x`, r)
		}
		return fmt.Appendf(to, `\U%08x`, r)
	})
	if _, err := w.Write(escaped); err != nil {
		return fmt.Errorf("writing the output: %w", err)
	}
	return nil
}

// yamlNode reads one JSON value from d. Going through the tokens keeps the order of the keys.
func yamlNode(d *json.Decoder) (*yaml.Node, error) {
	tok, err := d.Token()
	if err != nil {
		return nil, err
	}
	scalar := func(tag, value string) (*yaml.Node, error) {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value}, nil
	}
	switch tok := tok.(type) {
	case nil:
		return scalar("!!null", "null")
	case bool:
		return scalar("!!bool", strconv.FormatBool(tok))
	case json.Number:
		if _, err := strconv.ParseInt(tok.String(), 10, 64); err == nil {
			return scalar("!!int", tok.String())
		}
		return scalar("!!float", tok.String())
	case string:
		n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: tok}
		if tok != clean(tok) {
			n.Style = yaml.DoubleQuotedStyle
		}
		return n, nil
	}
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	if tok == json.Delim('{') {
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
	}
	for d.More() {
		child, err := yamlNode(d) // a key of an object, or a value
		if err != nil {
			return nil, err
		}
		n.Content = append(n.Content, child)
	}
	_, err = d.Token() // the closing bracket
	return n, err
}
