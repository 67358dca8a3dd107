package lab

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// edgePath is where the edge of a distribution answers on the lab's own port: /_edge/ID/PATH. It answers as well to
// whoever asks the lab for a host that is the distribution's domain name or one of its aliases.
const edgePath = "/_edge/"

// errorsKept is how long an edge answers the error that the origin gave.
//
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/HTTPStatusCodes.html
const errorsKept = 10 * time.Second

// Limits of all caches together. What is over is forgotten, as edges do.
const (
	maxCached      = 10_000
	maxCachedBytes = 256 << 20
)

// distribution is what an edge needs to know of one.
type distribution struct {
	id, domain string
	from       *Call // whose it is
	now, next  distributionConfig
	nextAt     time.Time // when next is everywhere
}

// distributionConfig is the part of a configuration that edges follow.
//
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_DistributionConfig.html
type distributionConfig struct {
	Enabled           bool
	DefaultRootObject string
	Aliases           []string `xml:"Aliases>Items>CNAME"`
	Origins           []struct {
		ID         string `xml:"Id"`
		DomainName string
		OriginPath string
	} `xml:"Origins>Items>Origin"`
	Default   behavior   `xml:"DefaultCacheBehavior"`
	Behaviors []behavior `xml:"CacheBehaviors>Items>CacheBehavior"`
}

type behavior struct {
	PathPattern     string
	TargetOriginID  string `xml:"TargetOriginId"`
	CachePolicyID   string `xml:"CachePolicyId"`
	MinTTL          int64
	DefaultTTL      *int64
	MaxTTL          *int64
	ForwardedValues struct{ QueryString bool }
}

// The policies that AWS keeps for all accounts, as far as they are used in front of S3.
//
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
const (
	cachingOptimized = "658327ea-f89d-4fab-a63d-7e88639e58f6"
	cachingDisabled  = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
)

// ttls are the shortest, usual and longest time that a behavior lets an edge keep something.
func (b behavior) ttls() (least, usual, most time.Duration) {
	switch b.CachePolicyID {
	case cachingDisabled:
		return 0, 0, 0
	case cachingOptimized:
		return time.Second, 24 * time.Hour, 365 * 24 * time.Hour
	}
	seconds := func(n *int64, otherwise int64) time.Duration {
		if n != nil {
			otherwise = *n
		}
		return time.Duration(min(max(otherwise, 0), 100*365*24*3600)) * time.Second
	}
	return seconds(&b.MinTTL, 0), seconds(b.DefaultTTL, 24*3600), seconds(b.MaxTTL, 365*24*3600)
}

// cached is what an edge holds.
type cached struct {
	status int
	header http.Header
	body   []byte
	at     time.Time // by the lab's clock
	fresh  time.Duration
}

// edges are the caches of all distributions.
type edges struct {
	mu    sync.Mutex
	by    map[string]*distribution // by ID
	held  map[string]*cached       // by ID and path
	bytes int
}

func (e *edges) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.by, e.held, e.bytes = nil, nil, 0
}

// configure tells the edges of a distribution that was made or changed. They follow the change once it is deployed.
func (e *edges) configure(c *Call, id, domain string, document []byte, now time.Time) {
	var wrapped struct {
		DistributionConfig *distributionConfig
		distributionConfig
	}
	if xml.Unmarshal(document, &wrapped) != nil {
		return // moto has taken it, so there is one that it can read and we can't: it has no edge
	}
	config := wrapped.distributionConfig
	if wrapped.DistributionConfig != nil { // CreateDistributionWithTags
		config = *wrapped.DistributionConfig
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.by == nil {
		e.by = map[string]*distribution{}
	}
	d := e.by[id]
	if d == nil {
		d = &distribution{id: id, domain: domain, from: &Call{Account: c.Account, AccessKey: c.AccessKey, Region: homeRegion}, now: config}
		e.by[id] = d
	} else if !now.Before(d.nextAt) && !d.nextAt.IsZero() {
		d.now = d.next
	}
	d.next, d.nextAt = config, now.Add(distributionTakes)
}

func (e *edges) forget(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.by, id)
}

