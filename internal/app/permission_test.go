package app

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
)

// declared are settings of each kind that needs permissions, with everything that can be declared, and with little.
var declared = map[string][]string{
	"aws.lambda": {`{"function":"shop","alias":"live","region":"eu-central-1","account":"123456789012","archive":{"bucket":"code-of-shop","key":"shop/{revision}.zip"}}`,
		`{"function":"shop","alias":"live"}`, `{"function":"shop","alias":"live","region":"cn-north-1","role":"arn:aws-cn:iam::123456789012:role/astern"}`},
	"aws.secret": {`{"secret":"shop/db","region":"eu-central-1","account":"123456789012"}`, `{"secret":"shop/db"}`,
		`{"secret":"arn:aws:secretsmanager:eu-central-1:123456789012:secret:shop/db-AbCdEf"}`},
	"aws.ssm": {`{"parameter":"/shop/config","region":"eu-central-1","account":"123456789012"}`, `{"parameter":"config"}`},
	"aws.appconfig": {`{"application":"shop","environment":"production","configuration":"flags","region":"eu-central-1","account":"123456789012"}`,
		`{"application":"abc1234","environment":"def5678","configuration":"0a1b2c3"}`},
	"aws.ecs": {`{"cluster":"shop","service":"api","region":"eu-central-1","account":"123456789012"}`, `{"service":"api"}`},
	"aws.s3site": {`{"bucket":"web-of-shop","prefix":"app/","distribution":"E2QWRUHEXAMPLE","region":"eu-central-1","account":"123456789012"}`,
		`{"bucket":"web-of-shop"}`},
}

// needed calls f for each permission of each kind.
func needed(t *testing.T, f func(kind string, p astern.Permission)) {
	t.Helper()
	for _, d := range Drivers(nil, nil) {
		if d.Permitter == nil {
			continue
		}
		if len(declared[d.Kind]) == 0 {
			t.Errorf("this test has no settings of the kind %s", d.Kind)
		}
		for _, s := range declared[d.Kind] {
			c := astern.Component{Environment: "production", Name: "it", Kind: d.Kind, Settings: json.RawMessage(s)}
			list := d.Permitter.Permissions(c)
			if len(list) == 0 {
				t.Errorf("%s needs nothing for %s: %v", d.Kind, s, d.Validator.Validate(c))
			}
			for _, p := range list {
				f(d.Kind, p)
			}
		}
		if got := d.Permitter.Permissions(astern.Component{Kind: d.Kind, Settings: json.RawMessage(`{"no":"such"}`)}); got != nil {
			t.Errorf("%s: settings that are not valid need %v", d.Kind, got)
		}
	}
}

// action is a row of AWS's own table of actions.
type action struct {
	level           string
	resources, keys []string
}

func reference(t *testing.T) map[string]action {
	t.Helper()
	text, err := os.ReadFile("testdata/authorization.tsv")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]action{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(strings.TrimRight(line, "\n"), "\t"); len(cells) == 4 {
			out[cells[0]] = action{cells[1], strings.Fields(cells[2]), strings.Fields(cells[3])}
		}
	}
	return out
}

var hole = regexp.MustCompile(`\$\{[A-Za-z]+\}`)

// shaped reports whether a resource has the form that the reference has for a kind of resources.
func shaped(resource, form string) bool {
	form = strings.Replace(form, "${Partition}", "aws", 1)
	parts := hole.Split(form, -1)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	resource = regexp.MustCompile(`^arn:aws(-cn)?:`).ReplaceAllString(resource, "arn:aws:")
	return regexp.MustCompile(`^` + strings.Join(parts, `.+`) + `$`).MatchString(resource)
}

