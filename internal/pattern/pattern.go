// Package pattern holds regular expressions that are compiled when they are first used. One that is compiled when the
// program starts slows every start, also of commands that never use it; a test of the house keeps to that.
package pattern

import (
	"regexp"
	"sync"
)

// Pattern is a regular expression. Its methods are those of regexp.Regexp, and may be called from several goroutines.
type Pattern struct {
	text string
	once sync.Once
	re   *regexp.Regexp
}

// New returns the pattern. One that can't be compiled panics when it is first used: each is used by a test.
func New(text string) *Pattern { return &Pattern{text: text} }

func (p *Pattern) compiled() *regexp.Regexp {
	p.once.Do(func() { p.re = regexp.MustCompile(p.text) })
	return p.re
}

// Match reports whether b contains a match.
func (p *Pattern) Match(b []byte) bool { return p.compiled().Match(b) }

// MatchString reports whether s contains a match.
func (p *Pattern) MatchString(s string) bool { return p.compiled().MatchString(s) }

// FindAllString returns the first n matches in s, all when n < 0.
func (p *Pattern) FindAllString(s string, n int) []string { return p.compiled().FindAllString(s, n) }

// FindStringIndex returns where the first match begins and ends.
func (p *Pattern) FindStringIndex(s string) []int { return p.compiled().FindStringIndex(s) }

// FindStringSubmatch returns the first match and its groups.
func (p *Pattern) FindStringSubmatch(s string) []string { return p.compiled().FindStringSubmatch(s) }

// FindAllStringSubmatch returns the first n matches with their groups, all when n < 0.
func (p *Pattern) FindAllStringSubmatch(s string, n int) [][]string {
	return p.compiled().FindAllStringSubmatch(s, n)
}

// ReplaceAllString replaces each match; the groups may stand in by.
func (p *Pattern) ReplaceAllString(s, by string) string { return p.compiled().ReplaceAllString(s, by) }

// ReplaceAllStringFunc replaces each match by what f makes of it.
func (p *Pattern) ReplaceAllStringFunc(s string, f func(string) string) string {
	return p.compiled().ReplaceAllStringFunc(s, f)
}

// Split cuts s at the matches.
func (p *Pattern) Split(s string, n int) []string { return p.compiled().Split(s, n) }