// find returns the distribution that a request is for, as it is now, and the path that it asks for.
func (e *edges) find(r *http.Request, now time.Time) (d distribution, path string, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id, path := "", r.URL.EscapedPath()
	if rest, prefixed := strings.CutPrefix(path, edgePath); prefixed {
		id, path, _ = strings.Cut(rest, "/")
		path = "/" + path
	} else {
		host, _, _ := strings.Cut(r.Host, ":")
		for _, one := range e.by {
			if host == one.domain {
				id = one.id
			}
			for _, alias := range one.now.Aliases {
				if host == alias {
					id = one.id
				}
			}
		}
	}
	found := e.by[id]
	if found == nil {
		return distribution{}, path, strings.HasPrefix(r.URL.Path, edgePath)
	}
	d = *found
	if !now.Before(d.nextAt) {
		d.now = d.next
	}
	return d, path, true
}

// edge answers as the edge of a distribution does. It returns false when the request is for none.
func (l *Lab) edge(w http.ResponseWriter, r *http.Request) bool {
	d, path, ok := l.states.edges.find(r, l.Now())
	if !ok {
		return false
	}
	refuse := func(status int, why string) bool {
		w.Header().Set("X-Cache", "Error from cloudfront")
		http.Error(w, why, status)
		return true
	}
	switch {
	case d.id == "":
		return refuse(http.StatusNotFound, "The lab has no such distribution.")
	case !d.now.Enabled:
		return refuse(http.StatusForbidden, "The distribution is disabled.")
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return refuse(http.StatusForbidden, "This distribution is not configured to allow the HTTP request method.")
	}
	if path == "/" && d.now.DefaultRootObject != "" {
		path += url.PathEscape(d.now.DefaultRootObject)
	}
	b := d.now.behaviorFor(path)
	key := d.id + path
	if b.ForwardedValues.QueryString {
		key += "?" + r.URL.RawQuery
	}
	held, how := l.look(r.Context(), d, b, key, path)
	held.serve(w, r, how, l.Now())
	return true
}

// look returns what an edge answers, from what it holds or from the origin, and what it says of that.
func (l *Lab) look(ctx context.Context, d distribution, b behavior, key, path string) (held *cached, how string) {
	defer l.states.cloudfront.locks.lock("edge " + key)() // one request to the origin at a time
	held, how = l.held(key, d.id, path), "Hit from cloudfront"
	if held == nil || l.Now().Sub(held.at) >= held.fresh {
		got := l.origin(ctx, d, b, path)
		how = "Miss from cloudfront"
		if held != nil && got.status == http.StatusOK && got.header.Get("ETag") == held.header.Get("ETag") {
			how = "RefreshHit from cloudfront"
		}
		held = got
		l.states.edges.hold(key, got)
	}
	if held.status != http.StatusOK {
		how = "Error from cloudfront"
	}
	return held, how
}

// behaviorFor is the first behavior whose pattern the path fits.
func (c distributionConfig) behaviorFor(path string) behavior {
	for _, b := range c.Behaviors {
		if wild(strings.TrimPrefix(b.PathPattern, "/"), strings.TrimPrefix(path, "/")) {
			return b
		}
	}
	return c.Default
}

// wild matches * and ? of CloudFront's patterns, in time proportional to the product of the lengths at worst.
func wild(pattern, s string) bool {
	p, at, star, mark := 0, 0, -1, 0
	for at < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, at
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[at]):
			p++
			at++
		case star >= 0:
			mark++
			p, at = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// held is what the edge holds, unless an invalidation that is completed has taken it away.
func (l *Lab) held(key, id, path string) *cached {
	e, s := &l.states.edges, &l.states.cloudfront
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.held[key]
	if c == nil {
		return nil
	}
	now := l.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, i := range s.invalidations {
		if i.distribution != id || now.Sub(i.made) < invalidationTakes || c.at.After(i.made) {
			continue
		}
		for _, p := range i.paths {
			if wild(p, path) || wild(p, decoded(path)) {
				e.bytes -= len(c.body)
				delete(e.held, key)
				return nil
			}
		}
	}
	return c
}

func decoded(path string) string {
	if s, err := url.PathUnescape(path); err == nil {
		return s
	}
	return path
}

