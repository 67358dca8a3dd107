package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/astern-dev/astern/internal/pattern"
)

// file is a file while it is judged: its tree, and what was found wrong so far.
type file struct {
	name     string
	lines    []string
	root     *value // nil when the text is no YAML
	problems []Problem
	more     bool
	reported map[string]bool // paths that have a problem
	hidden   map[int]int     // line -> column from which it holds a secret
	fields   map[reflect.Type][]structField

	aliased int // values that aliases expanded to

	lastLine  int // the line that lastShown is of
	lastShown []rune
}

// kind is what a value of the tree is.
type kind string

const (
	object  kind = "a mapping"
	list    kind = "a list"
	text    kind = "text"
	number  kind = "a number"
	boolean kind = "true or false"
	null    kind = "empty"
)

// value is a node of the tree: what JSON could say, with positions.
type value struct {
	kind         kind
	text         string // of text, number (as JSON writes it) and boolean
	raw          string // a scalar as the file has it
	entries      []entry
	index        map[string]int // key -> place in entries
	items        []*value
	line, column int
}

// entry is one key of a mapping.
type entry struct {
	key          string
	line, column int
	value        *value
}

// read parses the text. Without a tree to go on with, root is nil and the reason is reported.
func read(name string, src []byte) *file {
	f := &file{name: name, reported: map[string]bool{}, hidden: map[int]int{}, fields: map[reflect.Type][]structField{}}
	if !f.readable(src) {
		return f
	}
	src = bytes.TrimPrefix(src, []byte("\xef\xbb\xbf"))
	f.lines = linesOf(string(src))
	loader, err := yaml.NewLoader(bytes.NewReader(src))
	if err != nil {
		f.malformed(err)
		return f
	}
	var doc yaml.Node
	if err := loader.Load(&doc); errors.Is(err, io.EOF) {
		f.report(0, 0, "", "the file is empty", "let astern init write one")
		return f
	} else if err != nil {
		f.malformed(err)
		return f
	}
	var second yaml.Node
	if err := loader.Load(&second); err == nil {
		f.report(second.Line, second.Column, "", "a second document begins here", "keep one document in the file")
	} else if !errors.Is(err, io.EOF) {
		f.malformed(err)
		return f
	}
	if len(doc.Content) != 1 {
		f.report(0, 0, "", "the file is empty", "let astern init write one")
		return f
	}
	f.root = f.tree(doc.Content[0], "", 1, nil)
	return f
}

// lineBreak is what YAML counts as the end of a line.
var lineBreak = pattern.New("\r\n|[\n\r\u0085\u2028\u2029]")

// linesOf cuts a text into lines. Most have line feeds alone, for which no pattern is needed.
func linesOf(text string) []string {
	for _, other := range []string{"\r", "\u0085", "\u2028", "\u2029"} {
		if strings.Contains(text, other) {
			return lineBreak.Split(text, -1)
		}
	}
	return strings.Split(text, "\n")
}

// readable refuses what is no text, or too much of it.
func (f *file) readable(src []byte) bool {
	switch {
	case len(src) > maxBytes:
		f.report(0, 0, "", "the file is larger than 4 MiB", "")
		return false
	case bytes.HasPrefix(src, []byte("\xff\xfe")), bytes.HasPrefix(src, []byte("\xfe\xff")):
		f.report(0, 0, "", "the file is UTF-16", "save it as UTF-8")
		return false
	}
	line, column, marks := 1, 1, 0
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		if mark(src, i) {
			marks++
		}
		switch {
		case line > maxLines:
			f.report(line, 1, "", fmt.Sprintf("the file has more than %d lines", maxLines), "divide it into several systems")
		case marks > maxMarks:
			f.report(line, column, "", fmt.Sprintf("the file holds more than %d keys and values", maxMarks), "divide it into several systems")
		case r == utf8.RuneError && size == 1:
			f.report(line, column, "", fmt.Sprintf("the byte 0x%02x is not UTF-8", src[i]), "save the file as UTF-8")
		case r == 0:
			f.report(line, column, "", "a NUL byte", "save the file as UTF-8 text")
		case r < 0x20 && r != '\t' && r != '\n' && r != '\r', r == 0x7f:
			f.report(line, column, "", fmt.Sprintf("the control character 0x%02x", r), `remove it, or write it as an escape in "quotes"`)
		}
		if len(f.problems) > 0 {
			f.lines = linesOf(string(src[:min(len(src), i+maxSnippet)])) // no more of it is shown
			f.hideNames()
			return false
		}
		if i += size; r == '\n' {
			line, column = line+1, 1
		} else {
			column++
		}
	}
	return true
}

