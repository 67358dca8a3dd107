package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudfront"
	fronttypes "github.com/aws/aws-sdk-go-v2/service/cloudfront/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// The shapes of a site: with versions of its objects and without, with a distribution before it and without.
const (
	versionsAlone = "versions"
	versionsEdge  = "versions, edge"
	plainAlone    = "plain"
	plainEdge     = "plain, edge"
)

var (
	keepsVersions = []string{versionsAlone, versionsEdge}
	keepsNone     = []string{plainAlone, plainEdge}
	hasEdge       = []string{versionsEdge, plainEdge}
)

// site is a site of which four releases were uploaded, each with an entry point and an asset of its own.
type site struct {
	*world
	s3           *s3.Client
	front        *cloudfront.Client
	distribution string                       // as it is declared
	edge         string                       // where the site answers
	version      map[string]map[string]string // of an object, by release and path
	marker       []byte                       // what astern keeps of what is served
}

const (
	entry       = "index.html"
	recordsKept = "astern-releases/"
)

func asset(rev string) string { return "assets/app." + rev + ".js" }

func (s *site) content(rev, path string) string {
	return fmt.Sprintf("%s of %s of %s\n", path, rev, s.name)
}

// copied is the key of astern's own copy of an object, in a bucket that keeps no versions.
func (s *site) copied(rev, path string) string {
	sum := sha256.Sum256([]byte(s.content(rev, path)))
	return recordsKept + "_files/" + hex.EncodeToString(sum[:])
}

