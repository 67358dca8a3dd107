package awsecs

import (
	"fmt"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/pattern"
)

// Settings is the `with` of a component of kind aws.ecs.
type Settings struct {
	awsapi.Settings
	// Cluster is the cluster's name.
	Cluster string `json:"cluster,omitempty" jsonschema:"description=name of the cluster (default: default)"`
	// Service is the service's name.
	Service string `json:"service" jsonschema:"minLength=1,description=name of the service"`
}

// place is a component's settings, complete and valid.
type place struct {
	Settings
	component astern.Component
}

var (
	nameShape = pattern.New(`^[A-Za-z0-9_-]{1,255}$`)
	arnShape  = pattern.New(`^arn:aws[a-z-]*:ecs:[a-z0-9-]+:[0-9]{12}:task-definition/([A-Za-z0-9_-]{1,255}):([1-9][0-9]{0,9})$`)
)

// resolve reads a component's settings. It returns an Invalid error that names the first problem.
func resolve(c astern.Component) (place, error) {
	p, problems := examine(c)
	if len(problems) > 0 {
		w := problems[0]
		return place{}, astern.Errorf(astern.Invalid, "reading the settings of %s: with/%s %s", c.Address(), w.Path, w.What).WithHint("%s", w.Hint)
	}
	return p, nil
}

// examine decodes the settings and returns every problem of them.
func examine(c astern.Component) (place, []astern.Problem) {
	p := place{component: c}
	if problems := awsapi.Decode(c.Settings, &p.Settings); len(problems) > 0 {
		return p, problems
	}
	if p.Cluster == "" {
		p.Cluster = "default"
	}
	problems := p.Settings.Problems()
	for _, f := range []struct{ at, value string }{{"cluster", p.Cluster}, {"service", p.Service}} {
		if !nameShape.MatchString(f.value) {
			problems = append(problems, astern.Problem{Path: f.at, What: "is no name of a " + f.at,
				Hint: "write its name and not its ARN: region, role and account stand beside it"})
		}
	}
	return p, problems
}

// beside is the name of the temporary service that takes a share, "" where the service's own name is too long for one.
func (p place) beside() string {
	const most = 255 // https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html
	if name := p.Service + "-astern"; len(name) <= most {
		return name
	}
	return ""
}

// command is what a person types.
func (p place) command(operation string, words ...string) string {
	all := append([]string{"aws", "ecs", operation, "--cluster", p.Cluster}, words...)
	return host.QuoteAll(append(all, p.Options()...)...)
}

// validator is the driver's Validator, Occupier and Permitter.
type validator struct{}

// Validate returns every problem of the component's settings.
func (validator) Validate(c astern.Component) []astern.Problem {
	_, problems := examine(c)
	return problems
}

// Occupies names the service: two environments would take each other's deployments for somebody else's.
func (validator) Occupies(c astern.Component) []string {
	p, problems := examine(c)
	if len(problems) > 0 {
		return nil
	}
	return []string{fmt.Sprintf("the service %s of the cluster %s in %s", p.Service, p.Cluster, p.Where())}
}
