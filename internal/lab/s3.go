package lab

import (
	"cmp"
	"context"
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
)

// s3State is what moto does not keep of objects.
type s3State struct {
	lab *Lab

	mu sync.Mutex
	// written is when versions were made, by the real clock: moto tells whole seconds only, in which the lab's clock may have
	// been stepped. Keys are ACCOUNT/BUCKET/KEY, a zero byte and the version.
	written map[string]time.Time
	// rules are those of ACCOUNT/BUCKET. moto forgets parts of them, so they are kept as they were put.
	rules map[string]bucketRules
	// classes are the storage classes to which rules have moved versions; keys as those of written.
	classes map[string]string
}

type bucketRules struct {
	lifecycle
	document []byte // nil when there are none, or moto was told of them by others than S3's own calls
}

func (s *s3State) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.written, s.rules, s.classes = nil, nil, nil
}

// tick lets the rules do what is due after a step of the clock.
func (s *s3State) tick(ctx context.Context, _, _ time.Time) {
	_, _ = s.lab.Expire(ctx) // what moto refuses now, the next run finds again
}

// created is when a version was made, by the lab's clock.
func (s *s3State) created(c *Call, bucket, key, version string, stamped time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.written[versionKey(c, bucket, key, version)]; ok {
		stamped = at
	}
	return s.lab.when(stamped)
}

func versionKey(c *Call, bucket, key, version string) string {
	return c.Account + "/" + bucket + "/" + key + "\x00" + cmp.Or(version, "null")
}

// s3Overlays let lifecycle rules be followed, which moto only stores, by the lab's clock: as it is stepped, and as
// `astern lab expire` says. Replies say what is to come, as S3's do.
func (l *Lab) s3Overlays() map[string]Overlay {
	out := map[string]Overlay{}
	for _, o := range []string{"PutObject", "CopyObject", "CompleteMultipartUpload", "DeleteObject"} {
		out["s3:"+o] = func(ctx context.Context, c *Call, next Next) Reply {
			if c.Operation == "CopyObject" {
				if no := l.copied(ctx, c); no != nil {
					return *no
				}
				if no := l.copyRefused(ctx, c); no != nil {
					return *no
				}
			}
			r := next(ctx, c)
			if r.Status >= 300 {
				return r
			}
			s, at := &l.states.s3, time.Now()
			s.mu.Lock()
			if s.written == nil {
				s.written = map[string]time.Time{}
			}
			version := versionKey(c, c.Text("Bucket"), c.Text("Key"), r.Header.Get("X-Amz-Version-Id"))
			s.written[version] = at
			delete(s.classes, version)
			s.mu.Unlock()
			if c.Operation != "DeleteObject" {
				size := cmp.Or(c.Header.Get("X-Amz-Decoded-Content-Length"), strconv.Itoa(len(c.Body)))
				l.foretell(ctx, c, &r, l.when(at), size)
			}
			return r
		}
	}
	for _, o := range []string{"GetObject", "HeadObject"} {
		out["s3:"+o] = func(ctx context.Context, c *Call, next Next) Reply {
			r := l.states.s3.of(c, next(ctx, c))
			stamped, err := http.ParseTime(r.Header.Get("Last-Modified"))
			if r.Status >= 300 || err != nil || c.Text("VersionId") != "" {
				return r
			}
			at := l.states.s3.created(c, c.Text("Bucket"), c.Text("Key"), r.Header.Get("X-Amz-Version-Id"), stamped)
			l.foretell(ctx, c, &r, at, r.Header.Get("Content-Length"))
			return r
		}
	}
	for _, o := range []string{"PutBucketLifecycleConfiguration", "GetBucketLifecycleConfiguration", "DeleteBucketLifecycle", "DeleteBucket"} {
		out["s3:"+o] = l.bucketLifecycle
	}
	out["s3:ListObjectVersions"], out["s3:RestoreObject"] = l.listedVersions, l.restored
	return out
}

// bucketLifecycle keeps the rules that are put, and answers them.
func (l *Lab) bucketLifecycle(ctx context.Context, c *Call, next Next) Reply {
	s, key := &l.states.s3, c.Account+"/"+c.Text("Bucket")
	r := next(ctx, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Status >= 300:
	case c.Operation == "GetBucketLifecycleConfiguration":
		if document := s.rules[key].document; document != nil {
			r.Body = document
		}
	default:
		delete(s.rules, key)
		if c.Operation == "PutBucketLifecycleConfiguration" {
			s.keep(key, c.Body)
		}
	}
	return r
}

// keep keeps the rules of a bucket. A rule without name gets one.
func (s *s3State) keep(key string, document []byte) {
	lc, err := readLifecycle(document)
	if err != nil {
		return // moto has taken what the lab can't read: it is asked again
	}
	parts := strings.Split(string(document), "<Rule>")
	for i := range lc.Rules {
		if lc.Rules[i].ID == "" && len(parts) == len(lc.Rules)+1 {
			lc.Rules[i].ID = "lab-" + strconv.Itoa(i+1)
			parts[i+1] = "<ID>" + lc.Rules[i].ID + "</ID>" + parts[i+1]
		}
	}
	if s.rules == nil {
		s.rules = map[string]bucketRules{}
	}
	s.rules[key] = bucketRules{lc, []byte(strings.Join(parts, "<Rule>"))}
}

