package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
)

// decodeJSON decodes one JSON value that fills the whole body, numbers as they are printed there.
func decodeJSON(body []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it is empty")
		}
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the value")
	}
	return doc, nil
}

// lookup returns the text of the value at a path of object keys and list indexes joined by dots. A key that holds dots
// itself is found too: the longest key that fits is taken.
func lookup(doc any, path string) (string, bool) {
	return descend(doc, strings.Split(path, "."))
}

func descend(v any, path []string) (string, bool) {
	if len(path) == 0 {
		return text(v), true
	}
	switch v := v.(type) {
	case map[string]any:
		for n := len(path); n > 0; n-- {
			if inner, ok := v[strings.Join(path[:n], ".")]; ok {
				if s, ok := descend(inner, path[n:]); ok {
					return s, true
				}
			}
		}
	case []any:
		if i, err := strconv.Atoi(path[0]); err == nil && i >= 0 && i < len(v) {
			return descend(v[i], path[1:])
		}
	}
	return "", false
}

// text prints a JSON value: a string without its quotes, a number as in the document, an object or a list as compact JSON.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // what was decoded from JSON always encodes
	return strings.TrimSuffix(b.String(), "\n")
}
