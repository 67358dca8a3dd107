package awslambda

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// router is the driver's Router.
type router struct{}

// candidate is a revision with what orders it among the others.
type candidate struct {
	revision string
	at       time.Time
	number   int64
}

// Targets returns the published versions, the archives of others, and what else the ledger remembers; the last deployed first.
func (router) Targets(c astern.Component, s astern.State, h astern.History) []astern.Target {
	p, err := resolve(c)
	if err != nil {
		return nil
	}
	of := map[string]*candidate{}
	add := func(rev string) *candidate {
		if of[rev] == nil {
			of[rev] = &candidate{revision: rev}
		}
		return of[rev]
	}
	for path, v := range s.Values {
		if rev, ok := strings.CutPrefix(path, "version/"); ok {
			add(rev).number, _ = strconv.ParseInt(v.Text, 10, 64)
		} else if rev, ok := strings.CutPrefix(path, "archive/"); ok {
			add(rev)
		}
	}
	for _, d := range h.Deployments {
		if !astern.ValidRevision(d.Revision) {
			continue
		}
		k := add(d.Revision)
		if d.LastAt != nil {
			k.at = *d.LastAt
		}
	}
	var all []candidate
	for _, k := range of {
		all = append(all, *k)
	}
	slices.SortFunc(all, func(a, b candidate) int {
		return cmp.Or(b.at.Compare(a.at), cmp.Compare(b.number, a.number), strings.Compare(b.revision, a.revision))
	})
	out := make([]astern.Target, len(all))
	for i, k := range all {
		d, _ := h.Of(k.revision)
		out[i] = judge(p, s, d, k.revision).Target(c, s, d, k.revision, needs(p, s, k.revision))
	}
	return out
}

// needs names what the way to a revision rests on.
func needs(p place, s astern.State, rev string) []string {
	var out []string
	if arn, ok := s.Get("arn"); ok && arn.Known() {
		out = append(out, arn.Text)
		if v, ok := s.Get("version/" + rev); ok && v.Known() {
			return append(out, arn.Text+":"+v.Text)
		}
	}
	if _, ok := s.Get("archive/" + rev); ok {
		out = append(out, p.Archive.source(rev))
	}
	return out
}

// evidence is what speaks for and against a revision.
type evidence struct{ awsapi.Findings }

// judge says what speaks for and against a revision.
func judge(p place, s astern.State, d astern.Deployment, rev string) *evidence {
	e := &evidence{awsapi.Findings{Seen: s.Newest()}}
	if e.Seen.IsZero() && d.LastAt != nil { // nothing at all was seen: the function does not exist
		e.Seen = *d.LastAt
	}
	arn, there := s.Get("arn")
	now, served := s.Get("revision")
	switch {
	case there && !arn.Known():
		e.Add(astern.ReadyUnknown, "the function could not be looked at: %s", arn.Unknown)
		return e
	case !there && served && !now.Known(): // it says so itself, with the region where it was looked for
		e.Add(astern.Broken, "%s", now.Unknown)
		return e
	case !there:
		e.Add(astern.Broken, "there is no function %s in %s", p.Function, p.Where())
		return e
	case !served:
		e.Add(astern.Broken, "the function has no alias %s: aws lambda create-alias makes it", p.Alias)
	case !now.Known():
		e.Add(astern.ReadyUnknown, "what the alias serves is not known: %s", now.Unknown)
	}
	if number, ok := s.Get("version/" + rev); ok {
		e.published(s, d, rev, number.Text)
	} else {
		e.archived(p, s, d, rev)
	}
	if r, ok := s.Get("reserved"); ok && r.Known() && r.Text == "0" {
		e.Add(astern.AtRisk, "the reserved concurrency of the function is 0: no version of it runs")
	}
	return e
}

// published judges a version that is there.
func (e *evidence) published(s astern.State, d astern.Deployment, rev, number string) {
	hash := s.Values["release/"+rev]
	switch {
	case !hash.Known() || hash.Text == "":
		e.Add(astern.ReadyUnknown, "the hash of version %s is not known", number)
	case recorded(d.Hash) && d.Hash != hash.Text:
		e.Add(astern.Broken, "version %s has another content than was recorded: %s", number, short(hash.Text))
	default:
		e.Add(astern.Ready, "version %s is published, %s", number, short(hash.Text))
	}
	switch state, ok := s.Get("state/" + rev); {
	case !ok || !state.Known():
		e.Add(astern.ReadyUnknown, "its state is not known: %s", state.Unknown)
	case state.Text == "Active":
		e.Add(astern.Ready, "its state is Active")
	case strings.HasPrefix(state.Text, "Inactive"):
		e.Add(astern.AtRisk, "its state is %s: the first call wakes it, and may fail", state.Text)
	case strings.HasPrefix(state.Text, "Pending"):
		e.Add(astern.ReadyUnknown, "its state is %s", state.Text)
	default:
		e.Add(astern.Broken, "its state is %s", state.Text)
	}
	e.role(s, "role/"+rev)
	if layers, ok := s.Get("layers/" + rev); ok {
		// https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html: versions keep a copy of deleted layers. One of another
		// account that was deleted, or is shared no more, is denied for good.
		switch gone, isGone := strings.CutPrefix(layers.Text, "gone "); {
		case !layers.Known():
			e.Add(astern.AtRisk, "whether its layers exist is not known, and it may run on a copy: %s", layers.Unknown)
		case isGone:
			e.Add(astern.AtRisk, "it runs on a copy of a layer that was deleted: %s", gone)
		default:
			e.Add(astern.Ready, "its layers exist")
		}
	}
	if runtime, ok := s.Get("runtime/" + rev); ok {
		if since, deprecated := retired[runtime.Text]; deprecated {
			e.Add(astern.AtRisk, "its runtime %s is deprecated since %s: it runs, without patches", runtime.Text, since)
		}
	}
}

