package lab

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// How long CloudFront works, by the lab's clock. AWS takes minutes.
const (
	invalidationTakes = 2 * time.Second
	distributionTakes = 5 * time.Second
)

// cloudfrontState is what moto does not keep of distributions. Keys of distributions are ACCOUNT/ID.
type cloudfrontState struct {
	locks locks

	mu            sync.Mutex
	last          int
	etags         map[string]string
	changed       map[string]time.Time // distributions, by ID
	invalidations map[string]*invalidation
}

// invalidation is one that was made. It is found by its ID and by DISTRIBUTION/CALLER-REFERENCE.
type invalidation struct {
	id, distribution string
	paths            []string
	made             time.Time
	reply            Reply
}

func (s *cloudfrontState) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last, s.etags, s.changed, s.invalidations = 0, nil, nil, nil
}

// etag is the current one of a distribution.
func (s *cloudfrontState) etag(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.etags[key] == "" {
		s.fresh(key)
	}
	return s.etags[key]
}

func (s *cloudfrontState) fresh(key string) {
	if s.etags == nil {
		s.etags = map[string]string{}
	}
	s.last++
	s.etags[key] = fmt.Sprintf("E1AB%09X", s.last)
}

// change notes that a distribution is being rolled out as it is now.
func (s *cloudfrontState) change(key, id string, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh(key)
	if s.changed == nil {
		s.changed = map[string]time.Time{}
	}
	s.changed[id] = at
}

// cloudfrontOverlays correct ETags, which moto neither checks nor changes, and statuses, which it never lets be under way
// or spells so that no waiter ends.
//
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_Operations.html
func (l *Lab) cloudfrontOverlays() map[string]Overlay {
	out := map[string]Overlay{
		"cloudfront:CreateDistribution":         l.createDistribution,
		"cloudfront:CreateDistributionWithTags": l.createDistribution,
		"cloudfront:UpdateDistribution":         l.changeDistribution,
		"cloudfront:DeleteDistribution":         l.changeDistribution,
		"cloudfront:CreateInvalidation":         l.createInvalidation,
	}
	for _, o := range []string{"GetDistribution", "GetDistributionConfig"} {
		out["cloudfront:"+o] = func(ctx context.Context, c *Call, next Next) Reply {
			r := next(ctx, c)
			if r.Status == http.StatusOK {
				r.Header.Set("ETag", l.states.cloudfront.etag(c.Account+"/"+c.Text("Id")))
			}
			return l.statuses(r)
		}
	}
	out["cloudfront:ListDistributions"] = l.listDistributions
	for _, o := range []string{"GetInvalidation", "ListInvalidations"} {
		out["cloudfront:"+o] = func(ctx context.Context, c *Call, next Next) Reply { return l.statuses(next(ctx, c)) }
	}
	return out
}

// summed are the members of a distribution's configuration that a list tells of it, in AWS's order. moto tells none of them.
//
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_DistributionSummary.html
var summed = []string{"Aliases", "Origins", "OriginGroups", "DefaultCacheBehavior", "CacheBehaviors", "CustomErrorResponses", "Comment", "PriceClass",
	"Enabled", "ViewerCertificate", "Restrictions", "WebACLId", "HttpVersion", "IsIPV6Enabled"}

// node is an element with what it holds, as it is written.
type node struct {
	XMLName xml.Name
	Inner   []byte `xml:",innerxml"`
	All     []node `xml:",any"`
}

// child returns the first child of that name, an empty one where there is none.
func (n node) child(name string) node {
	for _, c := range n.All {
		if c.XMLName.Local == name {
			return c
		}
	}
	return node{}
}

// listDistributions tells of each what GetDistribution tells.
func (l *Lab) listDistributions(ctx context.Context, c *Call, next Next) Reply {
	r := next(ctx, c)
	var all node
	if r.Status >= 300 || xml.Unmarshal(r.Body, &all) != nil {
		return r
	}
	for _, item := range all.child("Items").All {
		id := string(item.child("Id").Inner)
		got, err := l.send(ctx, "cloudfront", "GetDistribution", c, map[string]any{"Id": id})
		var d node
		if err != nil || xml.Unmarshal(got.Body, &d) != nil {
			continue // it was deleted since
		}
		var summary bytes.Buffer
		element := func(name string, inner []byte) { fmt.Fprintf(&summary, "<%s>%s</%[1]s>", name, inner) }
		element("Id", []byte(id))
		element("ARN", d.child("ARN").Inner)
		element("ETag", []byte(l.states.cloudfront.etag(c.Account+"/"+id)))
		for _, name := range []string{"Status", "LastModifiedTime", "DomainName"} {
			element(name, d.child(name).Inner)
		}
		config := d.child("DistributionConfig")
		for _, name := range summed {
			element(name, config.child(name).Inner)
		}
		element("AliasICPRecordals", d.child("AliasICPRecordals").Inner)
		element("Staging", []byte("false"))
		r.Body = bytes.Replace(r.Body, item.Inner, summary.Bytes(), 1)
	}
	return l.statuses(r)
}