// foretell says in the reply when the rules will take the object away.
func (l *Lab) foretell(ctx context.Context, c *Call, r *Reply, created time.Time, size string) {
	bucket := c.Text("Bucket")
	lc := l.lifecycleOf(ctx, c, bucket, false)
	if len(lc.Rules) == 0 {
		return
	}
	o := object{key: c.Text("Key"), created: created}
	o.size, _ = strconv.ParseInt(size, 10, 64) // "" is of no object that a size could matter for
	if lc.tagged() {
		o.tags = l.tagsOf(ctx, c, bucket, o.key, "")
	}
	if at, rule, ok := lc.expiry(o); ok {
		r.Header.Set("X-Amz-Expiration", expirationHeader(at, rule))
	} else {
		r.Header.Del("X-Amz-Expiration")
	}
}

// lifecycleOf returns the rules of a bucket. Those that were not put by S3's own calls are asked of moto: once, or again.
func (l *Lab) lifecycleOf(ctx context.Context, c *Call, bucket string, again bool) lifecycle {
	s, key := &l.states.s3, c.Account+"/"+bucket
	s.mu.Lock()
	known, ok := s.rules[key]
	s.mu.Unlock()
	if ok && (!again || known.document != nil) {
		return known.lifecycle
	}
	var lc lifecycle
	if r, err := l.send(ctx, "s3", "GetBucketLifecycleConfiguration", c, map[string]any{"Bucket": bucket}); err == nil {
		if lc, err = readLifecycle(r.Body); err != nil {
			lc = lifecycle{} // what moto has stored, it can write
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rules == nil {
		s.rules = map[string]bucketRules{}
	}
	s.rules[key] = bucketRules{lifecycle: lc}
	return lc
}

func (l *Lab) tagsOf(ctx context.Context, c *Call, bucket, key, version string) map[string]string {
	in := map[string]any{"Bucket": bucket, "Key": key}
	if version != "" && version != "null" {
		in["VersionId"] = version
	}
	found, err := l.ask(ctx, "s3", "GetObjectTagging", c, in)
	if err != nil {
		return nil
	}
	out := map[string]string{}
	for _, t := range list(found["TagSet"], "Tag") {
		m, _ := t.(map[string]any)
		k, _ := m["Key"].(string)
		out[k], _ = m["Value"].(string)
	}
	return out
}

// Expired is an object, or a version of one, that a lifecycle rule took away; or a container image.
type Expired struct {
	Account    string `json:"account"`
	Bucket     string `json:"bucket,omitempty"`
	Repository string `json:"repository,omitempty"` // of an image
	Key        string `json:"key"`                  // of an image: its tags
	VersionID  string `json:"version_id,omitempty"` // "" when the current version was deleted; of an image: its digest
	Rule       string `json:"rule"`
}

// Expire runs the lifecycle rules of all buckets, by the lab's clock, and returns what they took away.
func (l *Lab) Expire(ctx context.Context) ([]Expired, error) {
	out := []Expired{}
	for _, who := range l.states.identities.callers() {
		found, err := l.ask(ctx, "s3", "ListBuckets", who, nil)
		if err != nil {
			return out, astern.Errorf(astern.Unavailable, "listing the buckets of the lab: %w", err)
		}
		for _, b := range list(found["Buckets"], "Bucket") {
			m, _ := b.(map[string]any)
			bucket, _ := m["Name"].(string)
			gone, err := l.expireBucket(ctx, who, bucket)
			out = append(out, gone...)
			if err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// versionList is a page of ListObjectVersions. AWS mixes versions and delete markers, the newest of each key first.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html
type versionList struct {
	IsTruncated                        bool
	NextKeyMarker, NextVersionIDMarker string
	All                                []versionEntry
}

type versionEntry struct {
	Key          string
	VersionID    string `xml:"VersionId"`
	IsLatest     bool
	LastModified time.Time
	Size         int64
	marker       bool
}

// UnmarshalXML keeps versions and markers in their order.
func (v *versionList) UnmarshalXML(d *xml.Decoder, _ xml.StartElement) error {
	for {
		t, err := d.Token()
		if err != nil {
			return err
		}
		begin, ok := t.(xml.StartElement)
		if !ok {
			if _, end := t.(xml.EndElement); end {
				return nil
			}
			continue
		}
		switch begin.Name.Local {
		case "Version", "DeleteMarker":
			var e versionEntry
			err = d.DecodeElement(&e, &begin)
			e.marker = begin.Name.Local == "DeleteMarker"
			v.All = append(v.All, e)
		case "IsTruncated":
			err = d.DecodeElement(&v.IsTruncated, &begin)
		case "NextKeyMarker":
			err = d.DecodeElement(&v.NextKeyMarker, &begin)
		case "NextVersionIdMarker":
			err = d.DecodeElement(&v.NextVersionIDMarker, &begin)
		default:
			err = d.Skip()
		}
		if err != nil {
			return err
		}
	}
}

// expireBucket runs the rules of one bucket.
func (l *Lab) expireBucket(ctx context.Context, c *Call, bucket string) ([]Expired, error) {
	lc := l.lifecycleOf(ctx, c, bucket, true)
	if len(lc.Rules) == 0 {
		return nil, nil
	}
	keys, order, err := l.versionsOf(ctx, c, bucket)
	if err != nil {
		return nil, astern.Errorf(astern.Unavailable, "listing the versions in the lab's bucket %s: %w", bucket, err)
	}
	var out []Expired
	for _, key := range order {
		for _, gone := range l.expireKey(ctx, c, bucket, keys[key], lc) {
			in := map[string]any{"Bucket": bucket, "Key": key}
			if gone.VersionID != "" {
				in["VersionId"] = gone.VersionID
			}
			if _, err := l.send(ctx, "s3", "DeleteObject", c, in); err != nil {
				return out, astern.Errorf(astern.Unavailable, "expiring %s in the lab's bucket %s: %w", key, bucket, err)
			}
			gone.Account, gone.Bucket, gone.Key = c.Account, bucket, key
			out = append(out, gone)
		}
	}
	return out, nil
}

// versionsOf returns the versions of each key, newest first.
func (l *Lab) versionsOf(ctx context.Context, c *Call, bucket string) (keys map[string][]versionEntry, order []string, err error) {
	keys = map[string][]versionEntry{}
	in := map[string]any{"Bucket": bucket}
	for {
		r, err := l.send(ctx, "s3", "ListObjectVersions", c, in)
		if err != nil {
			return nil, nil, err
		}
		var page versionList
		if err := xml.Unmarshal(r.Body, &page); err != nil {
			return nil, nil, err
		}
		for _, v := range page.All {
			if len(keys[v.Key]) == 0 {
				order = append(order, v.Key)
			}
			keys[v.Key] = append(keys[v.Key], v)
		}
		if !page.IsTruncated || page.NextKeyMarker == "" {
			return keys, order, nil
		}
		in = map[string]any{"Bucket": bucket, "KeyMarker": page.NextKeyMarker}
		if page.NextVersionIDMarker != "" {
			in["VersionIdMarker"] = page.NextVersionIDMarker
		}
	}
}

// expireKey says which versions of a key, newest first, the rules take away now, and notes which they move. A current version in a bucket with
// versions gets a delete marker: VersionID is "" for it.
func (l *Lab) expireKey(ctx context.Context, c *Call, bucket string, versions []versionEntry, lc lifecycle) (out []Expired) {
	now := l.Now()
	for i, v := range versions {
		versions[i].LastModified = l.states.s3.created(c, bucket, v.Key, v.VersionID, v.LastModified)
	}
	slices.SortStableFunc(versions, func(a, b versionEntry) int { // moto lists markers last
		switch {
		case a.IsLatest:
			return -1
		case b.IsLatest:
			return 1
		}
		return b.LastModified.Compare(a.LastModified)
	})
	var superseded time.Time
	for i, v := range versions {
		o := object{key: v.Key, size: v.Size, created: v.LastModified}
		if lc.tagged() && !v.marker {
			o.tags = l.tagsOf(ctx, c, bucket, v.Key, v.VersionID)
		}
		switch {
		case i == 0 && v.marker:
			if rule, ok := lc.lonely(o, now); ok && len(versions) == 1 {
				out = append(out, Expired{VersionID: v.VersionID, Rule: rule})
			}
		case i == 0:
			if at, rule, ok := lc.expiry(o); ok && !now.Before(at) {
				out = append(out, Expired{Rule: rule})
			}
		default:
			if rule, ok := lc.dead(o, superseded, i-1, now); ok {
				out = append(out, Expired{VersionID: v.VersionID, Rule: rule})
			} else if class := lc.moved(o, superseded, i-1, now); class != "" && !v.marker {
				l.states.s3.move(versionKey(c, bucket, v.Key, v.VersionID), class)
			}
		}
		superseded = o.created
	}
	return out
}

// copyRefused refuses a CopyObject whose condition on what is at its key does not hold: moto asks it of PutObject alone.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html#API_CopyObject_RequestSyntax
func (l *Lab) copyRefused(ctx context.Context, c *Call) *Reply {
	match, none := c.Header.Get("If-Match"), c.Header.Get("If-None-Match")
	if match == "" && none == "" {
		return nil
	}
	is, err := l.send(ctx, "s3", "HeadObject", c, map[string]any{"Bucket": c.Text("Bucket"), "Key": c.Text("Key")})
	there := err == nil
	if none != "" && there || match != "" && (!there || is.Header.Get("ETag") != match) {
		r := errorReply(c, http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
		return &r
	}
	return nil
}