// role judges the role at a path.
func (e *evidence) role(s astern.State, path string) {
	role, ok := s.Get(path)
	if !ok {
		return
	}
	switch gone, isGone := strings.CutPrefix(role.Text, "gone "); {
	case !role.Known():
		e.AddBeside("whether its role exists is not known: %s", role.Unknown)
	case isGone:
		e.Add(astern.Broken, "its role does not exist: %s", gone)
	default:
		e.Add(astern.Ready, "its role exists")
	}
}

// archived judges a version that is not there: does an archive of it remain?
func (e *evidence) archived(p place, s astern.State, d astern.Deployment, rev string) {
	archive, ok := s.Get("archive/" + rev)
	listing, failed := s.Get("archives")
	switch {
	case p.Archive == nil:
		e.Add(astern.Broken, "it is not published any more, and no archive is declared that it could come back from")
		return
	case ok && !archive.Known():
		e.Add(astern.ReadyUnknown, "its archive could not be looked at: %s", archive.Unknown)
		return
	case !ok && failed:
		e.Add(astern.ReadyUnknown, "whether its archive is there is not known: %s", listing.Unknown)
		return
	case !ok:
		e.Add(astern.Broken, "it is not published any more, and %s does not exist", p.Archive.source(rev))
		return
	}
	e.Add(astern.Ready, "it is not published any more, but its archive is there: %s, %s", p.Archive.source(rev), archive.Text)
	e.role(s, "role")
	if state, ok := s.Get("state"); ok && !state.Known() { // the way waits for it after each change
		e.Add(astern.ReadyUnknown, "the state of the function is not known: %s", state.Unknown)
	}
	hash, hashed := s.Get("archive-hash/" + rev)
	switch {
	case hashed && recorded(d.Hash) && d.Hash != hash.Text:
		e.Add(astern.Broken, "the archive has another content than was recorded: %s", short(hash.Text))
	case hashed && recorded(d.Hash):
		e.Add(astern.Ready, "the archive has the content that was recorded, %s", short(hash.Text))
	case hashed:
		e.Add(astern.AtRisk, "the archive is %s, and the ledger has no hash to compare it with", short(hash.Text))
	default:
		e.Add(astern.AtRisk, "S3 has no SHA-256 of the archive, so its content can't be told before it is the function's (upload it with --checksum-algorithm SHA256)")
	}
	if dies, ok := s.Get("archive-dies/" + rev); ok && dies.Known() {
		if at, err := time.Parse(time.RFC3339, dies.Text); err == nil {
			e.Doors = append(e.Doors, astern.Door{At: &at, What: "a lifecycle rule deletes " + p.Archive.source(rev)})
		}
	}
}

// recorded reports whether a hash of the ledger can be compared with the cloud's.
func recorded(hash string) bool { return sumOf(hash) != "" }

// short is a hash as a person compares it.
func short(hash string) string {
	if len(hash) > 19 {
		return hash[:19] + "…"
	}
	return hash
}

// retired are runtimes that are deprecated, since when:
// https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html. Published versions go on running.
var retired = map[string]string{
	"python2.7": "2021-07-15", "python3.6": "2022-07-18", "python3.7": "2023-12-04", "python3.8": "2024-10-14", "python3.9": "2025-12-15",
	"nodejs10.x": "2021-07-30", "nodejs12.x": "2023-03-31", "nodejs14.x": "2023-12-04", "nodejs16.x": "2024-06-12", "nodejs18.x": "2025-09-01",
	"nodejs20.x": "2026-04-30", "ruby2.5": "2021-07-30", "ruby2.7": "2023-12-07", "ruby3.2": "2026-03-31", "java8": "2024-01-08",
	"go1.x": "2024-01-08", "provided": "2024-01-08", "dotnetcore2.1": "2022-01-05", "dotnetcore3.1": "2023-04-03", "dotnet6": "2024-12-20",
}
