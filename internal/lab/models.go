package lab

import (
	_ "embed" // the table of models
	"encoding/json"
	"strings"
	"sync"

	"github.com/astern-dev/astern"
)

// models.json is written by scripts/labmodels from botocore's service-2.json; a test makes it again.
//
//go:embed models.json
var modelsJSON string

// service is what the lab needs to know of a service's model.
type service struct {
	Name       string      `json:"name"`     // Call.Service
	Signing    string      `json:"signing"`  // in the scope of credentials
	Protocol   string      `json:"protocol"` // that ask speaks; requests may come in another
	Version    string      `json:"version"`
	Target     string      `json:"target"` // before the operation in X-Amz-Target
	Operations []operation `json:"operations"`

	byName map[string]*operation
}

// operation says how a request looks. Method and what follows is there for the REST protocols only.
type operation struct {
	Name       string            `json:"n"`
	Method     string            `json:"m"`
	URI        string            `json:"u"`
	Labels     map[string]string `json:"l"` // of the path, to members; where they differ
	Query      map[string]string `json:"q"` // parameters, to members
	Headers    map[string]string `json:"h"` // in lower case, to members; "x-amz-meta-*" stands for all that begin so
	Body       map[string]string `json:"b"` // members of the body whose name there differs
	Payload    string            `json:"p"` // the member that is the whole body
	Required   []string          `json:"r"` // parameters "q:" and headers "h:" that a request must have
	Deprecated bool              `json:"d"`

	segments []string // of the path
	literals []string // parameters that the URI itself holds: "list-type=2"
}

// modelSet is all models, by the ways in which requests name them.
type modelSet struct {
	byName, byTarget map[string]*service
	bySigning        map[string][]*service // appconfig and appconfigdata sign alike
}

// loadModels reads the embedded table, once.
var loadModels = sync.OnceValues(func() (*modelSet, error) {
	var all []*service
	if err := json.Unmarshal([]byte(modelsJSON), &all); err != nil {
		return nil, astern.Errorf(astern.Internal, "reading the service models of the lab: %w", err)
	}
	set := &modelSet{map[string]*service{}, map[string]*service{}, map[string][]*service{}}
	for _, s := range all {
		s.byName = map[string]*operation{}
		for i := range s.Operations {
			o := &s.Operations[i]
			s.byName[o.Name] = o
			path, query, _ := strings.Cut(o.URI, "?")
			o.segments = segments(path)
			if query != "" {
				o.literals = strings.Split(query, "&")
			}
		}
		set.byName[s.Name] = s
		if s.Target != "" {
			set.byTarget[s.Target] = s
		}
		set.bySigning[s.Signing] = append(set.bySigning[s.Signing], s)
	}
	return set, nil
})

// segments cuts a path, without the empty one that a slash at the end makes.
func segments(path string) []string {
	return strings.Split(strings.Trim(path, "/"), "/")
}