func (e *edges) hold(key string, c *cached) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.held == nil || len(e.held) >= maxCached || e.bytes+len(c.body) > maxCachedBytes {
		e.held, e.bytes = map[string]*cached{}, 0
	}
	if before := e.held[key]; before != nil {
		e.bytes -= len(before.body)
		delete(e.held, key)
	}
	if c.fresh > 0 {
		e.held[key] = c
		e.bytes += len(c.body)
	}
}

// origin asks the bucket behind a behavior. It is asked with the rights of the distribution's account: whether the
// bucket's policy lets CloudFront in is not judged.
func (l *Lab) origin(ctx context.Context, d distribution, b behavior, path string) *cached {
	out := &cached{status: http.StatusBadGateway, header: http.Header{}, at: l.Now(), fresh: errorsKept}
	for _, o := range d.now.Origins {
		bucket, ok := bucketOf(o.DomainName)
		if o.ID != b.TargetOriginID || !ok {
			continue
		}
		object := strings.TrimPrefix(decoded(o.OriginPath+path), "/")
		if object == "" {
			break
		}
		r, err := l.send(ctx, "s3", "GetObject", d.from, map[string]any{"Bucket": bucket, "Key": object})
		if err != nil { // as S3 answers whoever may not list the bucket
			out.status, out.body = http.StatusForbidden, []byte("<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
			out.header.Set("Content-Type", "application/xml")
			return out
		}
		out.status, out.header, out.body = r.Status, r.Header, r.Body
		least, usual, most := b.ttls()
		out.fresh = freshness(r.Header, out.at, least, usual, most)
		return out
	}
	out.body = fmt.Appendf(nil, "The lab's edges know only origins that are buckets, and none of %s is one.\n", d.id)
	return out
}

// bucketOf reads the domain name of a bucket: NAME.s3.amazonaws.com, NAME.s3.REGION.amazonaws.com.
func bucketOf(domain string) (string, bool) {
	at := strings.LastIndex(domain, ".s3.")
	if at <= 0 || !strings.HasSuffix(domain, ".amazonaws.com") {
		return "", false
	}
	return domain[:at], true
}

// freshness is how long an edge keeps what the origin answered.
//
// https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/Expiration.html#ExpirationDownloadDist
func freshness(h http.Header, now time.Time, least, usual, most time.Duration) time.Duration {
	said := map[string]string{}
	for _, part := range strings.Split(strings.ToLower(h.Get("Cache-Control")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		said[name] = strings.Trim(value, `"`)
	}
	for _, never := range []string{"no-cache", "no-store", "private"} {
		if _, ok := said[never]; ok {
			return least
		}
	}
	for _, name := range []string{"s-maxage", "max-age"} {
		if n, err := strconv.ParseInt(said[name], 10, 32); err == nil {
			return min(max(time.Duration(n)*time.Second, least), most)
		}
	}
	if t, err := http.ParseTime(h.Get("Expires")); err == nil {
		return min(max(t.Sub(now), least), most)
	}
	return min(max(usual, least), max(most, least))
}

// serve answers from the edge, a part or nothing of it where that was asked.
func (c *cached) serve(w http.ResponseWriter, r *http.Request, how string, now time.Time) {
	for name, values := range c.header {
		w.Header()[name] = values
	}
	w.Header().Del("Content-Length")
	w.Header().Set("X-Cache", how)
	w.Header().Set("Via", "1.1 lab.cloudfront.net (CloudFront)")
	w.Header().Set("X-Amz-Cf-Pop", "LAB50-P1")
	w.Header().Set("X-Amz-Cf-Id", "lab")
	if strings.HasPrefix(how, "Hit") || c.status != http.StatusOK && now.Sub(c.at) >= time.Second {
		w.Header().Set("Age", strconv.Itoa(int(now.Sub(c.at).Seconds())))
	}
	if c.status != http.StatusOK {
		w.WriteHeader(c.status)
		_, _ = w.Write(c.body) // who no longer listens gets nothing
		return
	}
	modified, _ := http.ParseTime(c.header.Get("Last-Modified")) // without one there is no such condition
	http.ServeContent(w, r, "", modified, bytes.NewReader(c.body))
}
