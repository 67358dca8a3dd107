// Package s3rules says when the lifecycle rules of an S3 bucket take an object away: those that are in force, or those that
// somebody proposes.
package s3rules

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Rules are a bucket's lifecycle rules that are in force, and whether it keeps versions.
type Rules struct {
	List      []s3types.LifecycleRule
	Versioned bool
}

// Object is a version of an object as a list of them tells it.
type Object struct {
	Key    string
	Size   int64 // bytes
	At     time.Time
	Latest bool
}

// Death is when an object is lost: at a time, or after so many further changes of it. The zero value is never.
type Death struct {
	At      time.Time
	Changes int
	What    string // "lifecycle rule \"tidy\" deletes"
}

// Never reports whether no rule takes the object away.
func (d Death) Never() bool { return d.At.IsZero() && d.Changes == 0 }

// Before orders deaths: by date, then by changes.
func (d Death) Before(other Death) bool {
	switch {
	case d.Never():
		return false
	case other.Never():
		return true
	case d.At.IsZero() != other.At.IsZero():
		return !d.At.IsZero()
	case d.At.IsZero():
		return d.Changes < other.Changes
	}
	return d.At.Before(other.At)
}

// Proposal is the name by which lifecycle rules that are proposed for a bucket are handed over in a Scope.
func Proposal(bucket string) string { return "s3://" + bucket }

// Read returns the bucket's lifecycle rules that are in force: those proposed where some are, else what S3 has. Errors are as
// awsapi.Explain returns them.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLifecycleConfiguration.html
func Read(ctx context.Context, c *s3.Client, bucket string, proposed map[string]string) ([]s3types.LifecycleRule, error) {
	if doc, ok := proposed[Proposal(bucket)]; ok {
		list, err := Parse([]byte(doc))
		return enabled(list), err
	}
	out, err := c.GetBucketLifecycleConfiguration(ctx, &s3.GetBucketLifecycleConfigurationInput{Bucket: &bucket})
	if awsapi.Is(err, "NoSuchLifecycleConfiguration") {
		return nil, nil
	}
	if err != nil {
		return nil, awsapi.Explain(err, "reading the lifecycle rules of s3://"+bucket, "arn:aws:s3:::"+bucket)
	}
	return enabled(out.Rules), nil
}

// Parse reads lifecycle rules as `aws s3api put-bucket-lifecycle-configuration --lifecycle-configuration file://…` takes
// them. It returns an Invalid error for what that would refuse by its form: a rule without status, a field that does not exist.
func Parse(doc []byte) ([]s3types.LifecycleRule, error) {
	var out struct{ Rules []s3types.LifecycleRule }
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	err := d.Decode(&out)
	if err == nil && d.More() {
		err = fmt.Errorf("something follows the rules")
	}
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "reading lifecycle rules: %w", err).
			WithHint(`they look like {"Rules": [{"ID": "tidy", "Filter": {"Prefix": "old/"}, "Status": "Enabled", "Expiration": {"Days": 30}}]}`)
	}
	for i, r := range out.Rules {
		what := fmt.Sprintf("lifecycle rule %d (%s)", i+1, aws.ToString(r.ID))
		switch {
		case !slices.Contains(r.Status.Values(), r.Status):
			return nil, astern.Errorf(astern.Invalid, "%s: Status is %q", what, r.Status).WithHint("it must be Enabled or Disabled")
		case r.Expiration == nil && r.NoncurrentVersionExpiration == nil && len(r.Transitions) == 0 && len(r.NoncurrentVersionTransitions) == 0 &&
			r.AbortIncompleteMultipartUpload == nil:
			return nil, astern.Errorf(astern.Invalid, "%s: it does nothing", what).WithHint("give it an Expiration, a NoncurrentVersionExpiration or Transitions")
		}
	}
	return out.Rules, nil
}

func enabled(list []s3types.LifecycleRule) []s3types.LifecycleRule {
	return slices.DeleteFunc(slices.Clone(list), func(r s3types.LifecycleRule) bool { return r.Status != s3types.ExpirationStatusEnabled })
}

// Death says when the rules take an object away: delete it, or move it where it can't be read at once. Since is when a
// version that is not the latest was replaced, and newer how many such versions are newer. A rule that goes by tags is
// taken to concern the object: tags are not in the list, and a warning too many is better than a door that closes unseen.
func (r Rules) Death(e Object, since time.Time, newer int) Death {
	first := Death{}
	earlier := func(d Death) {
		if d.Before(first) {
			first = d
		}
	}
	for _, rule := range r.List {
		if !concerns(rule, e) {
			continue
		}
		name := fmt.Sprintf("lifecycle rule %q", aws.ToString(rule.ID))
		gone := r.noncurrent(rule, name, newer)
		switch {
		case !e.Latest:
			if d := gone(since); !d.Never() {
				earlier(d)
			}
		case rule.Expiration != nil && (rule.Expiration.Days != nil || rule.Expiration.Date != nil):
			at := aws.ToTime(rule.Expiration.Date)
			if rule.Expiration.Days != nil {
				at = after(e.At, *rule.Expiration.Days)
			}
			if !r.Versioned {
				earlier(Death{At: at, What: name + " deletes"})
				break
			}
			for _, other := range r.List { // it becomes a version of before, and that is what any rule takes away
				if !concerns(other, e) {
					continue
				}
				if d := r.noncurrent(other, fmt.Sprintf("lifecycle rule %q", aws.ToString(other.ID)), newer)(at); !d.Never() {
					earlier(d)
				}
			}
		}
		if e.Latest {
			for _, t := range rule.Transitions {
				at := aws.ToTime(t.Date)
				if t.Days != nil {
					at = after(e.At, *t.Days)
				}
				if archives(t.StorageClass) {
					earlier(Death{At: at, What: name + " archives"})
				}
			}
		} else {
			for _, t := range rule.NoncurrentVersionTransitions {
				if archives(t.StorageClass) && int(aws.ToInt32(t.NewerNoncurrentVersions)) <= newer {
					earlier(Death{At: after(since, aws.ToInt32(t.NoncurrentDays)), What: name + " archives the version of"})
				}
			}
		}
	}
	return first
}

// noncurrent returns when a rule deletes a version that was replaced at a time.
func (r Rules) noncurrent(rule s3types.LifecycleRule, name string, newer int) func(since time.Time) Death {
	return func(since time.Time) Death {
		n := rule.NoncurrentVersionExpiration
		if n == nil || !r.Versioned && since.IsZero() {
			return Death{}
		}
		if keeps := int(aws.ToInt32(n.NewerNoncurrentVersions)); keeps > newer {
			return Death{Changes: keeps - newer, What: fmt.Sprintf("%s keeps %d earlier versions of", name, keeps)}
		}
		return Death{At: after(since, aws.ToInt32(n.NoncurrentDays)), What: name + " deletes the version of"}
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
func concerns(rule s3types.LifecycleRule, e Object) bool {
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
	return strings.HasPrefix(e.Key, prefix) && (above < 0 || e.Size > above) && (below < 0 || e.Size < below)
}
