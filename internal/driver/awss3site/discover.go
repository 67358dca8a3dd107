package awss3site

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/pattern"
)

var notInName = pattern.New(`[^a-z0-9-]+`)

// bucketsAPage is how many buckets are looked at between two answers.
const bucketsAPage = 200

// page looks at some buckets for an index.html at their top, and for the distributions before them.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
func page(ctx context.Context, session *awsapi.Session, settings awsapi.Settings, token *string) ([]astern.Discovered, *string, error) {
	c := clientsOf(session, place{})
	list, err := c.s3.ListBuckets(ctx, &s3.ListBucketsInput{ContinuationToken: token, MaxBuckets: aws.Int32(bucketsAPage)})
	if err != nil {
		return nil, nil, awsapi.Explain(err, "listing the buckets", "")
	}
	var names []string
	for _, b := range list.Buckets {
		names = append(names, aws.ToString(b.Name))
	}
	out, err := c.sites(ctx, settings, names)
	return out, list.ContinuationToken, err
}

// sites looks at each of the buckets.
func (c clients) sites(ctx context.Context, settings awsapi.Settings, names []string) ([]astern.Discovered, error) {
	isSite := make([]bool, len(names))
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(sideBySide)
	for i, name := range names {
		group.Go(func() error {
			bucket := c
			bucket.p.Bucket = name
			_, _, ok, err := bucket.head(ctx, "index.html") // a bucket of another region, or one that may not be read, is passed over
			mu.Lock()
			defer mu.Unlock()
			isSite[i] = ok && err == nil
			return nil
		})
	}
	_ = group.Wait() // what can't be read is no finding
	if ctx.Err() != nil {
		return nil, astern.Errorf(astern.Interrupted, "looking at the buckets: %w", context.Cause(ctx))
	}
	if !slices.Contains(isSite, true) {
		return nil, nil
	}
	fronts, note := c.fronts(ctx)
	var out []astern.Discovered
	for i, name := range names {
		if isSite[i] {
			out = append(out, discovered(settings, name, fronts[name], note))
		}
	}
	return out, nil
}

// front is a distribution.
type front struct{ id, domain string }

// fronts returns the distributions by bucket, or a note why they are not known.
func (c clients) fronts(ctx context.Context) (map[string]front, string) {
	out := map[string]front{}
	err := pages(func(token *string) (*string, error) {
		page, err := c.front.ListDistributions(ctx, &cloudfront.ListDistributionsInput{Marker: token})
		if err != nil || page.DistributionList == nil {
			return nil, err
		}
		for _, d := range page.DistributionList.Items {
			for _, bucket := range origins(d) {
				out[bucket] = front{aws.ToString(d.Id), aws.ToString(d.DomainName)}
			}
		}
		return page.DistributionList.NextMarker, nil
	})
	if err != nil {
		return out, "no distribution: they could not be listed: " + oneLine(awsapi.Explain(err, "listing distributions", "").Error())
	}
	return out, ""
}

// origins returns the buckets that a distribution is before.
func origins(d cftypes.DistributionSummary) []string {
	var out []string
	if d.Origins == nil {
		return nil
	}
	for _, o := range d.Origins.Items {
		if bucket, rest, ok := strings.Cut(aws.ToString(o.DomainName), ".s3"); ok && strings.HasSuffix(rest, "amazonaws.com") {
			out = append(out, bucket)
		}
	}
	return out
}

// discovered is the declaration of a site.
func discovered(settings awsapi.Settings, bucket string, f front, note string) astern.Discovered {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(bucket), "-"), "-")
	s := Settings{Settings: settings, Bucket: bucket, Distribution: f.id}
	guessed := []string{"the name " + name + " is that of the bucket " + bucket,
		"that it is a site: it has an index.html", "index.html as the only entry point: name those that visitors ask for first"}
	if f.domain != "" {
		s.Edge = "https://" + f.domain
		guessed = append(guessed, "the edge is the distribution's own domain: write that which visitors use")
	} else {
		guessed = append(guessed, cmp.Or(note, "no distribution: none has the bucket as its origin, so caches before it are neither told nor asked"))
	}
	return astern.Discovered{Name: name[:min(len(name), 50)], Kind: Kind, Settings: s, Guessed: guessed}
}
