package awss3site

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// router is the driver's Router and Picker.
type router struct{}

// Targets returns the releases that are recorded and those that the ledger remembers, the newest first.
func (router) Targets(c astern.Component, s astern.State, h astern.History) []astern.Target {
	p, err := resolve(c)
	if err != nil {
		return nil
	}
	now := s.Values["revision"]
	age := map[string]time.Time{}
	for path, v := range s.Values {
		if rev, ok := strings.CutPrefix(path, "release-time/"); ok {
			age[rev], _ = time.Parse(time.RFC3339, v.Text) // without a time it is the oldest
		}
	}
	if _, ok := age[now.Text]; !ok && now.Known() && goodRevision(now.Text) {
		age[now.Text] = s.Newest() // served, and not recorded
	}
	for _, d := range h.Deployments {
		if !astern.ValidRevision(d.Revision) {
			continue
		}
		if _, ok := age[d.Revision]; !ok {
			age[d.Revision] = time.Time{}
		}
		if d.LastAt != nil {
			age[d.Revision] = *d.LastAt
		}
	}
	var revisions []string
	for rev := range age {
		revisions = append(revisions, rev)
	}
	sort.Slice(revisions, func(i, j int) bool {
		if a, b := age[revisions[i]], age[revisions[j]]; !a.Equal(b) {
			return a.After(b)
		}
		return revisions[i] > revisions[j]
	})
	out := make([]astern.Target, len(revisions))
	for i, rev := range revisions {
		d, _ := h.Of(rev)
		out[i] = astern.Target{Address: c.Address(), Revision: rev, Hash: d.Hash, DeployedAt: d.LastAt, KnownGoodAt: d.KnownGoodAt,
			Latched: d.Latched, Current: now.Known() && now.Text == rev, Evidence: evidence(p, s, d, rev), Doors: doors(s, rev),
			Needs: []string{"s3://" + p.Bucket + "/" + p.manifestKey(rev), "s3://" + p.Bucket + "/" + p.Prefix}}
		if out[i].DeployedAt == nil {
			out[i].DeployedAt = d.FirstAt
		}
	}
	return out
}

// doors says when a lifecycle rule takes the first object of a release away.
func doors(s astern.State, rev string) []astern.Door {
	why := s.Values["dies-why/"+rev].Text
	if at, err := time.Parse(time.RFC3339, s.Values["dies/"+rev].Text); err == nil {
		return []astern.Door{{At: &at, What: why}}
	}
	if n, err := strconv.Atoi(s.Values["closes/"+rev].Text); err == nil && n > 0 {
		return []astern.Door{{Deployments: n, What: why}}
	}
	return nil
}

// soon is how long before a lifecycle rule takes it a target is at risk.
const soon = 7 * 24 * time.Hour

// evidence says what speaks for and against a release.
func evidence(p place, s astern.State, d astern.Deployment, rev string) []astern.Evidence {
	var out []astern.Evidence
	at := s.Newest()
	add := func(r astern.Readiness, format string, args ...any) {
		out = append(out, astern.Evidence{What: oneLine(fmt.Sprintf(format, args...)), Readiness: r, Seen: at})
	}
	r, why := judge(p, s, d.Hash, rev)
	add(r, "%s", why)
	if dies, err := time.Parse(time.RFC3339, s.Values["dies/"+rev].Text); err == nil && !dies.After(at.Add(soon)) {
		add(astern.AtRisk, "%s at %s", s.Values["dies-why/"+rev].Text, dies.Format("2006-01-02 15:04Z"))
	}
	if rules, ok := s.Get("rules"); ok {
		add(astern.AtRisk, "whether a lifecycle rule takes it away is not known: %s", rules.Unknown)
	}
	if n, ok := s.Get("bare/" + rev); ok {
		add(astern.AtRisk, "the bucket keeps no versions, and %s of its objects are nowhere but in what is served now: the next upload over them loses them", n.Text)
	} else if s.Values["versioning"].Text == versioningSuspended {
		add(astern.AtRisk, "versioning of the bucket is suspended: what is written now replaces what was written since")
	}
	if acl := granted(s); acl != "" {
		add(astern.AtRisk, "%s", acl)
	}
	if problem, ok := s.Get("edge-problem"); ok && !problem.Known() {
		add(astern.AtRisk, "whether CloudFront can be made to forget is not known: %s", problem.Unknown)
	} else if ok {
		add(astern.Broken, "%s", problem.Text)
	}
	if d.KnownGoodAt != nil {
		out = append(out, astern.Evidence{What: "it completed its watch", Readiness: astern.Ready, Seen: *d.KnownGoodAt})
	} else {
		add(astern.AtRisk, "it never completed a watch")
	}
	return out
}

// granted says what becomes of who may read what is served, "" where nobody depends on an ACL.
func granted(s astern.State) string {
	switch who, ok := s.Get("grants"); {
	case !ok:
		return ""
	case !who.Known():
		return "whether visitors read its objects by ACL, which is not copied, is not known: " + who.Unknown
	default:
		return "an ACL grants what is served to " + who.Text + ", and what is put again is granted to nobody: without a bucket policy that lets visitors read it, they are denied"
	}
}

// judge says whether a release can be put again, and why; hash is what the ledger says of it, "" when nothing.
func judge(p place, s astern.State, hash, rev string) (astern.Readiness, string) {
	release, has := s.Get("release/" + rev)
	problem, spoilt := s.Get("release-problem/" + rev)
	now, there := s.Get("revision")
	switch {
	case there && !now.Known():
		return astern.ReadyUnknown, "the site could not be looked at: " + now.Unknown
	case !goodRevision(rev):
		return astern.Broken, "its name can't be part of a key"
	case spoilt:
		return astern.Broken, problem.Text
	case has && !release.Known():
		return astern.ReadyUnknown, release.Unknown
	case !has && now.Text == rev:
		return astern.AtRisk, "it is served, and not recorded: " + p.url(p.manifestKey(rev)) + " is written when astern leaves it"
	case !has:
		return astern.Broken, "there is no record of what it held: " + p.url(p.manifestKey(rev))
	case hash != "" && hash != release.Text:
		return astern.Broken, "its record was changed: the ledger has " + short(hash) + ", and it says " + short(release.Text)
	}
	return astern.Ready, "each of its objects is there in the version that was recorded, and its entry points have their digests"
}

// short returns the beginning of a hash, enough to tell two apart.
func short(hash string) string {
	hash = strings.TrimPrefix(hash, "sha256:")
	return hash[:min(12, len(hash))]
}