// mark reports whether a value may begin or end at this byte.
func mark(src []byte, i int) bool {
	switch src[i] {
	case ',', '[', '{':
		return true
	case ':', '-', '?':
		return i+1 == len(src) || src[i+1] <= ' '
	}
	return false
}

// malformed reports a text that is no YAML.
func (f *file) malformed(err error) {
	f.hideNames()
	var le *yaml.LoadError
	if !errors.As(err, &le) {
		f.report(0, 0, "", "not YAML: "+err.Error(), "")
		return
	}
	what, line, column := le.Message, le.Mark.Line, le.Mark.Column
	if le.ContextMsg != "" {
		what = le.ContextMsg + ": " + what
	}
	if c := le.ContextMark; c.Line > 0 && (line > len(f.lines) || line > 0 && strings.TrimSpace(f.lines[line-1]) == "") {
		line, column = c.Line, c.Column // where it began says more than the end of the file
	}
	suggestion := ""
	if line >= 1 && line <= len(f.lines) {
		before := []rune(f.lines[line-1])
		switch {
		case slices.Contains(before[:min(len(before), max(column, 0))], '\t') || strings.HasPrefix(f.lines[line-1], "\t"):
			suggestion = "a tab can't indent; use spaces"
		case strings.Contains(what, "mapping values are not allowed"):
			suggestion = `a value that holds ": " must stand in "quotes"`
		}
	}
	f.report(line, column, "", "not YAML: "+what, suggestion)
}

// sensitive are names whose values are not shown.
var sensitive = pattern.New(`(?i)pass|secret|token|credential|api.?key|private|authori[sz]ation|cookie`)

// hideNames masks what follows a sensitive name, for a text that can't be parsed.
func (f *file) hideNames() {
	for i, l := range f.lines {
		if at := sensitive.FindStringIndex(l); at != nil {
			shown := at[1] + strings.Index(l[at[1]:], ":") + 1 // the name alone, when no colon follows
			f.hidden[i+1] = utf8.RuneCountInString(l[:shown]) + 1
		}
	}
}

// hide masks the scalars of v wherever a line of the file is shown.
func (f *file) hide(v *value) {
	for _, e := range v.entries {
		f.hide(e.value)
	}
	for _, i := range v.items {
		f.hide(i)
	}
	if v.kind == object || v.kind == list || v.line == 0 {
		return
	}
	if from, ok := f.hidden[v.line]; !ok || v.column < from {
		f.hidden[v.line] = v.column
	}
}

// tree converts a node. It reports what JSON can't say or what two readers would read differently.
func (f *file) tree(n *yaml.Node, path string, depth int, aliases []*yaml.Node) *value {
	v := &value{kind: null, line: n.Line, column: n.Column}
	if len(aliases) > 0 {
		if f.aliased++; f.aliased > maxAliased {
			if f.aliased == maxAliased+1 {
				f.report(n.Line, n.Column, "", fmt.Sprintf("aliases expand to more than %d values", maxAliased), "")
			}
			return v
		}
	}
	if depth > maxDepth {
		f.report(n.Line, n.Column, path, fmt.Sprintf("nested deeper than %d levels", maxDepth), "")
		return v
	}
	if n.Style&yaml.TaggedStyle != 0 && !slices.Contains([]string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq"}, n.Tag) {
		f.report(n.Line, n.Column, path, "the tag "+n.Tag+" is not supported", "write a plain value")
	}
	switch n.Kind {
	case yaml.AliasNode:
		if slices.Contains(aliases, n.Alias) {
			f.report(n.Line, n.Column, path, fmt.Sprintf("the alias *%s contains itself", n.Value), "")
			return v
		}
		return f.tree(n.Alias, path, depth, append(slices.Clone(aliases), n.Alias))
	case yaml.SequenceNode:
		v.kind = list
		for i, c := range n.Content {
			v.items = append(v.items, f.tree(c, join(path, strconv.Itoa(i)), depth+1, aliases))
		}
	case yaml.MappingNode:
		v.kind, v.index = object, map[string]int{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			f.entry(v, n.Content[i], n.Content[i+1], path, depth, aliases)
		}
	case yaml.ScalarNode:
		f.scalar(v, n, path)
	}
	return v
}

