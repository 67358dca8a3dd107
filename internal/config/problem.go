package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/astern-dev/astern"
)

// Problem is one thing wrong with a file.
type Problem struct {
	File   string
	Line   int    // from 1; 0 when it is about the file as a whole
	Column int    // from 1, in characters
	Path   string // where in the document: "environments/production/components/shop/with/root"
	What   string
	// Snippet is the offending line as it can be shown: without control characters, cut to a width, secrets masked.
	Snippet string
	// Suggestion says what to do about it; it may be empty.
	Suggestion string

	caret int // column of the caret below Snippet
}

// String renders the problem as a compiler does: position and what, the offending line with a caret, the suggestion.
func (p Problem) String() string {
	var b strings.Builder
	if p.Line == 0 {
		fmt.Fprintf(&b, "%s: %s", p.File, p.What)
	} else {
		fmt.Fprintf(&b, "%s:%d:%d: %s", p.File, p.Line, p.Column, p.What)
	}
	if p.Snippet != "" {
		fmt.Fprintf(&b, "\n%5d | %s\n      | %s^", p.Line, p.Snippet, strings.Repeat(" ", p.caret-1))
	}
	if p.Suggestion != "" {
		fmt.Fprintf(&b, "\n      %s", p.Suggestion)
	}
	return b.String()
}

// Errors is everything that is wrong with a file, in the order of the file.
type Errors struct {
	Problems []Problem
	// More is true when there were more than are listed.
	More bool
}

// maxProblems bounds how many problems of one file are kept.
const maxProblems = 1000

// Error renders all problems.
func (e *Errors) Error() string {
	lines := make([]string, 0, len(e.Problems)+1)
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	if e.More {
		lines = append(lines, fmt.Sprintf("more than %d problems; the rest is not shown", len(e.Problems)))
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns an astern.Error with code Invalid that counts the problems.
func (e *Errors) Unwrap() error {
	if len(e.Problems) == 1 {
		return astern.Errorf(astern.Invalid, "%s has a problem", e.Problems[0].File)
	}
	return astern.Errorf(astern.Invalid, "%s has %d problems", e.Problems[0].File, len(e.Problems))
}

// errors returns what was reported, sorted by position and without repetitions, or nil.
func (f *file) errors() error {
	if len(f.problems) == 0 {
		return nil
	}
	list := slices.Clone(f.problems)
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.What, b.What))
	})
	// What an alias refers to is met at each of its uses, and is one problem.
	list = slices.CompactFunc(list, func(a, b Problem) bool {
		return a.Line == b.Line && a.Column == b.Column && a.What == b.What
	})
	for i := range list {
		list[i].File = f.name
		list[i].Path = strings.TrimSuffix(list[i].Path, keyOf)
		list[i].Snippet, list[i].caret = f.snippet(list[i].Line, list[i].Column)
	}
	return &Errors{Problems: list, More: f.more}
}

// maxSnippet is how many characters of a line are shown.
const maxSnippet = 110

// snippet returns the line as it can be shown, and where its caret stands.
func (f *file) snippet(line, column int) (string, int) {
	if line < 1 || line > len(f.lines) || column < 1 {
		return "", 1
	}
	runes := f.shown(line)
	column = min(column, len(runes)+1)
	before, after := "", ""
	if column > maxSnippet-20 { // keep the offending place in view
		cut := column - maxSnippet/2
		before, runes, column = "...", runes[cut:], column-cut+3
	}
	if len(runes) > maxSnippet {
		after, runes = "...", runes[:maxSnippet]
	}
	return strings.TrimRightFunc(before+string(runes)+after, unicode.IsSpace), column
}

// shown returns the line's characters as they can be shown. The last line is kept: problems come in the order of the
// file, and a whole file may stand in one line.
func (f *file) shown(line int) []rune {
	if f.lastLine == line {
		return f.lastShown
	}
	runes := []rune(strings.ToValidUTF8(f.lines[line-1], "?"))
	for i, r := range runes {
		switch {
		case r == '\t':
			runes[i] = ' '
		case !unicode.IsPrint(r):
			runes[i] = '?'
		}
	}
	if from, ok := f.hidden[line]; ok && from-1 <= len(runes) {
		runes = append(runes[:from-1:from-1], []rune("<secret>")...)
	}
	f.lastLine, f.lastShown = line, runes
	return runes
}
