package lab

import (
	"context"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// lifecycleMove is a transition of versions that are not current. Those of current objects are not followed.
type lifecycleMove struct {
	Days         int `xml:"NoncurrentDays"`
	Newer        int `xml:"NewerNoncurrentVersions"`
	StorageClass string
}

// moved is the storage class to which the rules have moved a version by now which is not the current one, "" for none: the
// last that is due, as S3 goes down its classes. The parameters are those of dead.
func (lc lifecycle) moved(o object, superseded time.Time, newer int, now time.Time) (class string) {
	var last time.Time
	for _, r := range lc.Rules {
		for _, m := range r.Moves {
			at := midnight(superseded, m.Days)
			if newer >= m.Newer && r.about(o) && !now.Before(at) && !at.Before(last) {
				class, last = m.StorageClass, at
			}
		}
	}
	return class
}

// move notes that a version has another storage class now.
func (s *s3State) move(key, class string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.classes == nil {
		s.classes = map[string]string{}
	}
	s.classes[key] = class
}

// class is the storage class to which a version was moved, "" when it was not.
func (s *s3State) class(c *Call, bucket, key, version string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.classes[versionKey(c, bucket, key, version)]
}

// asleep tells whether objects of a storage class can't be read before they are restored.
func asleep(class string) bool { return class == "GLACIER" || class == "DEEP_ARCHIVE" }

// of corrects a reply to GetObject and HeadObject: what was moved says so, and what is archived can't be read.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func (s *s3State) of(c *Call, r Reply) Reply {
	version := r.Header.Get("X-Amz-Version-Id")
	if version == "" {
		version = c.Text("VersionId")
	}
	class := s.class(c, c.Text("Bucket"), c.Text("Key"), version)
	switch {
	case class == "" || r.Status >= 300:
		return r
	case asleep(class) && c.Operation == "GetObject":
		return xmlReply(c, http.StatusForbidden, "<Error><Code>InvalidObjectState</Code><Message>The operation is not valid for the object's storage class</Message><StorageClass>"+
			class+"</StorageClass><RequestId>"+requestID(c)+"</RequestId></Error>")
	}
	r.Header.Set("X-Amz-Storage-Class", class)
	return r
}

// copied refuses to copy what is archived.
//
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
func (l *Lab) copied(ctx context.Context, c *Call) *Reply {
	from, version, _ := strings.Cut(strings.TrimPrefix(c.Header.Get("X-Amz-Copy-Source"), "/"), "?versionId=")
	if plain, err := url.PathUnescape(from); err == nil {
		from = plain
	}
	bucket, key, _ := strings.Cut(from, "/")
	if version == "" {
		is, err := l.send(ctx, "s3", "HeadObject", c, map[string]any{"Bucket": bucket, "Key": key})
		if err != nil {
			return nil // moto says why not
		}
		version = is.Header.Get("X-Amz-Version-Id")
	}
	if !asleep(l.states.s3.class(c, bucket, key, version)) {
		return nil
	}
	r := errorReply(c, http.StatusForbidden, "ObjectNotInActiveTierError", "The source object of the COPY operation is not in the active tier and is only stored in Amazon S3 Glacier.")
	return &r
}

// restored refuses loudly to bring back what the lab has moved: moto does not know that it is away.
func (l *Lab) restored(ctx context.Context, c *Call, next Next) Reply {
	is, err := l.send(ctx, "s3", "HeadObject", c, map[string]any{"Bucket": c.Text("Bucket"), "Key": c.Text("Key")})
	version := c.Text("VersionId")
	if version == "" && err == nil {
		version = is.Header.Get("X-Amz-Version-Id")
	}
	if asleep(l.states.s3.class(c, c.Text("Bucket"), c.Text("Key"), version)) {
		return errorReply(c, http.StatusNotImplemented, "LabNotImplemented", "The lab does not restore what a lifecycle rule has archived.")
	}
	return next(ctx, c)
}

// listedVersions says in a list of versions which of them were moved.
func (l *Lab) listedVersions(ctx context.Context, c *Call, next Next) Reply {
	r := next(ctx, c)
	l.states.s3.mu.Lock()
	none := len(l.states.s3.classes) == 0
	l.states.s3.mu.Unlock()
	if none || r.Status >= 300 {
		return r
	}
	const begin, end = "<Version>", "</Version>"
	parts := strings.Split(string(r.Body), begin)
	for i := 1; i < len(parts); i++ {
		inner, rest, ok := strings.Cut(parts[i], end)
		var v versionEntry
		if !ok || xml.Unmarshal([]byte(begin+inner+end), &v) != nil {
			continue
		}
		if plain, err := url.QueryUnescape(v.Key); err == nil && c.Query.Get("encoding-type") == "url" {
			v.Key = plain
		}
		class := l.states.s3.class(c, c.Text("Bucket"), v.Key, v.VersionID)
		before, was, ok := strings.Cut(inner, "<StorageClass>")
		_, after, closed := strings.Cut(was, "</StorageClass>")
		if class != "" && ok && closed {
			parts[i] = before + "<StorageClass>" + class + "</StorageClass>" + after + end + rest
		}
	}
	r.Body = []byte(strings.Join(parts, begin))
	return r
}
