package planfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/astern-dev/astern"
)

// Differences returns what differs between two plans, one line each: where, what the first says, what the second says.
// Steps, facts, checks and the like are compared by their names, not by their places. No line means that both are equal.
func Differences(a, b astern.Plan) []string {
	x, err := tree(a)
	if err != nil {
		return []string{"the first plan can't be compared: " + err.Error()}
	}
	y, err := tree(b)
	if err != nil {
		return []string{"the second plan can't be compared: " + err.Error()}
	}
	var out []string
	compare("", x, y, func(line string) { out = append(out, line) })
	return out
}

func tree(p astern.Plan) (any, error) {
	doc, err := encode(p)
	if err != nil {
		return nil, err
	}
	return parse(doc)
}

func parse(doc []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// compare tells every difference of two JSON values.
func compare(path string, x, y any, tell func(string)) {
	switch x := x.(type) {
	case map[string]any:
		if y, ok := y.(map[string]any); ok {
			for _, k := range keys(x, y) {
				at := strings.TrimPrefix(path+"."+k, ".")
				a, inX := x[k]
				b, inY := y[k]
				switch {
				case !inX:
					tell(at + ": was absent, is " + value(b))
				case !inY:
					tell(at + ": was " + value(a) + ", is absent")
				default:
					compare(at, a, b, tell)
				}
			}
			return
		}
	case []any:
		if y, ok := y.([]any); ok {
			compareLists(path, x, y, tell)
			return
		}
	}
	if !reflect.DeepEqual(x, y) {
		tell(path + ": was " + value(x) + ", is " + value(y))
	}
}

// compareLists compares elements by name where all have one, and else by place.
func compareLists(path string, x, y []any, tell func(string)) {
	namesX, okX := names(x)
	namesY, okY := names(y)
	if !okX || !okY {
		for i := range max(len(x), len(y)) {
			at := fmt.Sprintf("%s[%d]", path, i)
			switch {
			case i >= len(x):
				tell(at + ": was absent, is " + value(y[i]))
			case i >= len(y):
				tell(at + ": was " + value(x[i]) + ", is absent")
			default:
				compare(at, x[i], y[i], tell)
			}
		}
		return
	}
	inX, inY := index(namesX), index(namesY)
	var bothX, bothY, gone, added []string
	for i, n := range namesX {
		if k, ok := inY[n]; ok {
			bothX = append(bothX, n)
			compare(path+"["+n+"]", x[i], y[k], tell)
		} else {
			gone = append(gone, n)
		}
	}
	for _, n := range namesY {
		if _, ok := inX[n]; ok {
			bothY = append(bothY, n)
		} else {
			added = append(added, n)
		}
	}
	if len(gone) > 0 {
		tell(path + ": gone: " + few(gone))
	}
	if len(added) > 0 {
		tell(path + ": new: " + few(added))
	}
	if !slices.Equal(bothX, bothY) {
		tell(path + ": the order was " + show(strings.Join(bothX, ", ")) + ", is " + show(strings.Join(bothY, ", ")))
	}
}

// few lists the first of many names.
func few(names []string) string {
	const most = 3
	if len(names) <= most+1 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// nameKeys are the fields that name an element, the first set that an element has.
var nameKeys = [][]string{{"id"}, {"address", "path"}, {"address", "unit"}, {"name", "member"}, {"name"}, {"address"}, {"what"}, {"member"}, {"item"}, {"path"}}

// names returns the name of each element; ok is false when one has none or two have the same.
func names(list []any) (out []string, ok bool) {
	seen := map[string]bool{}
	for _, e := range list {
		name := ""
		switch e := e.(type) {
		case string:
			name = e
		case map[string]any:
			name = nameOf(e)
		}
		if name == "" || seen[name] {
			return nil, false
		}
		seen[name] = true
		out = append(out, name)
	}
	return out, true
}

func nameOf(e map[string]any) string {
	for _, set := range nameKeys {
		var parts []string
		for _, k := range set {
			if s, ok := e[k].(string); ok {
				parts = append(parts, s)
			}
		}
		if len(parts) == len(set) {
			return strings.Join(parts, " ")
		}
	}
	return ""
}

func index(names []string) map[string]int {
	out := make(map[string]int, len(names))
	for i, n := range names {
		out[n] = i
	}
	return out
}

func keys(x, y map[string]any) []string {
	var out []string
	for k := range x {
		out = append(out, k)
	}
	for k := range y {
		if _, ok := x[k]; !ok {
			out = append(out, k)
		}
	}
	sort.Strings(out)
	return out
}

// value prints a JSON value, shortened.
func value(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // what was decoded from JSON always encodes
	return show(strings.TrimSpace(b.String()))
}

// show shortens text that comes from a file.
func show(s string) string {
	const most = 100
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// firstDifference says where a document first differs from its canonical form.
func firstDifference(doc, canonical []byte) string {
	says, errA := parse(doc)
	would, errB := parse(canonical)
	if errA == nil && errB == nil {
		if at := first("$", says, would); at != "" {
			return at
		}
	}
	i := 0
	for i < min(len(doc), len(canonical)) && doc[i] == canonical[i] {
		i++
	}
	around := func(b []byte) string {
		if i >= len(b) {
			return "the end"
		}
		return strconv.QuoteToASCII(string(b[i:min(i+24, len(b))]))
	}
	return fmt.Sprintf("byte %d, in %s: says %s, canonical JSON is %s (order of keys, white space and escapes have one form)",
		i+1, pathAt(doc, int64(i)), around(doc), around(canonical))
}

// first returns the first difference of two JSON values in canonical order, "" when there is none.
func first(path string, says, would any) string {
	switch s := says.(type) {
	case map[string]any:
		if w, ok := would.(map[string]any); ok {
			for _, k := range keys(s, w) {
				a, inS := s[k]
				b, inW := w[k]
				switch {
				case !inS:
					return fmt.Sprintf("%s.%s is missing, canonical is %s", path, k, value(b))
				case !inW:
					return fmt.Sprintf("%s.%s says %s, which is no field of a plan or has nothing to say there", path, k, value(a))
				}
				if d := first(path+"."+k, a, b); d != "" {
					return d
				}
			}
			return ""
		}
	case []any:
		if w, ok := would.([]any); ok {
			for i := range min(len(s), len(w)) {
				if d := first(fmt.Sprintf("%s[%d]", path, i), s[i], w[i]); d != "" {
					return d
				}
			}
		}
	}
	if reflect.DeepEqual(says, would) {
		return ""
	}
	return fmt.Sprintf("%s says %s, canonical is %s", path, value(says), value(would))
}

// pathAt returns the JSON path of the value that is being read at an offset.
func pathAt(doc []byte, offset int64) string {
	type frame struct {
		object, haveKey bool
		key             string
		index           int
	}
	var stack []frame
	d := json.NewDecoder(bytes.NewReader(doc))
	for {
		token, err := d.Token()
		if err != nil || d.InputOffset() > offset {
			break
		}
		if n := len(stack); n > 0 && stack[n-1].object && !stack[n-1].haveKey {
			if k, ok := token.(string); ok {
				stack[n-1].key, stack[n-1].haveKey = k, true
				continue
			}
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			stack = append(stack, frame{object: token == json.Delim('{')})
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:len(stack)-1]
		}
		if n := len(stack); n > 0 { // a value has ended
			stack[n-1].haveKey = false
			stack[n-1].index++
		}
	}
	path := "$"
	for _, f := range stack {
		switch {
		case !f.object:
			path += fmt.Sprintf("[%d]", f.index)
		case f.haveKey:
			path += "." + f.key
		}
	}
	return path
}
