package awslambda

import (
	"cmp"
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/awsapi/s3rules"
	"github.com/astern-dev/astern/internal/pattern"
)

// maxArchivePages bounds the list of a bucket: 1,000 objects a page.
const maxArchivePages = 50

// archives looks for archives of revisions that are not published (any more): the newest ones are looked at closely.
func (l *look) archives(ctx context.Context, config aws.Config) {
	c := s3.NewFromConfig(config, awsapi.PathStyle)
	before, _, _ := strings.Cut(l.Archive.Key, revisionHole)
	published := map[string]bool{}
	for _, v := range l.function.versions {
		published[v.revision] = true
	}
	var found []s3types.Object
	pages := s3.NewListObjectsV2Paginator(c, &s3.ListObjectsV2Input{Bucket: &l.Archive.Bucket, Prefix: &before})
	for n := 0; pages.HasMorePages(); n++ {
		page, err := pages.NextPage(ctx)
		if err == nil && n >= maxArchivePages {
			err = astern.Errorf(astern.Refused, "looking for archives in s3://%s/%s: there are more than %d objects", l.Archive.Bucket, before, maxArchivePages*1000).
				WithHint("give the archives a prefix of their own")
		}
		if err != nil {
			l.Fail(awsapi.Explain(err, "looking for archives in s3://"+l.Archive.Bucket+"/"+before, "arn:aws:s3:::"+l.Archive.Bucket),
				[]string{"archive"}, "archives")
			return
		}
		for _, o := range page.Contents {
			if rev, ok := l.Archive.revision(aws.ToString(o.Key)); ok && !published[rev] {
				found = append(found, o)
			}
		}
	}
	slices.SortFunc(found, func(a, b s3types.Object) int {
		return cmp.Or(aws.ToTime(b.LastModified).Compare(aws.ToTime(a.LastModified)), strings.Compare(aws.ToString(b.Key), aws.ToString(a.Key)))
	})
	slots := make(chan struct{}, sideBySide)
	var wait sync.WaitGroup
	for _, o := range found[:min(len(found), maxJudged)] {
		rev, _ := l.Archive.revision(aws.ToString(o.Key))
		if !l.Wants("archive/"+rev, "archive-hash/"+rev, "archive-dies/"+rev) {
			continue
		}
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			l.archiveOf(ctx, c, rev)
		})
	}
	wait.Wait()
}

// expiry is what S3 says of the lifecycle rule that deletes an object.
var expiry = pattern.New(`expiry-date="([^"]+)"`)

// archiveOf looks at the archive of one revision.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
func (l *look) archiveOf(ctx context.Context, c *s3.Client, rev string) {
	key := l.Archive.key(rev)
	out, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &l.Archive.Bucket, Key: &key, ChecksumMode: s3types.ChecksumModeEnabled})
	if err != nil {
		err = awsapi.Explain(err, fmt.Sprintf("looking at s3://%s/%s", l.Archive.Bucket, key), "arn:aws:s3:::"+l.Archive.Bucket+"/"+key)
		if astern.CodeOf(err) != astern.NotFound { // deleted since the list was made
			for _, path := range []string{"archive/", "archive-hash/", "archive-dies/"} {
				l.Unknown(path+rev, err)
			}
		}
		return
	}
	l.Known("archive/"+rev, objectVersion(out))
	if hash := hashOf(out.ChecksumSHA256); hash != "" {
		l.Known("archive-hash/"+rev, hash)
	}
	if _, proposed := l.Proposed()[s3rules.Proposal(l.Archive.Bucket)]; proposed {
		l.expires(ctx, c, rev, out)
	} else if m := expiry.FindStringSubmatch(aws.ToString(out.Expiration)); m != nil {
		if at, err := time.Parse(time.RFC1123, m[1]); err == nil {
			l.Known("archive-dies/"+rev, at.UTC().Format(time.RFC3339))
		}
	}
}

// expires says when proposed rules would take the archive away. It is looked for by its key, so one that only is a version of
// before is gone.
func (l *look) expires(ctx context.Context, c *s3.Client, rev string, o *s3.HeadObjectOutput) {
	list, err := s3rules.Read(ctx, c, l.Archive.Bucket, l.Proposed())
	if err != nil {
		l.Unknown("archive-dies/"+rev, err)
		return
	}
	at := aws.ToTime(o.LastModified)
	d := s3rules.Rules{List: list}.Death(s3rules.Object{Key: l.Archive.key(rev), Size: aws.ToInt64(o.ContentLength), At: at, Latest: true}, at, 0)
	if !d.At.IsZero() {
		l.Known("archive-dies/"+rev, d.At.UTC().Format(time.RFC3339))
	}
}

// objectVersion identifies what lies under a key: its version where the bucket keeps them, else its ETag.
func objectVersion(o *s3.HeadObjectOutput) string {
	if v := aws.ToString(o.VersionId); v != "" && v != "null" {
		return "version " + v
	}
	return "etag " + strings.Trim(aws.ToString(o.ETag), `"`)
}

// source is the archive as a person writes it.
func (a Archive) source(revision string) string {
	return (&url.URL{Scheme: "s3", Host: a.Bucket, Path: "/" + a.key(revision)}).String()
}
