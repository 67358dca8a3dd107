package awsssm

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/host"
)

// router is the driver's Router.
type router struct{}

// Bounds of the Parameter Store: https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-versions.html
const (
	keptVersions = 100 // the oldest goes when one more is written
	nearTheEnd   = 10  // versions left before a version goes, from which on it is at risk
	guessSeconds = 1   // how long a step takes where none was measured: a call or two
)

// number reads a version's number, 0 when it is none.
func number(v astern.Value) int64 {
	n, _ := strconv.ParseInt(v.Text, 10, 64)
	return n
}

// Targets returns the revisions of the parameter and what else the ledger remembers; the newest first.
func (router) Targets(c astern.Component, s astern.State, h astern.History) []astern.Target {
	p, err := resolve(c)
	if err != nil {
		return nil
	}
	versions := map[string]int64{}
	for path, v := range s.Values {
		if rev, ok := strings.CutPrefix(path, "version/"); ok {
			versions[rev] = number(v)
		}
	}
	for _, d := range h.Deployments {
		if _, ok := versions[d.Revision]; !ok && astern.ValidRevision(d.Revision) {
			versions[d.Revision] = 0
		}
	}
	revisions := make([]string, 0, len(versions))
	for rev := range versions {
		revisions = append(revisions, rev)
	}
	slices.SortFunc(revisions, func(a, b string) int { return cmp.Or(cmp.Compare(versions[b], versions[a]), strings.Compare(b, a)) })
	out := make([]astern.Target, len(revisions))
	for i, rev := range revisions {
		d, _ := h.Of(rev)
		var needs []string
		if arn := s.Values["arn"]; arn.Known() && arn.Text != "" {
			needs = []string{arn.Text}
		}
		out[i] = judge(p, s, rev, d).Target(c, s, d, rev, needs)
	}
	return out
}

// judge says what speaks for and against a revision.
func judge(p place, s astern.State, rev string, d astern.Deployment) *awsapi.Findings {
	f := &awsapi.Findings{Seen: s.Newest()}
	if f.Seen.IsZero() && d.LastAt != nil { // nothing at all was seen: the parameter does not exist
		f.Seen = *d.LastAt
	}
	whole, there := s.Get("arn")
	version, has := s.Get("version/" + rev)
	switch {
	case there && !whole.Known():
		f.Add(astern.ReadyUnknown, "the parameter could not be looked at: %s", whole.Unknown)
		return f
	case !there:
		f.Add(astern.Broken, "there is no parameter %s in %s", p.Parameter, p.Where())
		return f
	case !has:
		f.Add(astern.Broken, "the parameter has no version with its value any more: %d are kept", keptVersions)
		return f
	}
	left := number(version) + keptVersions - number(s.Values["latest"])
	if v, ok := s.Get("full"); ok {
		f.Add(astern.Broken, "%s", v.Text)
	}
	switch labels, labelled := s.Get("labels/" + rev); {
	case labelled: // a version with a label is never deleted: writing is refused instead
		f.Add(astern.Ready, "version %s has its value, labelled %s", version.Text, labels.Text)
	case left <= nearTheEnd:
		f.Add(astern.AtRisk, "version %s has its value, and is deleted after %d further writes", version.Text, max(left, 1))
	default:
		f.Add(astern.Ready, "version %s has its value", version.Text)
	}
	if _, labelled := s.Get("labels/" + rev); !labelled {
		f.Doors = append(f.Doors, astern.Door{Deployments: int(max(left, 1)), What: fmt.Sprintf("the parameter keeps %d versions", keptVersions)})
	}
	encrypted(s, rev, f)
	written, err := time.Parse(time.RFC3339, s.Values["created/"+rev].Text)
	// A number that was recorded again since is that of the parameter which is there now.
	after := func(recorded *time.Time) bool { return recorded == nil || written.Sub(*recorded) > clocksDiffer }
	if err == nil && version.Text == rev && d.FirstAt != nil && after(d.FirstAt) && after(d.LastAt) {
		f.Add(astern.Broken, "version %s was written at %s, after it had been recorded as deployed: the parameter was deleted and made again since",
			rev, written.Format("2006-01-02 15:04Z"))
	}
	now, ok := s.Get("revision")
	if !ok || !now.Known() {
		f.Add(astern.ReadyUnknown, "what the parameter has now is not known: %s", now.Unknown)
	}
	was, is := s.Values["type/"+rev].Text, s.Values["type/"+now.Text].Text
	if kind, _, _ := strings.Cut(was, " "); is != "" && was != "" && kind != strings.Split(is, " ")[0] {
		f.Add(astern.Broken, "it was a %s, and the type of a parameter can't be changed back: it is a %s now", kind, strings.Split(is, " ")[0])
	}
	return f
}

