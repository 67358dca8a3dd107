package awss3site

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// object is what S3 says of an object, or of a version of one.
type object struct {
	etag    string
	size    int64
	version string // "" where the bucket keeps none
	class   string
}

func etagOf(s *string) string { return strings.Trim(aws.ToString(s), `"`) }

// versionOf leaves out the version of what was written while the bucket kept none: it is replaced by the next.
func versionOf(s *string) string {
	if v := aws.ToString(s); v != "null" {
		return v
	}
	return ""
}

func quoted(etag string) *string { return aws.String(`"` + etag + `"`) }

// explain words an error about a key ("" for the bucket).
func (c clients) explain(err error, doing, key string) error {
	return awsapi.Explain(err, doing+" "+c.p.url(key), c.p.arn(key))
}

// answered names the call whose answer broke off: while that is read the SDK does not.
func answered(err error) error {
	return &smithy.OperationError{ServiceID: "S3", OperationName: "GetObject", Err: err}
}

// head looks at an object and its headers; ok is false when there is none.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
func (c clients) head(ctx context.Context, key string) (o object, h headers, ok bool, err error) {
	out, err := c.s3.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &c.p.Bucket, Key: &key})
	if err != nil {
		if err = c.explain(err, "looking at", key); astern.CodeOf(err) == astern.NotFound {
			return object{}, headers{}, false, nil
		}
		return object{}, headers{}, false, err
	}
	return object{etagOf(out.ETag), aws.ToInt64(out.ContentLength), versionOf(out.VersionId), string(out.StorageClass)}, headersOf(out), true, nil
}

// get reads a small object whole; ok is false when there is none.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func (c clients) get(ctx context.Context, key string, most int64) (text []byte, etag string, ok bool, err error) {
	out, err := c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &c.p.Bucket, Key: &key})
	if err != nil {
		if err = c.explain(err, "reading", key); astern.CodeOf(err) == astern.NotFound {
			return nil, "", false, nil
		}
		return nil, "", false, err
	}
	defer out.Body.Close() // read to its end or given up
	text, err = io.ReadAll(io.LimitReader(out.Body, most+1))
	switch {
	case err != nil:
		return nil, "", false, c.explain(answered(err), "reading", key)
	case int64(len(text)) > most:
		return nil, "", false, astern.Errorf(astern.Refused, "reading %s: it is larger than %d MB", c.p.url(key), most>>20)
	}
	return text, etagOf(out.ETag), true, nil
}

// digest reads an object, or a version of one, and returns what it is.
func (c clients) digest(ctx context.Context, path string, o object) (file, error) {
	return c.digestOf(ctx, c.p.Prefix+path, path, o)
}

// digestOf is digest for content of a path that may lie under another key.
func (c clients) digestOf(ctx context.Context, key, path string, o object) (file, error) {
	in := &s3.GetObjectInput{Bucket: &c.p.Bucket, Key: &key, IfMatch: quoted(o.etag)}
	if o.version != "" {
		in.VersionId = &o.version
	}
	out, err := c.s3.GetObject(ctx, in)
	if err != nil {
		return file{}, c.explain(err, "reading", key)
	}
	defer out.Body.Close() // read to its end or given up
	sum := sha256.New()
	n, err := io.Copy(sum, out.Body)
	if err != nil {
		return file{}, c.explain(answered(err), "reading", key)
	}
	if n != o.size {
		return file{}, astern.Errorf(astern.Unavailable, "reading %s: %d bytes of %d came", c.p.url(key), n, o.size)
	}
	f := file{Path: path, Size: n, SHA256: hex.EncodeToString(sum.Sum(nil)), ETag: o.etag, Version: o.version}
	f.headers = headers{aws.ToString(out.ContentType), aws.ToString(out.CacheControl), aws.ToString(out.ContentEncoding), aws.ToString(out.ContentDisposition),
		aws.ToString(out.ContentLanguage), aws.ToString(out.WebsiteRedirectLocation), string(out.StorageClass), out.Metadata}
	return f, nil
}

