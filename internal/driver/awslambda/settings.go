package awslambda

import (
	"fmt"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/pattern"
)

// Settings is the `with` of a component of kind aws.lambda.
type Settings struct {
	awsapi.Settings
	// Function is the function's name.
	Function string `json:"function" jsonschema:"minLength=1,description=name of the function"`
	// Alias is what callers use and what is moved.
	Alias string `json:"alias" jsonschema:"minLength=1,description=alias that callers use; it is moved between published versions"`
	// Archive is where the code of every revision is kept.
	Archive *Archive `json:"archive,omitempty" jsonschema:"description=where the code of each revision is kept: a version that was deleted comes back from there"`
}

// Archive is a place in S3.
type Archive struct {
	// Bucket is the bucket's name.
	Bucket string `json:"bucket" jsonschema:"minLength=3,description=bucket of the archives"`
	// Key holds {revision} once.
	Key string `json:"key" jsonschema:"minLength=1,description=key of a revision's archive\\, such as shop/{revision}.zip"`
}

// place is a component's settings, complete and valid.
type place struct {
	Settings
	component astern.Component
}

// revisionHole is what stands for the revision in an archive's key.
const revisionHole = "{revision}"

var (
	functionShape = pattern.New(`^[A-Za-z0-9_-]{1,64}$`)
	aliasShape    = pattern.New(`^[A-Za-z0-9_-]{1,128}$`)
	digits        = pattern.New(`^[0-9]+$`)
	bucketShape   = pattern.New(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
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
	add := func(at, hint, format string, args ...any) {
		problems = append(problems, astern.Problem{Path: at, What: fmt.Sprintf(format, args...), Hint: hint})
	}
	if !functionShape.MatchString(p.Function) {
		add("function", "write its name, without version and not as ARN: region, role and account stand beside it", "is no name of a function")
	}
	if !aliasShape.MatchString(p.Alias) || digits.MatchString(p.Alias) {
		add("alias", "aws lambda list-aliases lists those of a function", "is no name of an alias")
	}
	if a := p.Archive; a != nil {
		if !bucketShape.MatchString(a.Bucket) {
			add("archive/bucket", "", "is no name of a bucket")
		}
		if strings.Count(a.Key, revisionHole) != 1 || len(a.Key) > 900 {
			add("archive/key", "write a key such as shop/{revision}.zip", "must hold %s once", revisionHole)
		}
	}
	return p, problems
}

// key returns the archive's key of a revision.
func (a Archive) key(revision string) string {
	return strings.Replace(a.Key, revisionHole, revision, 1)
}

// revision returns the revision whose archive has the key.
func (a Archive) revision(key string) (string, bool) {
	before, after, _ := strings.Cut(a.Key, revisionHole)
	rest, begins := strings.CutPrefix(key, before)
	revision, ends := strings.CutSuffix(rest, after)
	if !begins || !ends || !astern.ValidRevision(revision) {
		return "", false
	}
	return revision, true
}

// validator is the driver's Validator, Occupier and Permitter.
type validator struct{}

// Validate returns every problem of the component's settings.
func (validator) Validate(c astern.Component) []astern.Problem {
	_, problems := examine(c)
	return problems
}

// Occupies names the alias: two environments would take each other's moves for somebody else's.
func (validator) Occupies(c astern.Component) []string {
	p, problems := examine(c)
	if len(problems) > 0 {
		return nil
	}
	return []string{"the alias " + p.Alias + " of the function " + p.Function + " in " + p.Where()}
}
