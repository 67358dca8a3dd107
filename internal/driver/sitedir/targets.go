package sitedir

import (
	"fmt"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// router is the driver's Router and Picker.
type router struct{}

// Targets returns the releases that are there and those that the ledger remembers, the newest first.
func (router) Targets(c astern.Component, s astern.State, h astern.History) []astern.Target {
	p, err := resolve(c)
	if err != nil {
		return nil
	}
	age := map[string]time.Time{}
	for path, v := range s.Values {
		if rev, ok := strings.CutPrefix(path, "release-time/"); ok {
			age[rev], _ = time.Parse(time.RFC3339, v.Text) // without a time it is the oldest
		}
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
	now := s.Values["revision"]
	out := make([]astern.Target, len(revisions))
	for i, rev := range revisions {
		d, _ := h.Of(rev)
		out[i] = astern.Target{Address: c.Address(), Revision: rev, Hash: d.Hash, DeployedAt: d.LastAt, KnownGoodAt: d.KnownGoodAt,
			Latched: d.Latched, Current: now.Known() && now.Text == rev, Evidence: evidence(p, s, d, rev),
			Needs: []string{filepath.Join(p.root, p.releases, rev) + "/"}}
		if out[i].DeployedAt == nil {
			out[i].DeployedAt = d.FirstAt
		}
	}
	return out
}

// evidence says what speaks for and against a release.
func evidence(p place, s astern.State, d astern.Deployment, rev string) []astern.Evidence {
	var out []astern.Evidence
	at := s.Newest()
	add := func(r astern.Readiness, format string, args ...any) {
		out = append(out, astern.Evidence{What: oneLine(fmt.Sprintf(format, args...)), Readiness: r, Seen: at})
	}
	r, why := judge(p, s, d.Hash, rev)
	add(r, "%s", why)
	hindered, blocked := s.Get("hindered")
	_, noted := s.Get("manifest/" + rev)
	switch {
	case blocked && hindered.Known():
		for line := range strings.SplitSeq(hindered.Text, "\n") {
			add(astern.Broken, "%s", line)
		}
	case !blocked:
		add(astern.Ready, "the link can be switched atomically")
	}
	for _, path := range []string{"held", "site-problem"} {
		if v, ok := s.Get(path); ok {
			add(astern.AtRisk, "%s", v)
		}
	}
	if v, ok := s.Get("site-wrong"); ok {
		add(astern.Ready, "%s: if what is served is to blame, going back mends it; if not, the switch is made and not proven", v)
	}
	if now, ok := s.Get("revision"); ok && !now.Known() && !blocked {
		add(astern.AtRisk, "%s: what is left can't be gone back to", now.Unknown)
	}
	if r == astern.Ready && !noted && d.Hash == "" {
		add(astern.AtRisk, "neither a manifest nor the ledger says what it held: a change of its files can't be told")
	}
	if d.KnownGoodAt != nil {
		out = append(out, astern.Evidence{What: "it completed its watch", Readiness: astern.Ready, Seen: *d.KnownGoodAt})
	} else {
		add(astern.AtRisk, "it never completed a watch")
	}
	return out
}

// judge says whether a release can be served, and why; hash is what was recorded of it, "" when nothing was.
func judge(p place, s astern.State, hash, rev string) (astern.Readiness, string) {
	release, has := s.Get("release/" + rev)
	problem, spoilt := s.Get("release-problem/" + rev)
	hindered, blocked := s.Get("hindered")
	noted, manifest := s.Get("manifest/" + rev)
	doubt, doubted := s.Get("manifest-problem/" + rev)
	risk, risky := s.Get("release-risk/" + rev)
	unlisted, hidden := s.Get("releases")
	at := p.root + "/" + p.releases + "/" + rev
	switch {
	case blocked && !hindered.Known():
		return astern.ReadyUnknown, "the site could not be looked at: " + hindered.Unknown
	case !goodRevision(rev):
		return astern.Broken, "its name can't be that of a folder"
	case spoilt:
		return astern.Broken, at + ": " + problem.Text
	case has && !release.Known():
		return astern.ReadyUnknown, "its files could not be read: " + release.Unknown
	case !has && hidden:
		return astern.ReadyUnknown, unlisted.Unknown
	case !has:
		return astern.Broken, "there is no folder " + at
	case doubted && hash != release.Text: // nobody vouches for it, and the manifest says which files differ
		return astern.Broken, doubt.Text
	case hash != "" && hash != release.Text:
		return astern.Broken, "its files were changed: " + short(hash) + " was recorded, " + short(release.Text) + " is there"
	case doubted: // two say what it held, and the ledger is the one that nobody else writes
		return astern.AtRisk, doubt.Text + "; they are as the ledger has them"
	case risky:
		return astern.AtRisk, risk.Text
	case manifest && noted.Known():
		return astern.Ready, "every file of " + at + " is there with the digest in its manifest"
	case hash != "":
		return astern.Ready, "the files of " + at + " are as recorded"
	}
	return astern.Ready, "every file of " + at + " can be read"
}

// short returns the beginning of a hash, enough to tell two apart.
func short(hash string) string {
	hash = strings.TrimPrefix(hash, "sha256:")
	return hash[:min(12, len(hash))]
}
