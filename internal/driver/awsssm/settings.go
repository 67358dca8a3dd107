package awsssm

import (
	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/pattern"
)

// Settings is the `with` of a component of kind aws.ssm.
type Settings struct {
	awsapi.Settings
	// Parameter is the parameter's name.
	Parameter string `json:"parameter" jsonschema:"minLength=1,description=name of the parameter\\, with its path"`
}

// place is a component's settings, complete and valid.
type place struct {
	Settings
	component astern.Component
}

var (
	nameShape   = pattern.New(`^/?[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$`)
	numberShape = pattern.New(`^[1-9][0-9]{0,17}$`)
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
	problems := p.Settings.Problems()
	if !nameShape.MatchString(p.Parameter) || len(p.Parameter) > 1011 {
		problems = append(problems, astern.Problem{Path: "parameter", What: "is no name of a parameter", Hint: "write it with its path, such as /shop/config, without version or label"})
	}
	return p, problems
}

// validator is the driver's Validator, Occupier and Permitter.
type validator struct{}

// Validate returns every problem of the component's settings.
func (validator) Validate(c astern.Component) []astern.Problem {
	_, problems := examine(c)
	return problems
}

// Occupies names the parameter: two environments would take each other's writes for somebody else's.
func (validator) Occupies(c astern.Component) []string {
	p, problems := examine(c)
	if len(problems) > 0 {
		return nil
	}
	return []string{"the parameter " + p.Parameter + " in " + p.Where()}
}