// entry adds a key and its value to the mapping v.
func (f *file) entry(v *value, k, val *yaml.Node, path string, depth int, aliases []*yaml.Node) {
	if k.Kind == yaml.AliasNode && k.Alias != nil {
		k = &yaml.Node{Kind: k.Alias.Kind, Tag: k.Alias.Tag, Value: k.Alias.Value, Line: k.Line, Column: k.Column}
	}
	switch {
	case k.Kind != yaml.ScalarNode:
		f.report(k.Line, k.Column, "", "a key must be text", "")
		return
	case k.Tag == "!!merge":
		f.report(k.Line, k.Column, "", "merge keys (<<) are not supported", "repeat the keys, or use an alias for a whole value")
		return
	case k.Tag != "!!str" && k.Tag != "!!timestamp":
		f.report(k.Line, k.Column, join(path, k.Value)+keyOf, fmt.Sprintf("the key %s is not text", show(k.Value)), "write it in quotes: "+strconv.Quote(k.Value))
	}
	if i, twice := v.index[k.Value]; twice {
		f.report(k.Line, k.Column, "", fmt.Sprintf("duplicate key %s", show(k.Value)),
			fmt.Sprintf("it stands already in line %d", v.entries[i].line))
		return
	}
	v.index[k.Value] = len(v.entries)
	child := f.tree(val, join(path, k.Value), depth+1, aliases)
	v.entries = append(v.entries, entry{key: k.Value, line: k.Line, column: k.Column, value: child})
}

// scalar fills v from a scalar node. Numbers that YAML 1.1 and 1.2 read differently are refused.
func (f *file) scalar(v *value, n *yaml.Node, path string) {
	v.raw, v.text, v.kind = n.Value, n.Value, text
	switch n.Tag {
	case "!!null":
		v.kind, v.text = null, ""
	case "!!bool":
		v.kind, v.text = boolean, strings.ToLower(n.Value)
	case "!!int", "!!float":
		canonical, ok := canonicalNumber(n.Value)
		v.kind, v.text = number, canonical
		if !ok {
			f.report(n.Line, n.Column, path, fmt.Sprintf("the number %s is not finite, or is read differently by different programs", n.Value),
				"write a plain decimal number, or text in quotes: "+strconv.Quote(n.Value))
		}
	}
}

var (
	wholeNumber = pattern.New(`^[-+]?(0|[1-9][0-9]*|0x[0-9a-fA-F]+|0o[0-7]+)$`)
	realNumber  = pattern.New(`^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$`)
)

// canonicalNumber returns the number as JSON writes it; 1.0 is 1. ok is false, and the number 0, when readers disagree
// about it (0777, 1_000) or JSON can't write it (.inf).
func canonicalNumber(s string) (canonical string, ok bool) {
	if len(s) > 64 {
		return "0", false
	}
	if wholeNumber.MatchString(s) {
		i, ok := new(big.Int).SetString(strings.TrimPrefix(s, "+"), 0)
		if !ok {
			return "0", false
		}
		return i.String(), true
	}
	x, err := strconv.ParseFloat(s, 64)
	if err != nil || !realNumber.MatchString(s) || len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' {
		return "0", false
	}
	if x == math.Trunc(x) && math.Abs(x) < 1<<53 {
		return strconv.FormatInt(int64(x), 10), true
	}
	return strconv.FormatFloat(x, 'g', -1, 64), true
}

// plain returns what JSON says of v, with numbers as json.Number.
func (v *value) plain() any {
	switch v.kind {
	case object:
		m := make(map[string]any, len(v.entries))
		for _, e := range v.entries {
			m[e.key] = e.value.plain()
		}
		return m
	case list:
		l := make([]any, len(v.items))
		for i, c := range v.items {
			l[i] = c.plain()
		}
		return l
	case number:
		return json.Number(v.text)
	case boolean:
		return v.text == "true"
	case null:
		return nil
	}
	return v.text
}

// get returns the value of a key, or nil.
func (v *value) get(key string) *value {
	if v == nil {
		return nil
	}
	if i, ok := v.index[key]; ok && v.kind == object {
		return v.entries[i].value
	}
	return nil
}

// keys returns the keys in the order of the file.
func (v *value) keys() []string {
	if v == nil {
		return nil
	}
	out := make([]string, len(v.entries))
	for i, e := range v.entries {
		out[i] = e.key
	}
	return out
}