func sites() *kind {
	needs := onSite
	loses := func(path func(rev string) string) func(context.Context, *damage) error {
		return needs(func(ctx context.Context, s *site, d *damage) error {
			at := path(d.target)
			return s.lose(ctx, at, s.version[d.target][at])
		})
	}
	isEntry := func(string) string { return entry }
	deleteRecord := needs(func(ctx context.Context, s *site, d *damage) error {
		return s.lose(ctx, recordsKept+d.target+".json", "")
	})
	expire := needs(func(ctx context.Context, s *site, _ *damage) error {
		if err := s.rule(ctx); err != nil {
			return err
		}
		return s.later(ctx, 72*time.Hour)
	})
	archive := needs(func(ctx context.Context, s *site, _ *damage) error {
		if err := s.put(ctx, entry, "another release's"); err != nil { // so that every release is an earlier one
			return err
		}
		if err := s.colder(ctx); err != nil {
			return err
		}
		return s.later(ctx, 72*time.Hour)
	})
	return &kind{name: "aws.s3site", shapes: []string{versionsAlone, versionsEdge, plainAlone, plainEdge}, make: makeSite, rows: append(edgeRows(), []row{
		{name: "record of the release deleted", read: "list the records", one: true, do: deleteRecord},
		{name: "record of the release altered", read: "read the record", one: true, do: needs(func(ctx context.Context, s *site, d *damage) error {
			return s.put(ctx, recordsKept+d.target+".json", `{"kind": "S3SiteManifest"}`)
		})},
		{name: "version of an asset deleted", read: "ListObjectVersions", shapes: keepsVersions, do: loses(asset)},
		{name: "version of an entry point deleted", read: "ListObjectVersions", one: true, shapes: keepsVersions, do: loses(isEntry)},
		{name: "asset deleted, its version kept", read: "ListObjectVersions", shapes: keepsVersions, do: needs(func(ctx context.Context, s *site, d *damage) error {
			return s.lose(ctx, asset(d.target), "")
		})},
		{name: "copy of an entry point deleted", read: "list the copies", one: true, shapes: keepsNone, do: needs(func(ctx context.Context, s *site, d *damage) error {
			return s.lose(ctx, s.copied(d.target, entry), "")
		})},
		{name: "copy of an entry point has other content", read: "read the copy", one: true, shapes: keepsNone, do: needs(func(ctx context.Context, s *site, d *damage) error {
			was := s.content(d.target, entry)
			return s.put(ctx, s.copied(d.target, entry), strings.ToUpper(was)) // of the same size
		})},
		{name: "asset and its copy deleted", read: "list the objects", shapes: keepsNone, do: needs(func(ctx context.Context, s *site, d *damage) error {
			return errors.Join(s.lose(ctx, asset(d.target), ""), s.lose(ctx, s.copied(d.target, asset(d.target)), ""))
		})},
		{name: "asset replaced by a stranger", read: "list the objects", do: needs(func(ctx context.Context, s *site, d *damage) error {
			return s.put(ctx, asset(d.target), "a stranger's")
		})},
		{name: "entry point replaced by a stranger", read: "read it", do: needs(func(ctx context.Context, s *site, _ *damage) error {
			return s.put(ctx, entry, "a stranger's")
		})},
		{name: "entry point deleted", read: "list the objects", do: needs(func(ctx context.Context, s *site, _ *damage) error { return s.lose(ctx, entry, "") })},
		{name: "versioning suspended", read: "GetBucketVersioning", shapes: keepsVersions, do: needs(func(ctx context.Context, s *site, _ *damage) error {
			return s.versioning(ctx, types.BucketVersioningStatusSuspended)
		})},
		{name: "a lifecycle rule is about to act", read: "GetBucketLifecycleConfiguration", shapes: keepsVersions, do: needs(func(ctx context.Context, s *site, _ *damage) error {
			return s.rule(ctx)
		})},
		{name: "a lifecycle rule has acted", read: "ListObjectVersions", shapes: keepsVersions, do: expire},
		{name: "a lifecycle rule is about to archive earlier versions", read: "GetBucketLifecycleConfiguration", shapes: keepsVersions,
			do: needs(func(ctx context.Context, s *site, _ *damage) error { return s.colder(ctx) })},
		{name: "a lifecycle rule has archived earlier versions", read: "ListObjectVersions: StorageClass", shapes: keepsVersions, do: archive},
		{name: "the bucket can't be listed", read: "ListObjectVersions", do: denied("s3", "ListObjectVersions")},
		{name: "objects can't be read", read: "GetObject", do: denied("s3", "GetObject")},
		{name: "lifecycle rules can't be read", read: "GetBucketLifecycleConfiguration", do: denied("s3", "GetBucketLifecycleConfiguration")},
		{name: "reading is throttled", read: "ListObjectVersions", do: throttled("s3", "ListObjectVersions")},
		{name: "PutObject denied", read: simulated, do: denies("s3:PutObject")},
		{name: "no policy allows PutObject", read: simulated, do: allowsAllBut("s3:PutObject")},
		{name: "CopyObject denied by the organization", do: denied("s3", "CopyObject")},
		{name: "CopyObject throttled", do: throttled("s3", "CopyObject")},
		{name: "after the check: record of the release deleted", read: "list the records", after: true, one: true, do: deleteRecord},
		{name: "after the check: version of an entry point deleted", read: "ListObjectVersions", after: true, one: true, shapes: keepsVersions, do: loses(isEntry)},
		{name: "after the check: a lifecycle rule has archived earlier versions", read: "ListObjectVersions: StorageClass", after: true, shapes: keepsVersions, do: archive},
		{name: "after the check: a lifecycle rule has acted", read: "ListObjectVersions", after: true, shapes: keepsVersions, do: expire},
	}...)}
}

// onSite makes a row's act of one on its kind's own subject.
func onSite(do func(context.Context, *site, *damage) error) func(context.Context, *damage) error {
	return func(ctx context.Context, d *damage) error { return do(ctx, d.subject.(*site), d) }
}

