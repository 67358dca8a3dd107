package s3rules_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi/s3rules"
)

// When a rule takes what away, by the documentation's own examples: days count from the object, or from when it was
// replaced, and the rule acts at the midnight that follows.
func TestDeath(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 15, 10, 30, 0, 0, time.UTC)
	day := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	live := s3rules.Object{Key: "web/index.html", Size: 100, Latest: true, At: at}
	old := s3rules.Object{Key: "web/index.html", Size: 100, At: at.AddDate(0, 0, -5)}
	expire := func(days int32) s3types.LifecycleRule {
		return s3types.LifecycleRule{ID: aws.String("r"), Expiration: &s3types.LifecycleExpiration{Days: &days}}
	}
	noncurrent := func(days, newer int32) s3types.LifecycleRule {
		r := s3types.LifecycleRule{ID: aws.String("r"), NoncurrentVersionExpiration: &s3types.NoncurrentVersionExpiration{NoncurrentDays: &days}}
		if newer > 0 {
			r.NoncurrentVersionExpiration.NewerNoncurrentVersions = &newer
		}
		return r
	}
	filtered := func(r s3types.LifecycleRule, f s3types.LifecycleRuleFilter) s3types.LifecycleRule {
		r.Filter = &f
		return r
	}
	for name, c := range map[string]struct {
		rules     []s3types.LifecycleRule
		versioned bool
		e         s3rules.Object
		newer     int
		at        time.Time
		changes   int
	}{
		"no rule":                           {nil, true, old, 0, time.Time{}, 0},
		"an object without versions":        {[]s3types.LifecycleRule{expire(3)}, false, live, 0, day(19), 0},
		"at midnight exactly":               {[]s3types.LifecycleRule{expire(1)}, false, s3rules.Object{Key: "a", Latest: true, At: day(15)}, 0, day(16), 0},
		"a live version only becomes older": {[]s3types.LifecycleRule{expire(3)}, true, live, 0, time.Time{}, 0},
		"and then is deleted":               {[]s3types.LifecycleRule{expire(3), noncurrent(2, 0)}, true, live, 0, day(21), 0},
		"one rule does both": {[]s3types.LifecycleRule{{ID: aws.String("r"), Expiration: &s3types.LifecycleExpiration{Days: aws.Int32(3)},
			NoncurrentVersionExpiration: &s3types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(2)}}}, true, live, 0, day(21), 0},
		"an earlier version":             {[]s3types.LifecycleRule{noncurrent(10, 0)}, true, old, 0, day(26), 0},
		"the earlier of two rules":       {[]s3types.LifecycleRule{noncurrent(10, 0), noncurrent(4, 0)}, true, old, 0, day(20), 0},
		"kept by number":                 {[]s3types.LifecycleRule{noncurrent(1, 3)}, true, old, 1, time.Time{}, 2},
		"kept by number no longer":       {[]s3types.LifecycleRule{noncurrent(1, 3)}, true, old, 3, day(17), 0},
		"a prefix that is not ours":      {[]s3types.LifecycleRule{filtered(noncurrent(1, 0), s3types.LifecycleRuleFilter{Prefix: aws.String("logs/")})}, true, old, 0, time.Time{}, 0},
		"a size that is not ours":        {[]s3types.LifecycleRule{filtered(noncurrent(1, 0), s3types.LifecycleRuleFilter{ObjectSizeGreaterThan: aws.Int64(100)})}, true, old, 0, time.Time{}, 0},
		"tags can't be seen":             {[]s3types.LifecycleRule{filtered(noncurrent(1, 0), s3types.LifecycleRuleFilter{Tag: &s3types.Tag{Key: aws.String("k"), Value: aws.String("v")}})}, true, old, 0, day(17), 0},
		"archived where it is not to be": {[]s3types.LifecycleRule{{ID: aws.String("r"), NoncurrentVersionTransitions: []s3types.NoncurrentVersionTransition{{NoncurrentDays: aws.Int32(5), StorageClass: s3types.TransitionStorageClassDeepArchive}}}}, true, old, 0, day(21), 0},
		"moved where it can be read":     {[]s3types.LifecycleRule{{ID: aws.String("r"), NoncurrentVersionTransitions: []s3types.NoncurrentVersionTransition{{NoncurrentDays: aws.Int32(5), StorageClass: s3types.TransitionStorageClassStandardIa}}}}, true, old, 0, time.Time{}, 0},
	} {
		if d := (s3rules.Rules{List: c.rules, Versioned: c.versioned}).Death(c.e, at, c.newer); !d.At.Equal(c.at) || d.Changes != c.changes {
			t.Errorf("%s: %v after %d changes, want %v after %d", name, d.At, d.Changes, c.at, c.changes)
		}
	}
}

// TestParse: a proposal is read as the AWS CLI would, or refused with the place.
func TestParse(t *testing.T) {
	list, err := s3rules.Parse([]byte(`{"Rules": [{"ID": "tidy", "Filter": {"And": {"Prefix": "old/", "ObjectSizeGreaterThan": 10}}, "Status": "Enabled",
		"Expiration": {"Days": 30}, "Transitions": [{"Date": "2026-12-01T00:00:00Z", "StorageClass": "GLACIER"}]}]}`))
	if err != nil || len(list) != 1 || *list[0].Expiration.Days != 30 || *list[0].Filter.And.Prefix != "old/" || list[0].Transitions[0].Date.Year() != 2026 {
		t.Fatalf("%+v, %v", list, err)
	}
	for doc, says := range map[string]string{
		``:                            "reading lifecycle rules",
		`{"Rules": [`:                 "reading lifecycle rules",
		`{"Rulez": []}`:               "Rulez",
		`{"Rules": []} {"Rules": []}`: "something follows",
		`{"Rules": [{"ID": "a", "Expiration": {"Days": 3}}]}`:                        `lifecycle rule 1 (a): Status is ""`,
		`{"Rules": [{"ID": "a", "Status": "enabled", "Expiration": {"Days": 3}}]}`:   `Status is "enabled"`,
		`{"Rules": [{"ID": "a", "Status": "Enabled"}]}`:                              "it does nothing",
		`{"Rules": [{"ID": "a", "Status": "Enabled", "Expiration": {"Day": 3}}]}`:    "Day",
		`{"Rules": [{"ID": "a", "Status": "Enabled", "Expiration": {"Days": "3"}}]}`: "Days",
	} {
		if _, err := s3rules.Parse([]byte(doc)); astern.CodeOf(err) != astern.Invalid || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v, want %s", doc, err, says)
		}
	}
}