// AWS's own reference knows each action, takes the resource and the conditions that stand beside it, and calls it what it
// is used for: what reads, reads.
func TestPermissionsAreThoseOfAWS(t *testing.T) {
	known := reference(t)
	needed(t, func(kind string, p astern.Permission) {
		row, ok := known[p.Action]
		if !ok {
			t.Errorf("%s: there is no action %s", kind, p.Action)
			return
		}
		everything := p.Action == "cloudwatch:DescribeAlarms" // with less, composite alarms are not told: its API reference
		if p.Resource == "*" != (len(row.resources) == 0 || everything) || p.Resource != "*" && !slices.ContainsFunc(row.resources, func(form string) bool { return shaped(p.Resource, form) }) {
			t.Errorf("%s: %s is on %s, and AWS takes %v", kind, p.Action, p.Resource, row.resources)
		}
		if (p.Use == astern.UseRead || p.Use == astern.UseDiscover) && row.level != "Read" && row.level != "List" {
			t.Errorf("%s: %s is for reading, and AWS calls it %s", kind, p.Action, row.level)
		}
		for _, keys := range p.When {
			for key := range keys {
				if !strings.HasPrefix(key, "aws:") && !slices.ContainsFunc(row.keys, func(k string) bool { return shaped(key, k) }) {
					t.Errorf("%s: %s has no condition %s", kind, p.Action, key)
				}
			}
		}
		if p.Why == "" || len(p.Verbs) == 0 && (p.Use == astern.UseRecover || p.Use == astern.UsePrune) && !p.Forbidden {
			t.Errorf("%s: %s says no reason, or no verb that needs it", kind, p.Action)
		}
		if p.Example != "" && !astern.MatchesPattern(p.Resource, p.Example) {
			t.Errorf("%s: %s is no example of %s", kind, p.Example, p.Resource)
		}
	})
}

// A restore point is never deleted: whoever gets at the credentials that recover can't take the way back away.
func TestNothingThatRecoversDeletes(t *testing.T) {
	known := reference(t)
	takesAway := regexp.MustCompile(`:(Batch)?(Delete|Deregister|Remove|Abort|Expire|Purge|Terminate|Disable|Put.*(Lifecycle|Policy|Versioning|Retention))`)
	needed(t, func(kind string, p astern.Permission) {
		own := strings.HasSuffix(p.Resource, "-astern") // what astern makes beside a thing, and takes away again
		if takesAway.MatchString(p.Action) && p.Use != astern.UsePrune && !own {
			t.Errorf("%s: %s is needed to %s", kind, p.Action, p.Use)
		}
		if p.Action == "s3:DeleteObjectVersion" || known[p.Action].level == "Permissions management" || strings.Contains(p.Action, "*") {
			t.Errorf("%s: %s is needed at all", kind, p.Action)
		}
		if p.Action == "s3:DeleteObject" && !p.Forbidden && strings.HasSuffix(p.Resource, ":web-of-shop/*") {
			guarded := false
			needed(t, func(_ string, q astern.Permission) {
				guarded = guarded || q.Forbidden && q.Action == p.Action && q.Resource == "arn:aws:s3:::web-of-shop/astern-releases/*"
			})
			if !guarded {
				t.Errorf("%s: pruning may delete the records of releases", kind)
			}
		}
	})
}

// What watches a component asks CloudWatch: by its own region and role, where it has them.
func TestPermissionsOfWatching(t *testing.T) {
	known := reference(t)
	c := astern.Component{Environment: "production", Name: "shop", Signals: []astern.Signal{{CloudWatch: &astern.CloudWatchSource{}}},
		Alarms: []astern.Alarm{{AWSPlace: astern.AWSPlace{Region: "us-east-1", Account: "123456789012"}, Alarm: "errors"}},
		Logs:   &astern.LogSource{AWSPlace: astern.AWSPlace{Region: "eu-central-1", Account: "123456789012"}, Group: "/aws/lambda/shop"}}
	got := map[string]bool{}
	for _, w := range watching(c) {
		for _, p := range w.needs {
			got[p.Action] = true
			row := known[p.Action]
			if row.level != "Read" && row.level != "List" || // metrics are of no resource but where they are in a dataset
				p.Resource != "*" && !slices.ContainsFunc(row.resources, func(form string) bool { return shaped(p.Resource, form) }) {
				t.Errorf("%s on %s: %+v", p.Action, p.Resource, row)
			}
		}
	}
	if !got["cloudwatch:GetMetricData"] || !got["cloudwatch:DescribeAlarms"] || !got["logs:FilterLogEvents"] {
		t.Errorf("%v", got)
	}
	if len(watching(astern.Component{})) != 0 {
		t.Error("a component that nothing watches needs something")
	}
}
