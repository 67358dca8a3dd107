package jsonexec

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	astern "github.com/astern-dev/astern"
)

// Paths of the state that the short form of an observation fills.
const (
	pathRevision  = "revision"
	pathReleases  = "release" // release/REVISION holds the content hash
	releasePrefix = pathReleases + "/"
)

// observed is the answer to observe: the short form, or values by path, or both.
type observed struct {
	Revision  *reading           `json:"revision"`
	Revisions map[string]release `json:"revisions"`
	Values    map[string]reading `json:"values"`
}

// release is one revision that can be gone to.
type release struct {
	Hash string `json:"hash"`
	// Unknown says why its hash could not be read.
	Unknown string `json:"unknown"`
}

// reading is one value: a text, or {"unknown": "why"}.
type reading struct {
	text    string
	unknown string
}

func (r *reading) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, &r.text)
	}
	var u struct {
		Unknown string `json:"unknown"`
	}
	if err := strictly(b, &u); err != nil || u.Unknown == "" {
		return fmt.Errorf(`a value is a text or {"unknown": "why"}, not %s`, b)
	}
	r.unknown = oneLine(u.Unknown)
	return nil
}

// Observe asks the program. A program that does not answer makes what was asked for unknown; one that can't be run, or
// that calls the question invalid, is an error.
func (d driver) Observe(ctx context.Context, c astern.Component, s astern.Scope) (astern.State, error) {
	p, err := open(c)
	if err != nil {
		return astern.State{}, err
	}
	paths := s.Paths
	if paths == nil {
		paths = []string{}
	}
	state := astern.State{Address: c.Address(), Values: map[string]astern.Value{}}
	var o observed
	err = p.ask(ctx, request{Call: "observe", Scope: &scope{paths}}, &o)
	if err == nil {
		err = p.fill(&state, o, s)
	}
	switch {
	case err == nil:
		return state, nil
	case astern.CodeOf(err) == astern.Invalid && certain(err):
		return astern.State{}, err
	}
	if len(paths) == 0 {
		paths = []string{pathRevision}
	}
	now := time.Now().UTC()
	state.Values = map[string]astern.Value{}
	for _, path := range paths {
		state.Values[path] = astern.Value{Unknown: err.Error(), At: now}
	}
	return state, nil
}

// fill puts what the program saw into the state, as far as it was asked for.
func (p program) fill(state *astern.State, o observed, s astern.Scope) error {
	now := time.Now().UTC()
	put := func(path string, r reading) error {
		if !validPath(path) {
			return p.invalid("observe", "%q is not a path: segments joined by /, without control characters and braces", path)
		}
		if _, ok := state.Values[path]; ok {
			return p.invalid("observe", "the path %q is answered twice", path)
		}
		state.Values[path] = astern.Value{Text: r.text, Unknown: r.unknown, At: now}
		return nil
	}
	if o.Revision != nil && *o.Revision != (reading{}) { // "" says that nothing runs
		if err := put(pathRevision, *o.Revision); err != nil {
			return err
		}
	}
	for name, r := range o.Revisions {
		if err := put(releasePrefix+name, reading{r.Hash, oneLine(r.Unknown)}); err != nil {
			return err
		}
	}
	for path, r := range o.Values {
		if err := put(path, r); err != nil {
			return err
		}
	}
	if len(s.Paths) > 0 {
		for path := range state.Values {
			if !slices.Contains(s.Paths, path) {
				delete(state.Values, path)
			}
		}
	}
	for path, v := range state.Values {
		if v.Unknown != "" && v.Text != "" {
			state.Values[path] = astern.Value{Unknown: v.Unknown, At: v.At}
		}
	}
	return nil
}

func validPath(path string) bool {
	return !strings.ContainsFunc(path, func(c rune) bool { return unicode.IsControl(c) || c == '{' || c == '}' }) &&
		!slices.Contains(strings.Split(path, "/"), "")
}
