package awsapi

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
)

// Settings are what the `with` of every AWS kind has: where a component is, and as whom it is reached. Drivers embed it.
type Settings struct {
	// Region is where the component is.
	Region string `json:"region,omitempty" jsonschema:"description=region of the component\\, such as eu-central-1 (default: AWS_REGION or that of the profile)"`
	// Profile is a profile of ~/.aws/config.
	Profile string `json:"profile,omitempty" jsonschema:"description=profile of ~/.aws/config (default: AWS_PROFILE or what the machine has)"`
	// Role is assumed on top of these credentials.
	Role string `json:"role,omitempty" jsonschema:"description=ARN of a role that is assumed"`
	// Account guards against the credentials of another account.
	Account string `json:"account,omitempty" jsonschema:"description=account of 12 digits that the credentials must be of; anything else is refused"`
}

var (
	regionShape  = pattern.New(`^[a-z]{2,4}(-[a-z]+){1,3}-[0-9]{1,2}$`)
	roleShape    = pattern.New(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$`)
	accountShape = pattern.New(`^[0-9]{12}$`)
	profileShape = pattern.New(`^[^\s\x00-\x1f\x7f\[\]][^\x00-\x1f\x7f\[\]]{0,127}$`)
)

// Problems returns what is wrong with the settings; paths are below `with`.
func (s Settings) Problems() []astern.Problem {
	var out []astern.Problem
	check := func(at, value, what, hint string, shape *pattern.Pattern) {
		if value != "" && !shape.MatchString(value) {
			out = append(out, astern.Problem{Path: at, What: "is no " + what, Hint: hint})
		}
	}
	check("region", s.Region, "region of AWS", "write one such as eu-central-1", regionShape)
	check("profile", s.Profile, "name of a profile", "aws configure list-profiles lists those of this machine", profileShape)
	check("role", s.Role, "ARN of a role", "write one such as arn:aws:iam::123456789012:role/astern", roleShape)
	check("account", s.Account, "account", `write its 12 digits in quotes, such as "123456789012"`, accountShape)
	return out
}

// Options are the options of the AWS CLI that mean the same, for the command that a person would type; a role needs a
// profile of its own there.
func (s Settings) Options() []string {
	var out []string
	if s.Region != "" {
		out = append(out, "--region", s.Region)
	}
	if s.Profile != "" {
		out = append(out, "--profile", s.Profile)
	}
	return out
}

// Where names region and account in words, for what two components must not share.
func (s Settings) Where() string {
	region, whose := s.Region, s.Account
	if region == "" {
		region = "the region of the environment"
	}
	if whose == "" {
		whose = strings.TrimSpace(s.Profile + " " + s.Role)
	}
	if whose == "" {
		whose = "the account of the environment"
	}
	return region + " of " + whose
}

// with says which credentials are meant, for an error.
func (s Settings) with() string {
	switch {
	case s.Role != "":
		return " as " + s.Role
	case s.Profile != "":
		return " with the profile " + s.Profile
	}
	return ""
}

// Places returns the settings that places of `astern init` name: "aws:" is the region of the environment, "aws:REGION" a
// region. Other places are not of AWS. It returns an Invalid error for one that is no region.
func Places(places []string) ([]Settings, error) {
	var out []Settings
	for _, p := range places {
		region, ok := strings.CutPrefix(p, "aws:")
		if !ok {
			continue
		}
		s := Settings{Region: region}
		if problems := s.Problems(); len(problems) > 0 {
			return nil, astern.Errorf(astern.Invalid, "looking at %q: it %s", p, problems[0].What).WithHint("write aws:eu-central-1, or aws: for the region of the environment")
		}
		out = append(out, s)
	}
	return out, nil
}

// Pager makes the Discoverer and the Pager of a kind from what looks at one page of a session.
type Pager struct {
	accounts *Accounts
	page     func(ctx context.Context, s *Session, settings Settings, token *string) (found []astern.Discovered, next *string, err error)
}

// NewPager returns a Pager. Settings that page is given name the region.
func NewPager(accounts *Accounts, page func(ctx context.Context, s *Session, settings Settings, token *string) ([]astern.Discovered, *string, error)) Pager {
	return Pager{accounts, page}
}

// maxDiscovered bounds what is taken of one kind and place into one file, maxPages a list that does not end.
const (
	maxDiscovered = 5000
	maxPages      = 10_000
)

// Discover goes through all pages of all places.
func (p Pager) Discover(ctx context.Context, places []string) ([]astern.Discovered, error) {
	if _, err := Places(places); err != nil {
		return nil, err
	}
	var out []astern.Discovered
	for _, place := range places {
		next, n := "", 0
		for range maxPages {
			found, following, err := p.DiscoverPage(ctx, place, next)
			if err != nil {
				return nil, err
			}
			if n += len(found); n > maxDiscovered {
				return nil, astern.Errorf(astern.Refused, "looking at %q: there are more than %d of one kind", place, maxDiscovered)
			}
			out = append(out, found...)
			if following == "" || following == next {
				break
			}
			next = following
		}
	}
	return out, nil
}

// DiscoverPage looks at one page of a region.
func (p Pager) DiscoverPage(ctx context.Context, place, page string) ([]astern.Discovered, string, error) {
	where, err := Places([]string{place})
	if err != nil || len(where) == 0 {
		return nil, "", err
	}
	session, err := p.accounts.Session(ctx, where[0])
	if err != nil {
		return nil, "", err
	}
	where[0].Region = session.Region
	var token *string
	if page != "" {
		token = &page
	}
	found, next, err := p.page(ctx, session, where[0], token)
	return found, aws.ToString(next), err
}

// Decode reads the settings of a component strictly.
func Decode(raw json.RawMessage, into any) []astern.Problem {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return []astern.Problem{{What: "can't be read: " + oneLine(err.Error()), Hint: "astern schema shows what is allowed"}}
	}
	return nil
}
