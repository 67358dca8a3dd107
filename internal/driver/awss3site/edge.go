package awss3site

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// Limits of asking the edge.
const (
	askTimeout = 10 * time.Second
	askMost    = 64 << 20 // bytes of an answer
)

// maxInvalidations is how many of the newest are looked through for ours.
const maxInvalidations = 100

// distribution notes what is before the bucket.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_GetDistribution.html
func (v *viewing) distribution(ctx context.Context) {
	id := v.p.Distribution
	if id == "" {
		return
	}
	out, err := v.front.GetDistribution(ctx, &cloudfront.GetDistributionInput{Id: &id})
	if err != nil {
		err = awsapi.Explain(err, "looking at the distribution "+id, "distribution/"+id)
		if notFound(err) {
			v.known("edge-problem", "there is no distribution "+id)
			return
		}
		v.unknown("edge-problem", err)
		return
	}
	d := out.Distribution
	v.known("edge", aws.ToString(d.DomainName))
	before := false
	if d.DistributionConfig != nil && d.DistributionConfig.Origins != nil {
		for _, o := range d.DistributionConfig.Origins.Items {
			before = before || strings.HasPrefix(aws.ToString(o.DomainName), v.p.Bucket+".s3")
		}
	}
	switch {
	case d.DistributionConfig != nil && !aws.ToBool(d.DistributionConfig.Enabled):
		v.known("edge-problem", "the distribution "+id+" is disabled")
	case !before:
		v.known("edge-problem", "the distribution "+id+" has no origin in the bucket "+v.p.Bucket)
	}
}

// invalidate has CloudFront forget all that it holds. The token is the reference of the caller: asked twice with it,
// CloudFront begins nothing new.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_CreateInvalidation.html
func (o *order) invalidate(ctx context.Context) astern.Op {
	out, err := o.frontAct.CreateInvalidation(ctx, &cloudfront.CreateInvalidationInput{DistributionId: &o.p.Distribution,
		InvalidationBatch: &cftypes.InvalidationBatch{CallerReference: &o.call.Token, Paths: &cftypes.Paths{Quantity: aws.Int32(1), Items: []string{"/*"}}}})
	if err != nil {
		busy := awsapi.Is(err, "TooManyInvalidationsInProgress")
		op := opOf(awsapi.Explain(err, o.doing(), "distribution/"+o.p.Distribution))
		if busy {
			op.Code = astern.Unavailable // the others come to their end
		}
		return op
	}
	if out.Invalidation == nil || out.Invalidation.Id == nil {
		op := failed(astern.Errorf(astern.Unavailable, "%s: CloudFront's answer names no invalidation", o.doing()))
		op.Status = astern.OpUnsure
		return op
	}
	return invalidation(*out.Invalidation)
}

// invalidation says how far one is.
func invalidation(i cftypes.Invalidation) astern.Op {
	handle := map[string]string{"invalidation": aws.ToString(i.Id)}
	status := aws.ToString(i.Status)
	if status != "Completed" {
		return astern.Op{Status: astern.OpRunning, Handle: handle, Progress: oneLine("invalidation " + handle["invalidation"] + " is " + status), PollSeconds: 3}
	}
	return astern.Op{Status: astern.OpDone, Handle: handle, Progress: oneLine("invalidation " + handle["invalidation"] + " is completed"),
		Outputs: map[string]astern.Arg{"since": astern.Text(aws.ToTime(i.CreateTime).UTC().Format(time.RFC3339))}}
}

// pollInvalidation asks how far it is.
func (o *order) pollInvalidation(ctx context.Context, op astern.Op, now time.Time) astern.Op {
	id := op.Handle["invalidation"]
	out, err := o.front.GetInvalidation(ctx, &cloudfront.GetInvalidationInput{DistributionId: &o.p.Distribution, Id: &id})
	if err == nil && out.Invalidation == nil {
		err = astern.Errorf(astern.Unavailable, "CloudFront's answer names no invalidation")
	}
	switch {
	case err != nil && !o.call.Deadline.IsZero() && now.After(o.call.Deadline):
		op := failed(awsapi.Explain(err, "asking how far the invalidation "+id+" is", "distribution/"+o.p.Distribution))
		op.Status = astern.OpUnsure
		return op
	case err != nil:
		why := awsapi.Explain(err, "asking how far it is", "distribution/"+o.p.Distribution)
		return astern.Op{Status: astern.OpRunning, Handle: op.Handle, Progress: oneLine(why.Error() + awsapi.Hinted(why)), PollSeconds: 3}
	}
	return invalidation(*out.Invalidation)
}

// findInvalidation looks for the invalidation with our reference.
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_ListInvalidations.html
func (o *order) findInvalidation(ctx context.Context) astern.Found {
	list, err := o.front.ListInvalidations(ctx, &cloudfront.ListInvalidationsInput{DistributionId: &o.p.Distribution, MaxItems: aws.Int32(maxInvalidations)})
	if err != nil {
		return unknown(awsapi.Explain(err, "looking for the invalidation", "distribution/"+o.p.Distribution))
	}
	if list.InvalidationList == nil {
		return absent("there is none")
	}
	for _, item := range list.InvalidationList.Items {
		one, err := o.front.GetInvalidation(ctx, &cloudfront.GetInvalidationInput{DistributionId: &o.p.Distribution, Id: item.Id})
		if err != nil {
			return unknown(awsapi.Explain(err, "looking at the invalidation "+aws.ToString(item.Id), "distribution/"+o.p.Distribution))
		}
		if i := one.Invalidation; i != nil && i.InvalidationBatch != nil && aws.ToString(i.InvalidationBatch.CallerReference) == o.call.Token {
			return found(invalidation(*i))
		}
	}
	return absent("no invalidation has our reference")
}