// put writes a small object if what is there still has the ETag, "" for nothing. It returns the new ETag.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func (c clients) put(ctx context.Context, key string, text []byte, was string) (etag string, err error) {
	in := &s3.PutObjectInput{Bucket: &c.p.Bucket, Key: &key, Body: bytes.NewReader(text), ContentType: aws.String("application/json")}
	if was == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = quoted(was)
	}
	out, err := c.act.PutObject(ctx, in)
	if err != nil {
		return "", c.explain(err, "writing", key)
	}
	return etagOf(out.ETag), nil
}

// manifest reads the manifest of a release; ok is false when there is none. What is wrong with one is a Refused error.
func (c clients) manifest(ctx context.Context, revision string) (m manifest, ok bool, err error) {
	key := c.p.manifestKey(revision)
	text, _, ok, err := c.get(ctx, key, maxManifest)
	if awsapi.Is(err, "InvalidObjectState") { // archived: so it stays until somebody restores it
		return m, true, astern.Errorf(astern.Refused, "reading %s: it is archived: %w", c.p.url(key), err).WithHint("aws s3api restore-object --bucket %s --key %s", c.p.Bucket, key)
	}
	if err != nil || !ok {
		return m, ok, err
	}
	if m, err = decode(text, revision); err != nil {
		return m, true, astern.Errorf(astern.Refused, "reading %s: %w", c.p.url(key), err)
	}
	return m, true, nil
}

// marker reads which release was put last, and the ETag of what says so, "" where nothing does.
func (c clients) marker(ctx context.Context) (m marker, etag string, err error) {
	text, etag, ok, err := c.get(ctx, c.p.markerKey(), maxManifest)
	if err != nil || !ok {
		return m, "", err
	}
	if err := json.Unmarshal(text, &m); err != nil || m.Kind != markerKind || m.Version != 1 {
		return marker{}, "", astern.Errorf(astern.Refused, "reading %s: it is not what astern wrote there", c.p.url(c.p.markerKey())).
			WithHint("look at it; without it astern goes by the entry points alone")
	}
	return m, etag, nil
}

// mark writes the marker if what is there still has the ETag, "" for nothing.
func (c clients) mark(ctx context.Context, m marker, was string) (etag string, err error) {
	text, err := json.Marshal(m)
	if err != nil {
		return "", astern.Errorf(astern.Internal, "encoding the marker: %w", err)
	}
	return c.put(ctx, c.p.markerKey(), text, was)
}

// recorded is a release that has a manifest.
type recorded struct {
	revision string
	at       time.Time // when it was recorded
}

// maxPages bounds every list.
const maxPages = 10_000

// pages asks for one page of a list after the other: ask gets nil and then the token of the next page, and returns that of
// the one after it.
func pages(ask func(token *string) (next *string, err error)) error {
	var token *string
	for range maxPages {
		next, err := ask(token)
		if err != nil || aws.ToString(next) == "" {
			return err
		}
		if token != nil && *token == *next {
			break
		}
		token = next
	}
	return astern.Errorf(astern.Internal, "a list of the cloud does not end")
}

// objects lists what is below a prefix; with a delimiter, only what is directly there.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
func (c clients) objects(ctx context.Context, prefix string, delimiter *string, take func(s3types.Object)) error {
	return pages(func(token *string) (*string, error) {
		page, err := c.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &c.p.Bucket, Prefix: &prefix, Delimiter: delimiter, ContinuationToken: token})
		if err != nil {
			return nil, c.explain(err, "listing", prefix)
		}
		for _, o := range page.Contents {
			take(o)
		}
		return page.NextContinuationToken, nil
	})
}

// recorded lists the releases that have a manifest, the newest first.
func (c clients) recorded(ctx context.Context) ([]recorded, error) {
	var out []recorded
	err := c.objects(ctx, c.p.records, aws.String("/"), func(o s3types.Object) {
		rev, ok := strings.CutSuffix(strings.TrimPrefix(aws.ToString(o.Key), c.p.records), ".json")
		if ok && goodRevision(rev) {
			out = append(out, recorded{rev, aws.ToTime(o.LastModified).UTC()})
		}
	})
	slices.SortFunc(out, func(a, b recorded) int { return cmp.Or(b.at.Compare(a.at), strings.Compare(b.revision, a.revision)) })
	return out, err
}

