package awss3site

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/astern-dev/astern/internal/awsapi"
)

// rules are the bucket's lifecycle rules that are in force, and whether it keeps versions.
type rules struct {
	list      []s3types.LifecycleRule
	versioned bool
}

// death is when an object is lost: at a time, or after so many further changes of it. The zero value is never.
type death struct {
	at      time.Time
	changes int
	what    string
}

func (d death) never() bool { return d.at.IsZero() && d.changes == 0 }

// before orders deaths: by date, then by changes.
func (d death) before(other death) bool {
	switch {
	case d.never():
		return false
	case other.never():
		return true
	case d.at.IsZero() != other.at.IsZero():
		return !d.at.IsZero()
	case d.at.IsZero():
		return d.changes < other.changes
	}
	return d.at.Before(other.at)
}

// rules reads the bucket's lifecycle rules.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html
func (c clients) rules(ctx context.Context, versioned bool) (rules, error) {
	out, err := c.s3.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &c.p.Bucket})
	if awsapi.Is(err, "NoSuchLifecycleConfiguration") {
		return rules{versioned: versioned}, nil
	}
	if err != nil {
		return rules{}, c.explain(err, "reading the lifecycle rules of", "")
	}
	in := slices.DeleteFunc(out.Rules, func(r s3types.LifecycleRule) bool { return r.Status != s3types.ExpirationStatusEnabled })
	return rules{in, versioned}, nil
}

// versioning reads whether the bucket keeps versions: enabled, suspended or off.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketVersioning.html
func (c clients) versioning(ctx context.Context) (string, error) {
	out, err := c.s3.GetBucketVersioning(ctx, &s3.GetBucketVersioningInput{Bucket: &c.p.Bucket})
	if err != nil {
		return "", c.explain(err, "reading the versioning of", "")
	}
	switch out.Status {
	case s3types.BucketVersioningStatusEnabled:
		return versioningEnabled, nil
	case s3types.BucketVersioningStatusSuspended:
		return versioningSuspended, nil
	}
	return versioningOff, nil
}

const (
	versioningEnabled   = "enabled"
	versioningSuspended = "suspended"
	versioningOff       = "off"
)

// death says when the rules take an object away: delete it, or move it where it can't be read at once. Since is when a
// version that is not the latest was replaced, and newer how many such versions are newer. A rule that goes by tags is
// taken to concern the object: tags are not in the list, and a warning too many is better than a door that closes unseen.
func (r rules) death(e entry, since time.Time, newer int) death {
	first := death{}
	earlier := func(d death) {
		if d.before(first) {
			first = d
		}
	}
	for _, rule := range r.list {
		if !concerns(rule, e) {
			continue
		}
		name := fmt.Sprintf("lifecycle rule %q", aws.ToString(rule.ID))
		gone := r.noncurrent(rule, name, newer)
		switch {
		case !e.latest:
			if d := gone(since); !d.never() {
				earlier(d)
			}
		case rule.Expiration != nil && (rule.Expiration.Days != nil || rule.Expiration.Date != nil):
			at := aws.ToTime(rule.Expiration.Date)
			if rule.Expiration.Days != nil {
				at = after(e.at, *rule.Expiration.Days)
			}
			if !r.versioned {
				earlier(death{at: at, what: name + " deletes"})
			} else if d := gone(at); !d.never() { // it becomes a version of before, and that is what is taken away
				earlier(d)
			}
		}
		if e.latest {
			for _, t := range rule.Transitions {
				at := aws.ToTime(t.Date)
				if t.Days != nil {
					at = after(e.at, *t.Days)
				}
				if archives(t.StorageClass) {
					earlier(death{at: at, what: name + " archives"})
				}
			}
		} else {
			for _, t := range rule.NoncurrentVersionTransitions {
				if archives(t.StorageClass) && int(aws.ToInt32(t.NewerNoncurrentVersions)) <= newer {
					earlier(death{at: after(since, aws.ToInt32(t.NoncurrentDays)), what: name + " archives the version of"})
				}
			}
		}
	}
	return first
}

// noncurrent returns when a rule deletes a version that was replaced at a time.
func (r rules) noncurrent(rule s3types.LifecycleRule, name string, newer int) func(since time.Time) death {
	return func(since time.Time) death {
		n := rule.NoncurrentVersionExpiration
		if n == nil || !r.versioned && since.IsZero() {
			return death{}
		}
		if keeps := int(aws.ToInt32(n.NewerNoncurrentVersions)); keeps > newer {
			return death{changes: keeps - newer, what: fmt.Sprintf("%s keeps %d earlier versions of", name, keeps)}
		}
		return death{at: after(since, aws.ToInt32(n.NoncurrentDays)), what: name + " deletes the version of"}
	}
}

func archives(c s3types.TransitionStorageClass) bool {
	return c == s3types.TransitionStorageClassGlacier || c == s3types.TransitionStorageClassDeepArchive
}

// after is when a rule of so many days takes effect: at midnight UTC that follows.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html#intro-lifecycle-rules-number-of-days
func after(at time.Time, days int32) time.Time {
	at = at.UTC().AddDate(0, 0, int(days))
	midnight := at.Truncate(24 * time.Hour)
	if midnight.Before(at) {
		midnight = midnight.AddDate(0, 0, 1)
	}
	return midnight
}

// concerns reports whether a rule is for the object, as far as the list tells.
func concerns(rule s3types.LifecycleRule, e entry) bool {
	//lint:ignore SA1019 rules that were written before filters existed have it, and S3 still goes by it
	prefix, above, below := aws.ToString(rule.Prefix), int64(-1), int64(-1)
	if f := rule.Filter; f != nil {
		if f.Prefix != nil {
			prefix = *f.Prefix
		}
		if f.ObjectSizeGreaterThan != nil {
			above = *f.ObjectSizeGreaterThan
		}
		if f.ObjectSizeLessThan != nil {
			below = *f.ObjectSizeLessThan
		}
		if f.And != nil {
			prefix = aws.ToString(f.And.Prefix)
			if f.And.ObjectSizeGreaterThan != nil {
				above = *f.And.ObjectSizeGreaterThan
			}
			if f.And.ObjectSizeLessThan != nil {
				below = *f.And.ObjectSizeLessThan
			}
		}
	}
	return strings.HasPrefix(e.key, prefix) && (above < 0 || e.object.size > above) && (below < 0 || e.object.size < below)
}
