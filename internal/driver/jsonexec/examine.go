package jsonexec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Bounds of what an answer may consist of. One that is in its size and beyond these would take a hundred times its size to
// be decoded, or be read by two readers in two ways.
const (
	maxDepth  = 100
	maxValues = 500_000
	maxText   = 256 << 10 // bytes of one text
	maxDigits = 100       // of one number
	maxBegin  = 64 << 10  // bytes looked through for what an answer begins with
)

// examine reads an answer once, as a stream, before it is decoded, and refuses what is beyond the bounds, what is not
// UTF-8, and objects with a key that stands twice. Of what is no JSON at all the decoder tells.
func examine(raw []byte) error {
	if !utf8.Valid(raw) {
		return errors.New("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var open []level
	for values := 0; ; values++ {
		token, err := d.Token()
		if err != nil {
			return nil // it is over, or is no JSON
		}
		if values > maxValues {
			return fmt.Errorf("it has more than %d values", maxValues)
		}
		switch t := token.(type) {
		case json.Delim:
			if t == ']' || t == '}' {
				open = open[:len(open)-1]
				continue
			}
			value(open)
			if len(open) == maxDepth {
				return fmt.Errorf("it is nested too deep: more than %d levels", maxDepth)
			}
			l := level{}
			if t == '{' {
				l.keys = map[string]bool{}
			}
			open = append(open, l)
		case string:
			if len(t) > maxText {
				return fmt.Errorf("one of its texts has %d bytes, %d are the most", len(t), maxText)
			}
			if !value(open) {
				continue
			}
			if top := open[len(open)-1]; top.keys[t] {
				return fmt.Errorf("the key %q stands twice", cut(t, 60))
			} else {
				top.keys[t] = true
			}
		case json.Number:
			if value(open); len(t) > maxDigits {
				return fmt.Errorf("one of its numbers has %d digits", len(t))
			}
		default:
			value(open)
		}
	}
}

// level is an object or a list that is open.
type level struct {
	keys   map[string]bool // of an object; nil for a list
	inside bool            // of an object: its value comes next, not a key
}

// value notes that a value or a key was read, and reports whether it is a key.
func value(open []level) (key bool) {
	if len(open) == 0 || open[len(open)-1].keys == nil {
		return false
	}
	top := &open[len(open)-1]
	top.inside = !top.inside
	return top.inside
}