// lister is the one call of S3 that lists versions.
type lister func(ctx context.Context, in *s3.ListObjectVersionsInput, options ...func(*s3.Options)) (*s3.ListObjectVersionsOutput, error)

// versionPages goes through all versions whose keys begin with the prefix, page by page.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
func (c clients) versionPages(ctx context.Context, prefix string, list lister, take func(*s3.ListObjectVersionsOutput) error) error {
	in := &s3.ListObjectVersionsInput{Bucket: &c.p.Bucket, Prefix: &prefix}
	return pages(func(*string) (*string, error) {
		page, err := list(ctx, in)
		if err != nil {
			return nil, c.explain(err, "listing the versions in", prefix)
		}
		if err := take(page); err != nil || !aws.ToBool(page.IsTruncated) {
			return nil, err
		}
		in.KeyMarker, in.VersionIdMarker = page.NextKeyMarker, page.NextVersionIdMarker
		return aws.String(aws.ToString(in.KeyMarker) + "\n" + aws.ToString(in.VersionIdMarker)), nil
	})
}

// liveEntries looks at the entry points.
func (c clients) liveEntries(ctx context.Context) (map[string]object, error) {
	out := map[string]object{}
	for _, path := range c.p.Entries {
		o, _, ok, err := c.head(ctx, c.p.Prefix+path)
		if err != nil {
			return nil, err
		}
		if ok {
			out[path] = o
		}
	}
	return out, nil
}

// served reports whether the entry points that are live are those of the release.
func (m manifest) served(p place, entries map[string]object, same copies) bool {
	some := false
	for _, path := range p.Entries {
		f, has := m.find(path)
		o, live := entries[path]
		if has != live || has && !same.holds(f, o) {
			return false
		}
		some = some || has
	}
	return some
}

// copySource names a version of a key for CopyObject, which wants it percent-encoded.
func copySource(bucket, key, version string) *string {
	text := bucket + "/" + strings.ReplaceAll(strings.ReplaceAll(url.QueryEscape(key), "+", "%20"), "%2F", "/")
	if version != "" {
		text += "?versionId=" + url.QueryEscape(version)
	}
	return &text
}

// copy puts what a way leads to onto the file's key, if what is live still has the ETag, "" for nothing there. It returns
// the ETag of the copy, which is another one where it is no digest: of what was uploaded in parts or is encrypted by KMS.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
func (c clients) copy(ctx context.Context, f file, w way, was string) (etag string, err error) {
	key := c.p.Prefix + f.Path
	in := &s3.CopyObjectInput{Bucket: &c.p.Bucket, Key: &key, CopySource: copySource(c.p.Bucket, key, w.version), StorageClass: s3types.StorageClass(f.StorageClass)}
	if w.copied {
		in.CopySource = copySource(c.p.Bucket, c.p.copyKey(f.SHA256), "")
	}
	if w.copied || w.version == "" || w.version != f.Version { // what has the content may have other headers
		in.MetadataDirective = s3types.MetadataDirectiveReplace
		in.ContentType, in.CacheControl, in.ContentEncoding = text(f.ContentType), text(f.CacheControl), text(f.ContentEncoding)
		in.ContentDisposition, in.ContentLanguage, in.WebsiteRedirectLocation = text(f.ContentDisposition), text(f.ContentLanguage), text(f.Redirect)
		in.Metadata = f.Metadata
	} else if f.Redirect != "" {
		in.WebsiteRedirectLocation = text(f.Redirect) // the one header that is not copied with the others
	}
	if was == "" {
		in.IfNoneMatch = aws.String("*")
	} else {
		in.IfMatch = quoted(was)
	}
	out, err := c.act.CopyObject(ctx, in)
	if err != nil {
		return "", c.explain(err, fmt.Sprintf("putting %s back to", f.Path), key)
	}
	if out.CopyObjectResult == nil {
		return "", nil
	}
	return etagOf(out.CopyObjectResult.ETag), nil
}

// text is a header, nil for none.
func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
