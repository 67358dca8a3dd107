package awss3site

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// When a rule takes what away, by the documentation's own examples: days count from the object, or from when it was
// replaced, and the rule acts at the midnight that follows.
func TestDeath(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 15, 10, 30, 0, 0, time.UTC)
	day := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	live := entry{key: "web/index.html", object: object{size: 100}, latest: true, at: at}
	old := entry{key: "web/index.html", object: object{size: 100}, at: at.AddDate(0, 0, -5)}
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
		e         entry
		newer     int
		at        time.Time
		changes   int
	}{
		"no rule":                           {nil, true, old, 0, time.Time{}, 0},
		"an object without versions":        {[]s3types.LifecycleRule{expire(3)}, false, live, 0, day(19), 0},
		"at midnight exactly":               {[]s3types.LifecycleRule{expire(1)}, false, entry{key: "a", latest: true, at: day(15)}, 0, day(16), 0},
		"a live version only becomes older": {[]s3types.LifecycleRule{expire(3)}, true, live, 0, time.Time{}, 0},
		"and then is deleted":               {[]s3types.LifecycleRule{expire(3), noncurrent(2, 0)}, true, live, 0, time.Time{}, 0},
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
		if d := (rules{c.rules, c.versioned}).death(c.e, at, c.newer); !d.at.Equal(c.at) || d.changes != c.changes {
			t.Errorf("%s: %v after %d changes, want %v after %d", name, d.at, d.changes, c.at, c.changes)
		}
	}
}

// pager lists n keys of three versions each, and no key that a release has but one.
type pager struct{ n, page, calls int }

func (p *pager) ListObjectVersions(_ context.Context, in *s3.ListObjectVersionsInput, _ ...func(*s3.Options)) (*s3.ListObjectVersionsOutput, error) {
	p.calls++
	from := 0
	fmt.Sscanf(aws.ToString(in.KeyMarker), "key-%d", &from)
	out := &s3.ListObjectVersionsOutput{}
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for i := from; i < min(from+p.page, p.n); i++ {
		for v := range 3 {
			out.Versions = append(out.Versions, s3types.ObjectVersion{Key: aws.String(fmt.Sprintf("key-%09d", i)), VersionId: aws.String(fmt.Sprint(v)), ETag: aws.String(fmt.Sprintf(`"e%d"`, v)),
				Size: aws.Int64(1), IsLatest: aws.Bool(v == 0), LastModified: aws.Time(at.AddDate(0, 0, -v))})
		}
	}
	if from+p.page < p.n {
		out.IsTruncated, out.NextKeyMarker, out.NextVersionIdMarker = aws.Bool(true), aws.String(fmt.Sprintf("key-%09d", from+p.page)), aws.String("0")
	}
	return out, nil
}

// A bucket of many versions is gone through page by page; of them only what a release has is kept.
func TestManyVersions(t *testing.T) {
	wanted := file{Path: "key-000000007", Size: 1, SHA256: strings.Repeat("0", 64), ETag: "e2", Version: "2"}
	s := newSurvey(clients{}, []*release{{manifest: manifestOf("v1", []file{wanted})}}, nil)
	s.rules.versioned = true
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	api := &pager{n: 100_000, page: 333}
	if err := s.list(t.Context(), api.ListObjectVersions); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if s.listed != 300_000 || s.foreign != 99_999 || s.shared != 1 {
		t.Errorf("%d listed, %d of nobody, %d shared", s.listed, s.foreign, s.shared)
	}
	if w := s.releases[0].ways[0]; !w.found || w.version != "2" || w.live {
		t.Errorf("the way back is %+v", w)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes are kept of 300,000 versions", grown)
	}
	s.most = 299_000
	if err := s.list(t.Context(), api.ListObjectVersions); err == nil || !strings.Contains(err.Error(), "more than 299000") {
		t.Errorf("a list without end: %v", err)
	}
}

// A copy of what was uploaded in parts, or is encrypted by KMS, has another ETag: it is known as the same all the same.
func TestSameContent(t *testing.T) {
	t.Parallel()
	f := file{Path: "index.html", Size: 3, SHA256: strings.Repeat("0", 64), ETag: "parts-2", Version: "1"}
	m := manifestOf("v1", []file{f})
	p := place{Settings: Settings{Entries: []string{"index.html"}}}
	live := map[string]object{"index.html": {etag: "whole", size: 3, version: "9"}}
	same := copies(nil).of(m, copies{"parts-2": "whole", "of another release": "x"})
	if len(same) != 1 || m.served(p, live, nil) || !m.served(p, live, same) {
		t.Errorf("with %v it is served: %t", same, m.served(p, live, same))
	}
	s := newSurvey(clients{p: p}, []*release{{manifest: m}}, same)
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	s.page(&s3.ListObjectVersionsOutput{Versions: []s3types.ObjectVersion{
		{Key: aws.String("index.html"), VersionId: aws.String("9"), ETag: aws.String(`"whole"`), Size: aws.Int64(3), IsLatest: aws.Bool(true), LastModified: &at},
		{Key: aws.String("index.html"), VersionId: aws.String("1"), ETag: aws.String(`"parts-2"`), Size: aws.Int64(3), IsLatest: aws.Bool(false), LastModified: &at},
	}})
	if w := s.releases[0].ways[0]; !w.live || w.version != "1" || w.etag != "parts-2" {
		t.Errorf("the way back is %+v", w)
	}
}

// What can be put again, and why not.
func TestWay(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]struct {
		w way
		f file
	}{
		"":                         {way{found: true}, file{}},
		"no version of the bucket": {way{}, file{}},
		"archived as GLACIER":      {way{found: true, class: "GLACIER"}, file{}},
		"archived as DEEP_ARCHIVE": {way{found: true, class: "DEEP_ARCHIVE"}, file{}},
		"larger than 5 GiB":        {way{found: true}, file{Size: maxCopy + 1}},
	} {
		if got := c.w.can(c.f); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%+v: %q, want %q", c.w, got, want)
		}
	}
	for _, w := range []way{{live: true, class: "GLACIER"}, {copied: true}, {found: true, class: "GLACIER_IR"}} {
		if got := w.can(file{}); got != "" {
			t.Errorf("%+v: %q", w, got)
		}
	}
}
