package awsappconfig

import (
	"cmp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/pattern"
)

// Settings is the `with` of a component of kind aws.appconfig.
type Settings struct {
	awsapi.Settings
	// Application is the name or the id of the application.
	Application string `json:"application" jsonschema:"minLength=1,description=name or id of the application"`
	// Environment is the name or the id of its environment.
	Environment string `json:"environment" jsonschema:"minLength=1,description=name or id of the environment of AppConfig"`
	// Configuration is the name or the id of its configuration profile. It is not called profile, which is that of ~/.aws.
	Configuration string `json:"configuration" jsonschema:"minLength=1,description=name or id of the configuration profile"`
	// Strategy is how a version is deployed on the way back.
	Strategy string `json:"strategy,omitempty" jsonschema:"description=name or id of the deployment strategy on the way back (default: AppConfig.AllAtOnce)"`
}

// atOnce is the strategy where none is declared: every account has it, and what is gone back to ran before, so that what
// counts is how soon everybody has it.
// https://docs.aws.amazon.com/appconfig/latest/userguide/appconfig-creating-deployment-strategy-predefined.html
const atOnce = "AppConfig.AllAtOnce"

// place is a component's settings, complete and valid.
type place struct {
	Settings
	component astern.Component
}

// idShape is what ids of AppConfig look like; a name can look the same.
var idShape = pattern.New(`^[a-z0-9]{4,7}$`)

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
	p.Strategy = cmp.Or(p.Strategy, atOnce)
	for _, s := range []struct {
		path, value, list string
		most              int
	}{
		{"application", p.Application, "list-applications", 64},
		{"environment", p.Environment, "list-environments --application-id ID", 64},
		{"configuration", p.Configuration, "list-configuration-profiles --application-id ID", 128},
		{"strategy", p.Strategy, "list-deployment-strategies", 64},
	} {
		if n := utf8.RuneCountInString(s.value); n < 1 || n > s.most || !utf8.ValidString(s.value) || strings.ContainsFunc(s.value, unicode.IsControl) {
			problems = append(problems, astern.Problem{Path: s.path, What: "is neither a name nor an id of AppConfig", Hint: "aws appconfig " + s.list + " lists them"})
		}
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

// Occupies names the configuration in its environment: two would take each other's deployments for somebody else's.
func (validator) Occupies(c astern.Component) []string {
	p, problems := examine(c)
	if len(problems) > 0 {
		return nil
	}
	return []string{"the configuration " + p.Configuration + " of " + p.Application + "/" + p.Environment + " in " + p.Where()}
}
