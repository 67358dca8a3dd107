package awss3site

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/pattern"
)

// Settings is the `with` of a component of kind aws.s3site.
type Settings struct {
	awsapi.Settings
	// Bucket is the bucket's name.
	Bucket string `json:"bucket" jsonschema:"minLength=3,description=bucket of the site"`
	// Prefix is what the keys of the site begin with.
	Prefix string `json:"prefix,omitempty" jsonschema:"description=what the keys of the site begin with\\, such as shop/ (default: the whole bucket)"`
	// Entries are the objects that a visitor asks for first, in the order in which they are put.
	Entries []string `json:"entries,omitempty" jsonschema:"description=paths below the prefix that visitors ask for first (default index.html); they are put last"`
	// Distribution is the CloudFront distribution before the bucket.
	Distribution string `json:"distribution,omitempty" jsonschema:"description=id of the CloudFront distribution before the bucket\\, such as E2QWRUHEXAMPLE"`
	// Edge is where the site answers.
	Edge string `json:"edge,omitempty" jsonschema:"description=URL at which the site answers\\, such as https://www.example.org; its entry points are then proven by content\\, cache header and age after each switch"`
}

// place is a component's settings, complete and valid.
type place struct {
	Settings
	component astern.Component
	records   string // prefix of what astern keeps
}

var (
	bucketShape       = pattern.New(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	distributionShape = pattern.New(`^[A-Z0-9]{8,20}$`)
)

const recordsFolder = "astern-releases/"

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
	if !bucketShape.MatchString(p.Bucket) {
		add("bucket", "write its name, not its ARN or URL", "is no name of a bucket")
	}
	if p.Prefix != "" && (!strings.HasSuffix(p.Prefix, "/") || strings.HasPrefix(p.Prefix, "/") || !goodPath(p.Prefix)) {
		add("prefix", "write a prefix that ends in /, such as shop/", "%q is no prefix of keys", p.Prefix)
	}
	if strings.HasPrefix(p.Prefix, recordsFolder) {
		add("prefix", "choose another one", "%q is where astern keeps its records", p.Prefix)
	}
	p.records = recordsFolder + p.Prefix
	if p.Entries == nil {
		p.Entries = []string{"index.html"}
	}
	for i, e := range p.Entries {
		if !goodPath(e) || slices.Contains(p.Entries[:i], e) {
			add(fmt.Sprintf("entries/%d", i), "write each path below the prefix once, such as index.html", "%q is no path of an entry point", e)
		}
	}
	if len(p.Entries) == 0 || len(p.Entries) > 100 {
		add("entries", "name those that visitors ask for first", "there are %d entry points, not 1 to 100", len(p.Entries))
	}
	if p.Distribution != "" && !distributionShape.MatchString(p.Distribution) {
		add("distribution", "aws cloudfront list-distributions lists them", "is no id of a distribution")
	}
	p.Edge = strings.TrimSuffix(p.Edge, "/")
	if u, err := url.Parse(p.Edge); p.Edge != "" && (err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "http" && u.Scheme != "https") {
		add("edge", "write a URL such as https://www.example.org", "is no URL of the form https://HOST/PATH")
	}
	return p, problems
}

// goodPath reports whether s can be the key of an object below the prefix. S3 takes any UTF-8; control characters can't be
// written into the XML of its lists.
func goodPath(s string) bool {
	return s != "" && len(s) <= 1024 && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// goodRevision reports whether s is a revision's name: it then is one part of a key.
func goodRevision(s string) bool { return astern.ValidRevision(s) }

func (p place) manifestKey(revision string) string { return p.records + revision + ".json" }
func (p place) markerKey() string                  { return p.records + "_current.json" }
func (p place) copyKey(digest string) string       { return p.records + "_files/" + digest }

// isEntry reports whether a path is an entry point.
func (p place) isEntry(path string) bool { return slices.Contains(p.Entries, path) }

// arn names an object, or with an empty key the bucket.
func (p place) arn(key string) string {
	if key == "" {
		return "arn:aws:s3:::" + p.Bucket
	}
	return "arn:aws:s3:::" + p.Bucket + "/" + key
}

// url names an object as the AWS CLI does.
func (p place) url(key string) string { return "s3://" + p.Bucket + "/" + key }

// validator is the driver's Validator, Occupier and Permitter.
type validator struct{}

// Validate returns every problem of the component's settings.
func (validator) Validate(c astern.Component) []astern.Problem {
	_, problems := examine(c)
	return problems
}

// Occupies names the prefix of the bucket, whose name is the same in all accounts: two environments would take each
// other's objects for somebody else's.
func (validator) Occupies(c astern.Component) []string {
	p, problems := examine(c)
	if len(problems) > 0 {
		return nil
	}
	return []string{p.url(p.Prefix)}
}

func oneLine(s string) string { return awsapi.OneLine(s) }
