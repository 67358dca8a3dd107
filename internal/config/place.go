package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Paths are JSON pointers without the leading slash: "environments/production/hosts". The path of the document is "".

var (
	escape   = strings.NewReplacer("~", "~0", "/", "~1")
	unescape = strings.NewReplacer("~1", "/", "~0", "~")
)

// join returns the path of a key, or of an item by its number, below path.
func join(path string, segments ...string) string {
	for _, s := range segments {
		if path != "" {
			path += "/"
		}
		path += escape.Replace(s)
	}
	return path
}

// place is where a path leads: as far as it exists.
type place struct {
	value            *value // the value there, or the nearest one above
	found            bool
	line, column     int // of the key; of the value where there is no key
	inList           bool
	parent, lastName string // names of what stands above and of the last segment
}

func (f *file) locate(path string) place {
	p := place{value: f.root, found: true, line: 1, column: 1}
	if f.root != nil {
		p.line, p.column = f.root.line, f.root.column
	}
	if path == "" {
		return p
	}
	for s := range strings.SplitSeq(path, "/") {
		name := unescape.Replace(s)
		p.parent, p.lastName, p.inList = p.lastName, name, false
		if !p.found || p.value == nil {
			p.found = false
			continue
		}
		if p.value.kind == list {
			i, err := strconv.Atoi(name)
			if p.found = err == nil && i >= 0 && i < len(p.value.items); p.found {
				p.value, p.inList = p.value.items[i], true
				p.line, p.column = p.value.line, p.value.column
			}
			continue
		}
		i, ok := p.value.index[name]
		if p.found = ok; ok {
			e := p.value.entries[i]
			p.value, p.line, p.column = e.value, e.line, e.column
		}
	}
	return p
}

// report notes a problem at a position. With a path, only the first one about it is kept.
func (f *file) report(line, column int, path, what, suggestion string) {
	if path != "" && f.reported[path] {
		return
	}
	if len(f.problems) >= maxProblems {
		f.more = true
		return
	}
	if path != "" {
		f.reported[path] = true
	}
	f.problems = append(f.problems, Problem{Line: line, Column: column, Path: path, What: ended(what), Suggestion: ended(suggestion)})
}

// maxWords is how many characters of a sentence about a problem are kept: the file may have put a megabyte into it.
const maxWords = 1000

// ended returns a text that has an end.
func ended(text string) string {
	if len(text) <= maxWords {
		return text
	}
	if r := []rune(text); len(r) > maxWords {
		return string(r[:maxWords]) + "..."
	}
	return text
}

// at reports a problem with the value at path: at the scalar itself, at the key of anything larger, at the nearest key
// above of what is missing. A {} that what begins with stands for the name of the thing.
func (f *file) at(path, what, suggestion string) {
	p := f.locate(path)
	line, column := p.line, p.column
	if p.found && p.value != nil && p.value.kind != object && p.value.kind != list && p.value.kind != null {
		line, column = p.value.line, p.value.column
	}
	name := show(p.lastName)
	if p.inList {
		i, _ := strconv.Atoi(p.lastName) // locate found the item by it
		name = fmt.Sprintf("item %d of %s", i+1, show(p.parent))
	}
	if path == "" {
		name = "the document"
	}
	if rest, ok := strings.CutPrefix(what, "{}"); ok {
		what = name + rest
	}
	f.report(line, column, path, what, suggestion)
}

// atKey reports a problem with the key at path, apart from those with its value.
func (f *file) atKey(path, what, suggestion string) {
	p := f.locate(path)
	f.report(p.line, p.column, path+keyOf, what, suggestion)
}

// keyOf follows the path of a key that is spoken of by itself. No path ends so: ~ is always followed by a digit.
const keyOf = "~"

// broken reports whether the path or anything below it has a problem.
func (f *file) broken(path string) bool {
	if f.reported[path] {
		return true
	}
	for p := range f.reported {
		if strings.HasPrefix(p, path+"/") {
			return true
		}
	}
	return false
}

// show quotes a name for a message, cut to a readable length.
func show(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:57]) + "..."
	}
	return strconv.Quote(s)
}