// clocksDiffer is by how much the clock of who records deployments may be behind AWS's.
const clocksDiffer = 10 * time.Minute

// encrypted judges the key of a version: its value is decrypted and encrypted with it.
func encrypted(s astern.State, rev string, f *awsapi.Findings) {
	switch v, ok := s.Get("key/" + rev); {
	case !ok:
	case !v.Known():
		f.AddBeside("whether its key can be used is not known: %s", v.Unknown)
	case v.Text == "Enabled":
		f.Add(astern.Ready, "its key is Enabled")
	default:
		f.Add(astern.Broken, "it can't be decrypted: its key is %s", v.Text)
	}
	if at, err := time.Parse(time.RFC3339, s.Values["key-dies/"+rev].Text); err == nil {
		f.Doors = append(f.Doors, astern.Door{At: &at, What: "the key that encrypts it is deleted"})
	}
}

// Route puts the value of the target again.
func (router) Route(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.Route{}, err
	}
	now := s.Values["revision"]
	if now.Known() && now.Text != "" && now.Text == t.Revision {
		return astern.Route{From: now.Text}, nil
	}
	if !numberShape.MatchString(t.Revision) {
		return astern.Route{}, astern.Errorf(astern.Invalid, "no way for %s to %q: that is no version of a parameter", c.Address(), awsapi.OneLine(t.Revision))
	}
	if why, ok := judge(p, s, t.Revision, astern.Deployment{}).Against(); ok {
		return astern.Route{}, astern.Errorf(astern.Refused, "no way for %s to %s: %s", c.Address(), t.Revision, why.What)
	}
	put := p.put(t.Revision, s.Values["version/"+t.Revision].Text, s.Values["arn"].Text)
	out := astern.Route{From: now.Text, Notes: []string{"who reads a version by its number, and not the newest or a label, is not moved"},
		Stages: []astern.Stage{{Title: "put the value of version " + t.Revision + " back", Steps: []astern.Step{put}, OnFailure: astern.OnFailureHold}}}
	for _, path := range []string{"arn", "revision", "latest"} {
		v, ok := s.Get(path)
		out.Facts = append(out.Facts, astern.Fact{Address: c.Address(), Path: path, Value: v.Text, Absent: !ok, Seen: s.Newest(), Steps: []string{verbPut}})
	}
	return out, nil
}

// put is the step that puts a revision back from the version that has its value.
func (p place) put(rev, version, whole string) astern.Step {
	read := append([]string{"aws", "ssm", "get-parameter", "--name", p.Parameter + ":" + version, "--with-decryption", "--query", "Parameter.Value", "--output", "text"}, p.Options()...)
	write := append([]string{"aws", "ssm", "put-parameter", "--name", p.Parameter, "--overwrite"}, p.Options()...)
	return astern.Step{ID: verbPut, Address: p.component.Address(), Kind: Kind, Verb: verbPut,
		Title: fmt.Sprintf("put the value of version %s of %s again", version, p.Parameter),
		Args:  map[string]astern.Arg{"parameter": astern.Text(p.Parameter), "arn": astern.Text(whole), "revision": astern.Text(rev), "version": astern.Text(version)},
		Sets:  []astern.Set{{Path: "revision", Value: astern.Text(rev)}, {Path: "latest", Value: astern.OutputOf(verbPut, "version")}}, Undo: astern.UndoInverse,
		Outputs: map[string]string{"version": "string"}, Estimate: astern.Estimate{MedianSeconds: guessSeconds},
		Command: host.QuoteAll(write...) + " --value \"$(" + host.QuoteAll(read...) + ")\"", Attempts: 3, TimeoutSeconds: 60, HoldSeconds: 60}
}

// Undo puts the value back that the step found.
func (router) Undo(c astern.Component, call astern.Call, _ map[string]astern.Arg) ([]astern.Step, error) {
	p, err := resolve(c)
	if err != nil {
		return nil, err
	}
	version, rev := call.Image[imageVersion], call.Image[imageRevision]
	if !numberShape.MatchString(version) || !numberShape.MatchString(rev) {
		return nil, astern.Errorf(astern.Refused, "undoing %s: %q is no version of a parameter", call.Step, awsapi.OneLine(version))
	}
	return []astern.Step{p.put(rev, version, call.Text("arn"))}, nil
}