// edgeRows are the rows about the distribution before a bucket.
func edgeRows() []row {
	needs := onSite
	disable := needs(func(ctx context.Context, s *site, _ *damage) error {
		return s.reconfigure(ctx, func(c *fronttypes.DistributionConfig) { c.Enabled = aws.Bool(false) })
	})
	return []row{
		{name: "distribution disabled", read: "GetDistribution", shapes: hasEdge, do: disable},
		{name: "distribution deleted", read: "GetDistribution", shapes: hasEdge, do: needs(func(ctx context.Context, s *site, d *damage) error {
			if err := disable(ctx, d); err != nil {
				return err
			}
			is, err := s.front.GetDistributionConfig(ctx, &cloudfront.GetDistributionConfigInput{Id: &s.distribution})
			if err == nil {
				_, err = s.front.DeleteDistribution(ctx, &cloudfront.DeleteDistributionInput{Id: &s.distribution, IfMatch: is.ETag})
			}
			return err
		})},
		{name: "distribution of another account declared", read: "GetDistribution", shapes: hasEdge, do: needs(func(_ context.Context, s *site, d *damage) error {
			was := s.distribution
			s.distribution = "E2QWRUHEXAMPLE"
			return d.redeclare("distribution: "+was, "distribution: "+s.distribution)
		})},
		{name: "distribution leads to another bucket", read: "GetDistribution", shapes: hasEdge, do: needs(func(ctx context.Context, s *site, _ *damage) error {
			return s.reconfigure(ctx, func(c *fronttypes.DistributionConfig) {
				c.Origins.Items[0].DomainName = aws.String("another.s3.amazonaws.com")
			})
		})},
		{name: "edge declared at an address where nobody answers", read: "ask the edge", shapes: hasEdge, do: needs(func(_ context.Context, s *site, d *damage) error {
			return d.redeclare("edge: "+s.edge, "edge: http://127.0.0.1:9")
		})},
		{name: "the distribution can't be read", read: "GetDistribution", shapes: hasEdge, do: denied("cloudfront", "GetDistribution")},
		{name: "CreateInvalidation denied", read: simulated, shapes: hasEdge, do: denies("cloudfront:CreateInvalidation")},
		{name: "no policy allows CreateInvalidation", read: simulated, shapes: hasEdge, do: allowsAllBut("cloudfront:CreateInvalidation")},
		{name: "CreateInvalidation denied by the organization", shapes: hasEdge, do: denied("cloudfront", "CreateInvalidation")},
		{name: "after the check: distribution disabled", read: "GetDistribution", after: true, shapes: hasEdge, do: disable},
	}
}

func makeSite(ctx context.Context, w *world) (subject, error) {
	s := &site{world: w, s3: s3.NewFromConfig(w.aws, pathStyle), front: cloudfront.NewFromConfig(w.aws), version: map[string]map[string]string{}}
	if _, err := s.s3.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &w.name}); err != nil {
		return nil, err
	}
	if slices.Contains(keepsVersions, w.shape) {
		if err := s.versioning(ctx, types.BucketVersioningStatusEnabled); err != nil {
			return nil, err
		}
	}
	declaration := fmt.Sprintf("kind: aws.s3site\nwith: {%s, bucket: %s", w.with(), w.name)
	if slices.Contains(hasEdge, w.shape) {
		if err := s.distribute(ctx); err != nil {
			return nil, err
		}
		declaration += fmt.Sprintf(", distribution: %s, edge: %s", s.distribution, s.edge)
	}
	if err := w.declare(declaration + "}\n"); err != nil {
		return nil, err
	}
	w.targets, w.current = []string{"v1", "v2", "v3"}, "v4"
	for _, rev := range append(w.targets, w.current) {
		s.version[rev] = map[string]string{}
		if err := s.upload(ctx, rev); err != nil {
			return nil, err
		}
		if s.distribution != "" {
			if err := s.forget(ctx, "upload of "+rev); err != nil {
				return nil, err
			}
		}
		if err := w.deploy(ctx, rev); err != nil {
			return nil, fmt.Errorf("deploying %s: %w", rev, err)
		}
	}
	out, err := s.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &w.name, Key: aws.String(recordsKept + "_current.json")})
	if err != nil {
		return nil, err
	}
	defer out.Body.Close() // read to its end
	s.marker, err = io.ReadAll(out.Body)
	return s, err
}