func (l *Lab) createDistribution(ctx context.Context, c *Call, next Next) Reply {
	r := next(ctx, c)
	if r.Status >= 300 {
		return r
	}
	doc, err := readBody("rest-xml", r.Body)
	id, ok := doc["Id"].(string)
	if err != nil || !ok {
		return r
	}
	s, key := &l.states.cloudfront, c.Account+"/"+id
	s.change(key, id, l.Now())
	domain, _ := doc["DomainName"].(string)
	l.states.edges.configure(c, id, domain, c.Body, l.Now())
	r.Header.Set("ETag", s.etag(key))
	return l.statuses(r)
}

// changeDistribution updates or deletes a distribution when its caller knows it as it is.
func (l *Lab) changeDistribution(ctx context.Context, c *Call, next Next) Reply {
	s, id := &l.states.cloudfront, c.Text("Id")
	key := c.Account + "/" + id
	defer s.locks.lock(key)()
	have, err := l.ask(ctx, "cloudfront", "GetDistributionConfig", c, map[string]any{"Id": id})
	if err != nil || c.Text("IfMatch") == "" { // moto's words for both
		return next(ctx, c)
	}
	if c.Text("IfMatch") != s.etag(key) {
		return errorReply(c, http.StatusPreconditionFailed, "PreconditionFailed",
			"The request failed because it didn't meet the preconditions in one or more request-header fields.")
	}
	if c.Operation == "DeleteDistribution" && have["Enabled"] == "true" {
		return errorReply(c, http.StatusConflict, "DistributionNotDisabled", "The distribution you are trying to delete has not been disabled.")
	}
	r := next(ctx, c)
	if r.Status < 300 {
		s.change(key, id, l.Now())
		r.Header.Set("ETag", s.etag(key))
		if c.Operation == "UpdateDistribution" {
			l.states.edges.configure(c, id, "", c.Body, l.Now())
		} else {
			l.states.edges.forget(id)
		}
	}
	return l.statuses(r)
}

// batch is the body of CreateInvalidation.
type batch struct {
	CallerReference string
	Paths           struct{ Items struct{ Path []string } }
}

// createInvalidation makes one, or answers the one that the same reference has made.
//
// https://docs.aws.amazon.com/cloudfront/latest/APIReference/API_InvalidationBatch.html
func (l *Lab) createInvalidation(ctx context.Context, c *Call, next Next) Reply {
	s := &l.states.cloudfront
	var b batch
	if err := xml.Unmarshal(c.Body, &b); err != nil {
		return errorReply(c, http.StatusBadRequest, "MalformedXML", "The XML document is malformed.")
	}
	key := c.Account + "/" + c.Text("DistributionId") + "/" + b.CallerReference
	defer s.locks.lock(key)()
	s.mu.Lock()
	before := s.invalidations[key]
	s.mu.Unlock()
	switch {
	case before != nil && slices.Equal(before.paths, b.Paths.Items.Path):
		return l.statuses(before.reply)
	case before != nil:
		return errorReply(c, http.StatusBadRequest, "InvalidationBatchAlreadyExists", "You already submitted a batch with this caller reference and other paths.")
	}
	for _, p := range b.Paths.Items.Path {
		if !strings.HasPrefix(p, "/") {
			return errorReply(c, http.StatusBadRequest, "InvalidArgument", "Your request contains one or more invalid invalidation paths.")
		}
	}
	r := next(ctx, c)
	doc, err := readBody("rest-xml", r.Body)
	id, ok := doc["Id"].(string)
	if r.Status >= 300 || err != nil || !ok {
		return r
	}
	made := &invalidation{id: id, distribution: c.Text("DistributionId"), paths: b.Paths.Items.Path, made: l.Now(), reply: r}
	s.mu.Lock()
	if s.invalidations == nil {
		s.invalidations = map[string]*invalidation{}
	}
	s.invalidations[key], s.invalidations[id] = made, made
	s.mu.Unlock()
	return l.statuses(r)
}

// statuses corrects the statuses of all distributions and invalidations in a reply.
func (l *Lab) statuses(r Reply) Reply {
	if r.Status >= 300 {
		return r
	}
	s, now := &l.states.cloudfront, l.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	body := r.Body
	for id, at := range s.changed {
		status := "Deployed"
		if now.Sub(at) < distributionTakes {
			status = "InProgress"
		}
		body = restatus(body, id, status)
	}
	for key, i := range s.invalidations {
		status := "Completed"
		if now.Sub(i.made) < invalidationTakes {
			status = "InProgress"
		}
		if key == i.id {
			body = restatus(body, key, status)
		}
	}
	r.Body = body
	return r
}

// restatus replaces the status that follows an ID in a document.
func restatus(doc []byte, id, status string) []byte {
	at := bytes.Index(doc, []byte("<Id>"+id+"</Id>"))
	if at < 0 {
		return doc
	}
	begin := bytes.Index(doc[at:], []byte("<Status>"))
	end := bytes.Index(doc[at:], []byte("</Status>"))
	if begin < 0 || end < begin {
		return doc
	}
	return slices.Concat(doc[:at+begin+len("<Status>")], []byte(status), doc[at+end:])
}
