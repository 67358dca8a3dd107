// Package awsssm is the driver of kind aws.ssm: a parameter of Systems Manager's Parameter Store, whose earlier value is put
// back.
//
// A revision is a version of the parameter, by its number. The cloud can't make an earlier version the current one, so its
// value is put again, as a new version, whose description ends in a mark: "(version 7 has the value of version 3)" is revision 3.
// The mark names its own version, because a later write may take over the description. It is no label, because a version with
// a label is never deleted, so that Parameter Store would refuse the hundredth write after it. Values are
// decrypted in memory for that one call, and appear nowhere: not in a state, a plan, a journal, an output or an error. Nor do
// hashes of them, because a hash tells a value that can be guessed.
//
// Parameter Store has no condition for a write: a small time remains between the last look and the call, and a write of
// somebody else in that time is told afterwards.
//
// Reading order: settings.go (what is declared), observe.go (what is seen), route.go (targets and ways), act.go (going them).
package awsssm

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/pattern"
)

// Kind is the driver's kind.
const Kind = "aws.ssm"

// verbPut is the verb of the driver's steps.
const verbPut = "put"

// driver is what the abilities share.
type driver struct {
	accounts *awsapi.Accounts
	lookup   func(address string) (astern.Component, bool)
	now      func() time.Time
}

// New returns the driver. Lookup finds a component by its address, for acting. The caller closes the accounts.
func New(accounts *awsapi.Accounts, lookup func(address string) (astern.Component, bool)) astern.Driver {
	d := &driver{accounts: accounts, lookup: lookup, now: time.Now}
	pages := awsapi.NewPager(accounts, page)
	return astern.Driver{
		Kind:     Kind,
		Layer:    astern.LayerApplication,
		Settings: Settings{},
		Verbs: []astern.VerbInfo{
			{Verb: verbPut, What: "puts the value of an earlier version as a new one",
				Undo: astern.UndoInverse, Exclusion: astern.Window, Found: "state"},
		},
		Observer:   d,
		Router:     router{},
		Actor:      &actor{d},
		Validator:  validator{},
		Occupier:   validator{},
		Discoverer: pages,
		Pager:      pages,
		Permitter:  validator{},
	}
}

// version is one version of the parameter. Its entry holds the value only where it was asked for decrypted.
type version struct {
	number int64
	entry  types.ParameterHistory
}

// written is when the version was written; "" where that is not known.
func (v version) written() string {
	if v.entry.LastModifiedDate == nil {
		return ""
	}
	return v.entry.LastModifiedDate.UTC().Format(time.RFC3339Nano)
}

// mark is how the description of a version ends that has the value of an earlier one.
var mark = pattern.New(`\s*\(version ([0-9]+) has the value of version ([1-9][0-9]{0,17})\)$`)

// revision is what the version is among revisions: the number of the one whose value it has.
func (v version) revision() string {
	own := strconv.FormatInt(v.number, 10)
	if m := mark.FindStringSubmatch(aws.ToString(v.entry.Description)); m != nil && m[1] == own {
		return m[2]
	}
	return own
}

// longestDescription is what Parameter Store takes.
const longestDescription = 1024

// marked returns the description of a version that has the value of a revision: the user's own words stay.
func marked(description *string, number int64, revision string) string {
	words := aws.ToString(description)
	if at := mark.FindStringIndex(words); at != nil {
		words = words[:at[0]]
	}
	end := fmt.Sprintf("(version %d has the value of version %s)", number, revision)
	for len(words) > 0 && len(words)+1+len(end) > longestDescription {
		_, size := utf8.DecodeLastRuneInString(words)
		words = words[:len(words)-size]
	}
	return strings.TrimSpace(words + " " + end)
}

// history returns the versions of the parameter that there are, the newest first: at most a hundred. It returns a NotFound error when
// there is no such parameter.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameterHistory.html
func history(ctx context.Context, c *ssm.Client, p place, decrypted bool) ([]version, error) {
	var out []version
	pages := ssm.NewGetParameterHistoryPaginator(c, &ssm.GetParameterHistoryInput{Name: &p.Parameter, WithDecryption: &decrypted})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, awsapi.ExplainQuietly(err, "reading the history of the parameter "+p.Parameter, p.Parameter)
		}
		for _, e := range page.Parameters {
			out = append(out, version{e.Version, e})
		}
	}
	if len(out) == 0 {
		return nil, astern.Errorf(astern.NotFound, "reading the history of the parameter %s: it has none", p.Parameter)
	}
	slices.SortFunc(out, func(a, b version) int { return cmp.Compare(b.number, a.number) })
	return out, nil
}

// full returns why there can be no further version: the oldest is in its way, for a label keeps it.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-versions.html
func full(all []version) error {
	oldest := all[len(all)-1]
	if len(all) < keptVersions || len(oldest.entry.Labels) == 0 {
		return nil
	}
	return astern.Errorf(astern.Refused, "Parameter Store takes no further version: %d are kept, and the oldest, %d, can't be deleted, for it is labelled %s", len(all), oldest.number,
		strings.Join(oldest.entry.Labels, " ")).WithHint("aws ssm unlabel-parameter-version takes the label away, and the version is deleted then")
}

// source returns the version that has a revision's value: itself, or else the newest that was put back from it.
func source(all []version, revision string) (version, bool) {
	for _, v := range all {
		if strconv.FormatInt(v.number, 10) == revision && v.revision() == revision {
			return v, true
		}
	}
	for _, v := range all {
		if v.revision() == revision {
			return v, true
		}
	}
	return version{}, false
}

// arn returns the ARN of the parameter; its value stays encrypted and is dropped.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
func arn(ctx context.Context, c *ssm.Client, p place) (string, error) {
	out, err := c.GetParameter(ctx, &ssm.GetParameterInput{Name: &p.Parameter})
	if err != nil {
		return "", awsapi.ExplainQuietly(err, "looking at the parameter "+p.Parameter, p.Parameter)
	}
	if out.Parameter == nil {
		return "", astern.Errorf(astern.Unavailable, "looking at the parameter %s: the answer has none", p.Parameter)
	}
	return aws.ToString(out.Parameter.ARN), nil
}