// distribute puts a distribution before the bucket.
func (s *site) distribute(ctx context.Context) error {
	bucket, id := s.name+".s3.amazonaws.com", "bucket"
	out, err := s.front.CreateDistribution(ctx, &cloudfront.CreateDistributionInput{DistributionConfig: &fronttypes.DistributionConfig{
		CallerReference: &s.name, Comment: &s.name, Enabled: aws.Bool(true), DefaultRootObject: aws.String(entry),
		Origins: &fronttypes.Origins{Quantity: aws.Int32(1), Items: []fronttypes.Origin{{Id: &id, DomainName: &bucket,
			S3OriginConfig: &fronttypes.S3OriginConfig{OriginAccessIdentity: aws.String("")}}}},
		DefaultCacheBehavior: &fronttypes.DefaultCacheBehavior{TargetOriginId: &id, ViewerProtocolPolicy: fronttypes.ViewerProtocolPolicyAllowAll,
			CachePolicyId: aws.String("658327ea-f89d-4fab-a63d-7e88639e58f6")}}})
	if err != nil {
		return err
	}
	s.distribution = *out.Distribution.Id
	s.edge = s.slot.server.URL + "/_edge/" + s.distribution
	return s.later(ctx, time.Minute)
}

// reconfigure changes the distribution, and waits until the edges follow.
func (s *site) reconfigure(ctx context.Context, change func(*fronttypes.DistributionConfig)) error {
	is, err := s.front.GetDistributionConfig(ctx, &cloudfront.GetDistributionConfigInput{Id: &s.distribution})
	if err != nil {
		return err
	}
	change(is.DistributionConfig)
	_, err = s.front.UpdateDistribution(ctx, &cloudfront.UpdateDistributionInput{Id: &s.distribution, IfMatch: is.ETag, DistributionConfig: is.DistributionConfig})
	if err != nil {
		return err
	}
	return s.later(ctx, time.Minute)
}

// forget has the edges forget what they hold.
func (s *site) forget(ctx context.Context, reference string) error {
	_, err := s.front.CreateInvalidation(ctx, &cloudfront.CreateInvalidationInput{DistributionId: &s.distribution,
		InvalidationBatch: &fronttypes.InvalidationBatch{CallerReference: &reference, Paths: &fronttypes.Paths{Quantity: aws.Int32(1), Items: []string{"/*"}}}})
	if err != nil {
		return err
	}
	return s.later(ctx, 5*time.Second)
}

func (s *site) versioning(ctx context.Context, status types.BucketVersioningStatus) error {
	_, err := s.s3.PutBucketVersioning(ctx, &s3.PutBucketVersioningInput{Bucket: &s.name, VersioningConfiguration: &types.VersioningConfiguration{Status: status}})
	return err
}

// rule deletes earlier versions of all objects after a day.
func (s *site) rule(ctx context.Context) error {
	return s.ruled(ctx, types.LifecycleRule{NoncurrentVersionExpiration: &types.NoncurrentVersionExpiration{NoncurrentDays: aws.Int32(1)}})
}

// colder moves them to an archive after a day.
func (s *site) colder(ctx context.Context) error {
	return s.ruled(ctx, types.LifecycleRule{NoncurrentVersionTransitions: []types.NoncurrentVersionTransition{
		{NoncurrentDays: aws.Int32(1), StorageClass: types.TransitionStorageClassGlacier}}})
}

func (s *site) ruled(ctx context.Context, rule types.LifecycleRule) error {
	rule.ID, rule.Status, rule.Filter = aws.String("tidy"), types.ExpirationStatusEnabled, &types.LifecycleRuleFilter{Prefix: aws.String("")}
	_, err := s.s3.PutBucketLifecycleConfiguration(ctx, &s3.PutBucketLifecycleConfigurationInput{Bucket: &s.name,
		LifecycleConfiguration: &types.BucketLifecycleConfiguration{Rules: []types.LifecycleRule{rule}}})
	return err
}

// put writes an object as its owner does.
func (s *site) put(ctx context.Context, key, content string) error {
	_, err := s.putVersion(ctx, key, content)
	return err
}

