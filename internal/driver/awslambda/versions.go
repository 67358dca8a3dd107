package awslambda

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Bounds of what is read of one function.
const (
	maxVersions = 2000 // published versions that are listed
	maxJudged   = 50   // versions that are looked at closely: the newest, and those that the alias serves
)

// latest is the function as it is being worked on; it can be changed at any time, so it is no revision to go back to.
const latest = "$LATEST"

// version is a published version of the function.
type version struct {
	number   int64
	revision string // its name among revisions
	hash     string // sha256:HEX of its package, as the cloud computed it
	config   types.FunctionConfiguration
}

// function is what was seen of the function and its alias.
type function struct {
	arn      string
	latest   version
	versions []version // the newest first
	alias    alias
}

// alias is where an alias leads.
type alias struct {
	absent   bool
	main     string             // version
	weights  map[string]float64 // version -> share from 0 to 1, beside the main one
	revision string             // RevisionId: changes with each change of the alias
}

// ask reads the function, its versions and its alias. It returns a NotFound error when there is no such function.
// https://docs.aws.amazon.com/lambda/latest/api/API_ListVersionsByFunction.html
func ask(ctx context.Context, c *lambda.Client, p place) (function, error) {
	var f function
	doing := "reading the versions of " + p.Function
	pages := lambda.NewListVersionsByFunctionPaginator(c, &lambda.ListVersionsByFunctionInput{FunctionName: &p.Function})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return f, awsapi.Explain(err, doing, p.Function)
		}
		for _, v := range page.Versions {
			if aws.ToString(v.Version) == latest {
				f.latest, f.arn = version{hash: hashOf(v.CodeSha256), config: v}, strings.TrimSuffix(aws.ToString(v.FunctionArn), ":"+latest)
				continue
			}
			n, err := strconv.ParseInt(aws.ToString(v.Version), 10, 64)
			if err != nil || n < 1 {
				return f, astern.Errorf(astern.Internal, "%s: %q is no version", doing, awsapi.OneLine(aws.ToString(v.Version)))
			}
			f.versions = append(f.versions, version{number: n, hash: hashOf(v.CodeSha256), config: v})
		}
		if len(f.versions) > maxVersions {
			return f, astern.Errorf(astern.Refused, "%s: it has more than %d", doing, maxVersions).WithHint("delete versions that nobody goes back to")
		}
	}
	slices.SortFunc(f.versions, func(a, b version) int { return cmp.Compare(b.number, a.number) })
	f.name()
	var err error
	f.alias, err = askAlias(ctx, c, p)
	return f, err
}

// askAlias reads the alias; one that does not exist is absent.
// https://docs.aws.amazon.com/lambda/latest/api/API_GetAlias.html
func askAlias(ctx context.Context, c *lambda.Client, p place) (alias, error) {
	out, err := c.GetAlias(ctx, &lambda.GetAliasInput{FunctionName: &p.Function, Name: &p.Alias})
	if awsapi.Is(err, "ResourceNotFoundException") {
		return alias{absent: true}, nil
	}
	if err != nil {
		return alias{}, awsapi.Explain(err, fmt.Sprintf("reading the alias %s of %s", p.Alias, p.Function), p.Function+":"+p.Alias)
	}
	a := alias{main: aws.ToString(out.FunctionVersion), revision: aws.ToString(out.RevisionId), weights: map[string]float64{}}
	if out.RoutingConfig != nil {
		for v, share := range out.RoutingConfig.AdditionalVersionWeights {
			if share > 0 {
				a.weights[v] = share
			}
		}
	}
	return a, nil
}

// name gives each version its revision: its description where that is the name of a revision that no other version has,
// else its number.
func (f *function) name() {
	used := map[string]int{}
	for _, v := range f.versions {
		used[strconv.FormatInt(v.number, 10)]++
		used[aws.ToString(v.config.Description)]++
	}
	for i := range f.versions {
		v := &f.versions[i]
		v.revision = strconv.FormatInt(v.number, 10)
		if d := aws.ToString(v.config.Description); astern.ValidRevision(d) && used[d] == 1 {
			v.revision = d
		}
	}
}

// of returns the version of that number.
func (f function) of(number string) (version, bool) {
	i := slices.IndexFunc(f.versions, func(v version) bool { return strconv.FormatInt(v.number, 10) == number })
	if i < 0 {
		return version{}, false
	}
	return f.versions[i], true
}

// revisionLatest is what $LATEST is called among revisions.
const revisionLatest = "LATEST"

// revisionOf returns the name of a version that an alias leads to. That of $LATEST is no revision that can be gone back to.
func (f function) revisionOf(number string) string {
	if number == latest {
		return revisionLatest
	}
	if v, ok := f.of(number); ok {
		return v.revision
	}
	return number
}

// serves returns the revisions that the alias serves: the main one first.
func (f function) serves() string {
	out := []string{f.revisionOf(f.alias.main)}
	for _, v := range f.alias.additional() {
		out = append(out, f.revisionOf(v))
	}
	return strings.Join(out, "+")
}

// additional returns the versions beside the main one.
func (a alias) additional() []string {
	var out []string
	for v := range a.weights {
		out = append(out, v)
	}
	slices.Sort(out)
	return out
}

// routing is the alias as text, "" for one that serves a single version.
func (a alias) routing() string {
	var out []string
	for _, v := range a.additional() {
		out = append(out, v+"="+strconv.FormatFloat(a.weights[v], 'g', -1, 64))
	}
	return strings.Join(out, " ")
}

// parseRouting reads what routing writes.
func parseRouting(text string) (map[string]float64, error) {
	out := map[string]float64{}
	if text != strings.Join(strings.Fields(text), " ") {
		return nil, fmt.Errorf("%q holds more than shares", text)
	}
	for _, part := range strings.Fields(text) {
		v, share, _ := strings.Cut(part, "=")
		w, err := strconv.ParseFloat(share, 64)
		if err != nil || !digits.MatchString(v) || !(w > 0 && w <= 1) { // NaN is no share
			return nil, fmt.Errorf("%q is no share of a version", part)
		}
		out[v] = w
	}
	return out, nil
}

// judged are the versions that are looked at closely.
func (f function) judged() []version {
	var out []version
	for i, v := range f.versions {
		n := strconv.FormatInt(v.number, 10)
		if i < maxJudged || n == f.alias.main || f.alias.weights[n] > 0 {
			out = append(out, v)
		}
	}
	return out
}

// hashOf writes the cloud's base64 as astern writes hashes, "" when there is none.
func hashOf(sum *string) string {
	raw, err := base64.StdEncoding.DecodeString(aws.ToString(sum))
	if err != nil || len(raw) != 32 {
		return ""
	}
	return "sha256:" + hex.EncodeToString(raw)
}

// sumOf writes a hash as the cloud does, "" when it is none.
func sumOf(hash string) string {
	raw, err := hex.DecodeString(strings.TrimPrefix(hash, "sha256:"))
	if err != nil || len(raw) != 32 {
		return ""
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// modified returns when a version was published, zero when that can't be read.
func (v version) modified() time.Time {
	at, err := time.Parse("2006-01-02T15:04:05.000-0700", aws.ToString(v.config.LastModified))
	if err != nil {
		return time.Time{}
	}
	return at.UTC()
}
