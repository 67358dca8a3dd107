package awssecret

import (
	"slices"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/pattern"
)

// Settings is the `with` of a component of kind aws.secret.
type Settings struct {
	awsapi.Settings
	// Secret is the secret's name or ARN.
	Secret string `json:"secret" jsonschema:"minLength=1,description=name or ARN of the secret"`
	// Tries is a check that tries a credential.
	Tries string `json:"tries,omitempty" jsonschema:"description=check of the component that tries the credential of version {revision}; it must pass before that version becomes the current one"`
}

// place is a component's settings, complete and valid.
type place struct {
	Settings
	component astern.Component
}

var (
	secretShape  = pattern.New(`^[A-Za-z0-9/_+=.@:-]+$`)
	versionShape = pattern.New(`^[A-Za-z0-9-]{32,64}$`)
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
	if !secretShape.MatchString(p.Secret) || len(p.Secret) > 2048 {
		problems = append(problems, astern.Problem{Path: "secret", What: "is no name or ARN of a secret", Hint: "aws secretsmanager list-secrets lists them"})
	}
	if p.Tries != "" && !slices.ContainsFunc(c.Checks, func(k astern.Check) bool { return k.Name == p.Tries }) {
		problems = append(problems, astern.Problem{Path: "tries", What: "names a check that the component does not have",
			Hint: "declare it below checks, with {revision} in its command or its env: that is the VersionId to try"})
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

// Occupies names the secret: two environments would take each other's moves for somebody else's.
func (validator) Occupies(c astern.Component) []string {
	p, problems := examine(c)
	if len(problems) > 0 {
		return nil
	}
	return []string{"the secret " + p.Secret + " in " + p.Where()}
}
