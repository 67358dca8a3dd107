package awsapi

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
)

// Sight collects what one observation sees. Known and Unknown are safe for concurrent use.
type Sight struct {
	scope astern.Scope
	at    time.Time
	mu    sync.Mutex
	state astern.State
}

// NewSight begins an observation of the component.
func NewSight(c astern.Component, scope astern.Scope, now time.Time) *Sight {
	return &Sight{scope: scope, at: now.UTC(), state: astern.State{Address: c.Address(), Values: map[string]astern.Value{}}}
}

// Wants reports whether a path is asked for that is one of these, or begins with one that ends in "/".
func (s *Sight) Wants(paths ...string) bool {
	return len(s.scope.Paths) == 0 || slices.ContainsFunc(s.scope.Paths, func(asked string) bool {
		return slices.ContainsFunc(paths, func(p string) bool { return asked == p || strings.HasSuffix(p, "/") && strings.HasPrefix(asked, p) })
	})
}

// Proposed returns the rules that are to be judged as if they were in force, by their place.
func (s *Sight) Proposed() map[string]string { return s.scope.Proposed }

// Known notes a value.
func (s *Sight) Known(path, text string) { s.set(path, astern.Value{Text: text, At: s.at}) }

// Unknown notes why a value could not be read, with what can be done about it.
func (s *Sight) Unknown(path string, err error) {
	s.set(path, astern.Value{Unknown: oneLine(err.Error() + Hinted(err)), At: s.at})
}

// Hinted is what follows the words of an error where it stands in a line: its hint behind a semicolon, "" when it has none.
func Hinted(err error) string {
	if hint := astern.HintOf(err); hint != "" {
		return "; " + hint
	}
	return ""
}

func (s *Sight) set(path string, v astern.Value) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Values[path] = v
}

// Fail makes the paths unknown, and all that were asked for, begin with one of the prefixes and are not known: they
// can't be said to be absent.
func (s *Sight) Fail(err error, prefixes []string, paths ...string) {
	for _, asked := range s.scope.Paths {
		if _, known := s.state.Values[asked]; !known && slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(asked, p) }) {
			paths = append(paths, asked)
		}
	}
	for _, path := range paths {
		s.Unknown(path, err)
	}
}

// State returns what was asked for of what was seen.
func (s *Sight) State() astern.State {
	maps.DeleteFunc(s.state.Values, func(path string, _ astern.Value) bool {
		return len(s.scope.Paths) > 0 && !slices.Contains(s.scope.Paths, path)
	})
	return s.state
}