func (s *site) putVersion(ctx context.Context, key, content string) (string, error) {
	out, err := s.s3.PutObject(ctx, &s3.PutObjectInput{Bucket: &s.name, Key: &key, Body: strings.NewReader(content), ContentType: aws.String("text/plain"),
		CacheControl: aws.String("max-age=86400")})
	if err != nil {
		return "", err
	}
	return aws.ToString(out.VersionId), nil
}

// upload puts a release as CI does.
func (s *site) upload(ctx context.Context, rev string) error {
	for _, path := range []string{asset(rev), entry} {
		version, err := s.putVersion(ctx, path, s.content(rev, path))
		if err != nil {
			return err
		}
		if s.version[rev][path] == "" {
			s.version[rev][path] = version
		}
	}
	return nil
}

// lose deletes an object, or one version of it.
func (s *site) lose(ctx context.Context, key, version string) error {
	in := &s3.DeleteObjectInput{Bucket: &s.name, Key: &key}
	if version != "" {
		in.VersionId = &version
	}
	_, err := s.s3.DeleteObject(ctx, in)
	return err
}

func (s *site) back(ctx context.Context) error {
	err := errors.Join(s.upload(ctx, s.current), s.put(ctx, recordsKept+"_current.json", string(s.marker)))
	if err == nil && s.distribution != "" {
		err = s.forget(ctx, fmt.Sprint("back at ", s.clock.Now()))
	}
	if err == nil && s.edge != "" {
		_, err = ask(ctx, s.edge+"/"+entry) // a visitor has the edge hold it
	}
	return err
}

// recorded is what a person reads in the record of a release.
type recorded struct {
	Path    string
	SHA256  string
	Version string `json:"version_id"`
}

// byHand reads the record and copies what it names onto its keys, the entry point last.
func (s *site) byHand(ctx context.Context, target string) error {
	out, err := s.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.name, Key: aws.String(recordsKept + target + ".json")})
	if err != nil {
		return err
	}
	defer out.Body.Close() // read to its end
	var record struct{ Files []recorded }
	if err := json.NewDecoder(out.Body).Decode(&record); err != nil {
		return err
	}
	if len(record.Files) == 0 {
		return errors.New("the record names nothing")
	}
	slices.SortFunc(record.Files, func(a, b recorded) int { return strings.Compare(a.Path, b.Path) }) // assets before the entry point
	for _, f := range record.Files {
		source := s.name + "/" + url.PathEscape(f.Path) + "?versionId=" + f.Version
		if f.Version == "" {
			source = s.name + "/" + recordsKept + "_files/" + f.SHA256
		}
		if _, err := s.s3.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &s.name, Key: &f.Path, CopySource: &source}); err != nil {
			return err
		}
	}
	if s.distribution != "" {
		return s.forget(ctx, "by hand to "+target)
	}
	return nil
}

func (s *site) reached(ctx context.Context, target string) string {
	paths := []string{entry}
	for _, rev := range append(s.targets, s.current) { // a release has the assets of those before it, for pages that are open
		paths = append(paths, asset(rev))
		if rev == target {
			break
		}
	}
	for _, path := range paths {
		of := target
		if path != entry {
			of = strings.TrimSuffix(strings.TrimPrefix(path, "assets/app."), ".js")
		}
		out, err := s.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &s.name, Key: &path})
		if err != nil {
			return path + ": " + seen(err)
		}
		is, err := io.ReadAll(out.Body)
		out.Body.Close() // read to its end
		if want := s.content(of, path); err != nil || string(is) != want {
			return fmt.Sprintf("the bucket has %q as %s (%v)", is, path, err)
		}
		if s.edge == "" {
			continue
		}
		if is, err = ask(ctx, s.edge+"/"+path); err != nil || !bytes.Equal(is, []byte(s.content(of, path))) {
			return fmt.Sprintf("the edge answers %q for %s (%v)", is, path, err)
		}
	}
	return ""
}

// ask gets what a visitor gets.
func ask(ctx context.Context, at string) ([]byte, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return nil, err
	}
	defer r.Body.Close() // read to its limit
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil && r.StatusCode != http.StatusOK {
		err = fmt.Errorf("it answers %s", r.Status)
	}
	return body, err
}
