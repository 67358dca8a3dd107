package awss3site

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// pager lists n keys, the first hundred of three versions each.
type pager struct{ n, page, calls int }

func (p *pager) ListObjectVersions(_ context.Context, in *s3.ListObjectVersionsInput, _ ...func(*s3.Options)) (*s3.ListObjectVersionsOutput, error) {
	p.calls++
	from := 0
	fmt.Sscanf(aws.ToString(in.KeyMarker), "key-%d", &from)
	out := &s3.ListObjectVersionsOutput{}
	at := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for i := from; i < min(from+p.page, p.n); i++ {
		versions := 1
		if i < 100 {
			versions = 3
		}
		for v := range versions {
			out.Versions = append(out.Versions, s3types.ObjectVersion{Key: aws.String(fmt.Sprintf("key-%09d", i)), VersionId: aws.String(fmt.Sprint(v)), ETag: aws.String(fmt.Sprintf(`"e%d"`, v)),
				Size: aws.Int64(1), IsLatest: aws.Bool(v == 0), LastModified: aws.Time(at.AddDate(0, 0, -v))})
		}
	}
	if from+p.page < p.n {
		out.IsTruncated, out.NextKeyMarker, out.NextVersionIdMarker = aws.Bool(true), aws.String(fmt.Sprintf("key-%09d", from+p.page)), aws.String("0")
	}
	return out, nil
}

// A bucket of a million objects is gone through page by page; of them only what a release has is kept.
func TestManyVersions(t *testing.T) {
	wanted := file{Path: "key-000000007", Size: 1, SHA256: strings.Repeat("0", 64), ETag: "e2", Version: "2"}
	s := newSurvey(clients{}, []*release{{manifest: manifestOf("v1", []file{wanted})}}, nil)
	s.rules.Versioned = true
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	api := &pager{n: 1_000_000, page: 1000}
	if err := s.list(t.Context(), api.ListObjectVersions); err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if s.listed != 1_000_200 || s.foreign != 999_999 || s.shared != 1 {
		t.Errorf("%d listed, %d of nobody, %d shared", s.listed, s.foreign, s.shared)
	}
	if w := s.releases[0].ways[0]; !w.found || w.version != "2" || w.live {
		t.Errorf("the way back is %+v", w)
	}
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 4<<20 {
		t.Errorf("%d bytes are kept of a million objects", grown)
	}
	s.most = 999_000
	if err := s.list(t.Context(), api.ListObjectVersions); err == nil || !strings.Contains(err.Error(), "more than 999000") {
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

// Of a large site a switch lists the versions of its entry points alone.
func TestSwitchListsEntryPointsAlone(t *testing.T) {
	t.Parallel()
	o := &order{clients: clients{p: place{Settings: Settings{Prefix: "web/", Entries: []string{"404.html", "index.html"}}}}}
	m := manifestOf("v1", []file{{Path: "404.html"}, {Path: "index.html"}, {Path: "logo.svg"}})
	if s := o.survey(m, true, nil); !slices.Equal(s.prefixes, []string{"web/404.html", "web/index.html"}) || len(s.releases[0].ways) != 2 {
		t.Errorf("a switch lists %q", s.prefixes)
	}
	if s := o.survey(m, false, nil); !slices.Equal(s.prefixes, []string{"web/"}) || len(s.releases[0].ways) != 1 {
		t.Errorf("a put lists %q", s.prefixes)
	}
}
