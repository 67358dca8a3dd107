package lab

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// lifecycle is a bucket's configuration of rules.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_LifecycleRule.html
type lifecycle struct {
	Rules []lifecycleRule `xml:"Rule"`
}

type lifecycleRule struct {
	ID         string
	Status     string
	Prefix     string // of the older form of rules
	Filter     lifecycleFilter
	Expiration struct {
		Days                      int
		Date                      string
		ExpiredObjectDeleteMarker bool
	}
	Noncurrent struct {
		Days  int `xml:"NoncurrentDays"`
		Newer int `xml:"NewerNoncurrentVersions"`
	} `xml:"NoncurrentVersionExpiration"`
	Moves []lifecycleMove `xml:"NoncurrentVersionTransition"`
}

// lifecycleFilter says which objects a rule is about. All of it must be true.
type lifecycleFilter struct {
	Prefix  string
	Tag     []lifecycleTag
	Greater *int64           `xml:"ObjectSizeGreaterThan"`
	Less    *int64           `xml:"ObjectSizeLessThan"`
	And     *lifecycleFilter `xml:"And"`
}

type lifecycleTag struct{ Key, Value string }

func readLifecycle(document []byte) (lifecycle, error) {
	var out lifecycle
	if err := xml.Unmarshal(document, &out); err != nil {
		return lifecycle{}, fmt.Errorf("reading lifecycle rules: %w", err)
	}
	return out, nil
}

// object is what a rule is asked about.
type object struct {
	key     string
	created time.Time // by the lab's clock
	size    int64
	tags    map[string]string
}

// tagged reports whether a rule asks for tags.
func (lc lifecycle) tagged() bool {
	for _, r := range lc.Rules {
		if len(r.Filter.Tag) > 0 || r.Filter.And != nil && len(r.Filter.And.Tag) > 0 {
			return true
		}
	}
	return false
}

func (r lifecycleRule) about(o object) bool {
	return r.Status == "Enabled" && strings.HasPrefix(o.key, r.Prefix) && r.Filter.about(o)
}

func (f lifecycleFilter) about(o object) bool {
	for _, t := range f.Tag {
		if v, ok := o.tags[t.Key]; !ok || v != t.Value {
			return false
		}
	}
	return strings.HasPrefix(o.key, f.Prefix) && (f.Greater == nil || o.size > *f.Greater) && (f.Less == nil || o.size < *f.Less) &&
		(f.And == nil || f.And.about(o))
}

// midnight is when a number of days after a time is over: S3 rounds up to the next midnight UTC.
//
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html#intro-lifecycle-rules-number-of-days
func midnight(t time.Time, days int) time.Time {
	t = t.UTC().AddDate(0, 0, days)
	if whole := t.Truncate(24 * time.Hour); whole.Before(t) {
		return whole.Add(24 * time.Hour)
	}
	return t
}

// expiry is when the rules take a current object away, and which of them does so first.
func (lc lifecycle) expiry(o object) (at time.Time, rule string, ok bool) {
	for _, r := range lc.Rules {
		if !r.about(o) {
			continue
		}
		var when time.Time
		switch {
		case r.Expiration.Days > 0:
			when = midnight(o.created, r.Expiration.Days)
		case r.Expiration.Date != "":
			t, err := time.Parse(time.RFC3339, r.Expiration.Date)
			if err != nil {
				continue
			}
			when = t.UTC()
		default:
			continue
		}
		if !ok || when.Before(at) {
			at, rule, ok = when, r.ID, true
		}
	}
	return at, rule, ok
}

// dead is the rule that has taken a version away by now which is not the current one: superseded is when it ceased to be,
// newer how many are newer and not current either.
func (lc lifecycle) dead(o object, superseded time.Time, newer int, now time.Time) (rule string, ok bool) {
	for _, r := range lc.Rules {
		if r.Noncurrent.Days > 0 && newer >= r.Noncurrent.Newer && r.about(o) && !now.Before(midnight(superseded, r.Noncurrent.Days)) {
			return r.ID, true
		}
	}
	return "", false
}

// lonely is the rule that takes away a delete marker with nothing behind it.
func (lc lifecycle) lonely(o object, now time.Time) (rule string, ok bool) {
	for _, r := range lc.Rules {
		due := r.Expiration.ExpiredObjectDeleteMarker || r.Expiration.Days > 0 && !now.Before(midnight(o.created, r.Expiration.Days))
		if due && r.about(o) {
			return r.ID, true
		}
	}
	return "", false
}

// expirationHeader is what S3 says of a rule to come.
func expirationHeader(at time.Time, rule string) string {
	return fmt.Sprintf("expiry-date=%q, rule-id=%q", at.UTC().Format(http.TimeFormat), rule)
}