// entryURL is where the site answers for an entry point. CloudFront serves a default object for the root alone.
func entryURL(p place, entry string) string {
	if entry == "index.html" {
		entry = ""
	}
	parts := strings.Split(entry, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return p.Edge + "/" + strings.Join(parts, "/")
}

// answer is what the edge answers for one entry point.
type answer struct {
	status       int
	digest       string
	cacheControl string
	cache        string // X-Cache
	age          string
	fetched      time.Time // when the edge got it, by its own clock; zero where that can't be told
}

// ask gets one entry point.
func (d *driver) ask(ctx context.Context, at string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return answer{}, astern.Errorf(astern.Invalid, "asking %s: %w", at, err)
	}
	resp, err := d.edge.Do(req)
	if err != nil {
		return answer{}, astern.Errorf(astern.Unavailable, "asking the edge: %w", err)
	}
	defer resp.Body.Close() // read to its limit
	sum := sha256.New()
	n, err := io.Copy(sum, io.LimitReader(resp.Body, askMost+1))
	switch {
	case err != nil:
		return answer{}, astern.Errorf(astern.Unavailable, "reading what %s answers: %w", at, err)
	case n > askMost:
		return answer{}, astern.Errorf(astern.Internal, "%s answers more than %d MB", at, askMost>>20)
	}
	a := answer{status: resp.StatusCode, digest: hex.EncodeToString(sum.Sum(nil)), cacheControl: resp.Header.Get("Cache-Control"),
		cache: resp.Header.Get("X-Cache"), age: resp.Header.Get("Age")}
	date, dateErr := http.ParseTime(resp.Header.Get("Date"))
	if age, err := strconv.Atoi(a.age); err == nil && dateErr == nil && age >= 0 {
		a.fetched = date.Add(-time.Duration(age) * time.Second)
	}
	return a, nil
}

// prove asks for every entry point until each is answered with the content of the release, its cache header, and from no
// cache that is older than the invalidation. Both times are CloudFront's.
func (a *actor) prove(ctx context.Context, o *order) astern.Op {
	if o.p.Edge == "" {
		return failed(astern.Errorf(astern.Refused, "step %s: %s does not say any more where the site answers", o.call.Step, o.call.Address))
	}
	record, err := o.release(ctx, o.revision, o.hash)
	if err != nil {
		return failed(err)
	}
	since, _ := time.Parse(time.RFC3339, o.call.Text("since")) // zero where nothing was invalidated
	var proven []string
	for _, entry := range o.p.Entries {
		f, ok := record.find(entry)
		if !ok {
			continue
		}
		at := entryURL(o.p, entry)
		is, err := a.ask(ctx, at)
		wrong := ""
		switch {
		case ctx.Err() != nil:
			return failed(astern.Errorf(astern.Interrupted, "%s: interrupted", o.doing()))
		case err != nil:
			wrong = err.Error()
		case is.status != http.StatusOK:
			wrong = fmt.Sprintf("%s answers %d", at, is.status)
		case is.digest != f.SHA256:
			wrong = fmt.Sprintf("%s answers other content than %s has (%s)", at, o.revision, is.words())
		case is.cacheControl != f.CacheControl:
			wrong = fmt.Sprintf("%s answers Cache-Control %q, and the release has %q", at, is.cacheControl, f.CacheControl)
		case !is.fetched.IsZero() && is.fetched.Add(time.Second).Before(since):
			wrong = fmt.Sprintf("%s answers from a cache that is older than the invalidation (%s)", at, is.words())
		}
		if wrong != "" {
			if !o.call.Deadline.IsZero() && a.now().After(o.call.Deadline) {
				return failed(astern.Errorf(astern.Refused, "%s: %s", o.doing(), oneLine(wrong)).
					WithHint("the objects are put; does this edge serve %s, and what caches before it?", o.p.url(o.p.Prefix)))
			}
			return astern.Op{Status: astern.OpRunning, Progress: oneLine(wrong), PollSeconds: 1}
		}
		proven = append(proven, entry+" ("+is.words()+")")
	}
	return astern.Op{Status: astern.OpDone, Progress: oneLine("the edge answers " + strings.Join(proven, ", ") + " of " + o.revision)}
}

// words says what the answer tells of caches.
func (a answer) words() string {
	var out []string
	for _, h := range [][2]string{{"X-Cache", a.cache}, {"Age", a.age}, {"Cache-Control", a.cacheControl}} {
		if h[1] != "" {
			out = append(out, h[0]+": "+h[1])
		}
	}
	if len(out) == 0 {
		return "no header tells of a cache"
	}
	return strings.Join(out, ", ")
}
