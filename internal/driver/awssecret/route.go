package awssecret

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
	"github.com/astern-dev/astern/internal/host"
)

// router is the driver's Router.
type router struct{}

// guessSeconds is how long the move takes where none was measured: two calls.
const guessSeconds = 1

// Targets returns the versions of the secret and what else the ledger remembers; the newest first.
func (router) Targets(c astern.Component, s astern.State, h astern.History) []astern.Target {
	p, err := resolve(c)
	if err != nil {
		return nil
	}
	at := map[string]time.Time{}
	for path := range s.Values {
		if rev, ok := strings.CutPrefix(path, "stages/"); ok {
			at[rev], _ = time.Parse(time.RFC3339, s.Values["created/"+rev].Text) // without a time it is the oldest
		}
	}
	for _, d := range h.Deployments {
		if !astern.ValidRevision(d.Revision) {
			continue
		}
		if d.LastAt != nil {
			at[d.Revision] = *d.LastAt
		} else if _, ok := at[d.Revision]; !ok {
			at[d.Revision] = time.Time{}
		}
	}
	revisions := make([]string, 0, len(at))
	for rev := range at {
		revisions = append(revisions, rev)
	}
	slices.SortFunc(revisions, func(a, b string) int { return cmp.Or(at[b].Compare(at[a]), strings.Compare(b, a)) })
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

// judge says what speaks for and against a version.
func judge(p place, s astern.State, rev string, d astern.Deployment) *awsapi.Findings {
	f := &awsapi.Findings{Seen: s.Newest()}
	if f.Seen.IsZero() && d.LastAt != nil { // nothing at all was seen: the secret does not exist
		f.Seen = *d.LastAt
	}
	arn, there := s.Get("arn")
	stages, has := s.Get("stages/" + rev)
	switch {
	case there && !arn.Known():
		f.Add(astern.ReadyUnknown, "the secret could not be looked at: %s", arn.Unknown)
		return f
	case !there:
		f.Add(astern.Broken, "there is no secret %s in %s", p.Secret, p.Where())
		return f
	case !has:
		f.Add(astern.Broken, "the secret has no version %s any more", rev)
		return f
	case stages.Text == "":
		f.Add(astern.AtRisk, "the version has no label: Secrets Manager may delete it at any time")
	default:
		f.Add(astern.Ready, "the version is there, labelled %s", stages.Text)
	}
	if own := strings.Fields(stages.Text); slices.Contains(own, labelPrevious) && !slices.ContainsFunc(own, func(l string) bool { return l != labelPrevious && l != labelPending }) {
		f.Doors = append(f.Doors, astern.Door{Deployments: 1, What: "the next version takes the label AWSPREVIOUS from it"})
	}
	about(p, s, rev, f)
	if dies, ok := s.Get("key-dies/" + rev); ok && dies.Known() {
		if at, err := time.Parse(time.RFC3339, dies.Text); err == nil {
			f.Doors = append(f.Doors, astern.Door{At: &at, What: "the key that encrypts it is deleted"})
		}
	}
	return f
}

// about judges what holds for the whole secret, and the key of the version.
func about(p place, s astern.State, rev string, f *awsapi.Findings) {
	if v, ok := s.Get("revision"); !ok {
		f.Add(astern.Broken, "no version of the secret has the label AWSCURRENT")
	} else if !v.Known() {
		f.Add(astern.ReadyUnknown, "which version is current is not known: %s", v.Unknown)
	}
	if v, ok := s.Get("deleted"); ok {
		f.Add(astern.Broken, "the secret is scheduled for deletion since %s: aws secretsmanager restore-secret takes that back", v.Text)
	}
	if v, ok := s.Get("owner"); ok {
		f.Add(astern.Broken, "the secret is managed by %s, which alone may change it", v.Text)
	}
	if v, ok := s.Get("primary"); ok {
		f.Add(astern.Broken, "the secret is a replica of %s: declare it there", v.Text)
	}
	if v, ok := s.Get("pending"); ok {
		f.Add(astern.ReadyUnknown, "a rotation is under way: version %s is AWSPENDING", v.Text)
	}
	if v, ok := s.Get("key/" + rev); ok {
		switch {
		case !v.Known():
			f.AddBeside("whether its key can be used is not known: %s", v.Unknown)
		case v.Text == "Enabled":
			f.Add(astern.Ready, "its key is Enabled")
		default:
			f.Add(astern.Broken, "it can't be decrypted: its key is %s", v.Text)
		}
	}
	if p.Tries == "" {
		f.Add(astern.AtRisk, "nothing tries its credential before it becomes the current one: name a check in with/tries")
	} else {
		f.Add(astern.Ready, "the check %s tries its credential first", p.Tries)
	}
}

// Route tries the credential of the target, and then moves the label.
func (router) Route(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	p, err := resolve(c)
	if err != nil {
		return astern.Route{}, err
	}
	now := s.Values["revision"]
	if now.Known() && now.Text != "" && now.Text == t.Revision {
		return astern.Route{From: now.Text}, nil
	}
	if !versionShape.MatchString(t.Revision) {
		return astern.Route{}, astern.Errorf(astern.Invalid, "no way for %s to %q: that is no version of a secret", c.Address(), awsapi.OneLine(t.Revision))
	}
	if why, ok := judge(p, s, t.Revision, astern.Deployment{}).Against(); ok {
		return astern.Route{}, astern.Errorf(astern.Refused, "no way for %s to %s: %s", c.Address(), t.Revision, why.What)
	}
	move := p.move(now.Text, t.Revision, s.Values["arn"].Text)
	out := astern.Route{From: now.Text}
	if p.Tries != "" {
		try := astern.Step{ID: "try", Address: c.Address(), Kind: "check", Verb: "run", Title: "try the credential of " + t.Revision,
			Args: map[string]astern.Arg{"check": astern.Text(p.Tries)}, Undo: astern.UndoNone, Estimate: astern.Estimate{MedianSeconds: 2},
			Attempts: 1, TimeoutSeconds: 120, HoldSeconds: 10, Command: p.typed(t.Revision)}
		out.Stages = append(out.Stages, astern.Stage{Title: "try the earlier credential", Steps: []astern.Step{try}, OnFailure: astern.OnFailureHold})
		move.Guards = []string{"try"}
	} else {
		out.Notes = append(out.Notes, "nothing tries the credential before it becomes the current one: name a check in with/tries")
	}
	kept := now.Known() && slices.Contains(strings.Fields(s.Values["stages/"+now.Text].Text), labelPending)
	if kept { // https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html
		out.Notes = append(out.Notes, fmt.Sprintf("%s keeps the label AWSPENDING of its rotation, and rotating fails until it is taken away: %s", now.Text,
			host.QuoteAll(append([]string{"aws", "secretsmanager", "update-secret-version-stage", "--secret-id", p.Secret, "--version-stage", labelPending,
				"--remove-from-version-id", now.Text}, p.Options()...)...)))
	}
	if v, ok := s.Get("rotation"); ok && v.Known() && !kept {
		out.Notes = append(out.Notes, "the secret is rotated ("+v.Text+"): the next rotation makes a new credential from what is current then")
	}
	out.Stages = append(out.Stages, astern.Stage{Title: "move AWSCURRENT to " + t.Revision, Steps: []astern.Step{move}, OnFailure: astern.OnFailureHold})
	for _, path := range []string{"arn", "revision", "pending", "deleted"} {
		v, ok := s.Get(path)
		out.Facts = append(out.Facts, astern.Fact{Address: c.Address(), Path: path, Value: v.Text, Absent: !ok, Seen: s.Newest(), Steps: []string{move.ID}})
	}
	return out, nil
}

// move is the step that moves the label.
func (p place) move(from, to, arn string) astern.Step {
	words := []string{"aws", "secretsmanager", "update-secret-version-stage", "--secret-id", p.Secret, "--version-stage", labelCurrent,
		"--remove-from-version-id", from, "--move-to-version-id", to}
	return astern.Step{ID: verbMove, Address: p.component.Address(), Kind: Kind, Verb: verbMove, Title: fmt.Sprintf("make %s the current version of %s", to, p.Secret),
		Args: map[string]astern.Arg{"secret": astern.Text(p.Secret), "arn": astern.Text(arn), "from": astern.Text(from), "version": astern.Text(to)},
		Sets: []astern.Set{{Path: "revision", Value: astern.Text(to)}}, Undo: astern.UndoInverse,
		Estimate: astern.Estimate{MedianSeconds: guessSeconds}, Command: host.QuoteAll(append(words, p.Options()...)...),
		Attempts: 3, TimeoutSeconds: 60, HoldSeconds: 60}
}

// typed is what a person types to try the credential.
func (p place) typed(rev string) string {
	for _, k := range p.component.Checks {
		if k.Name == p.Tries && k.Command != nil {
			var words []string
			for _, w := range k.Command.Argv {
				words = append(words, strings.ReplaceAll(w, "{revision}", rev))
			}
			return host.QuoteAll(words...)
		}
	}
	return host.QuoteAll("astern", "check", p.component.Name)
}

// Undo moves the label back to where the step found it.
func (router) Undo(c astern.Component, call astern.Call, _ map[string]astern.Arg) ([]astern.Step, error) {
	p, err := resolve(c)
	if err != nil {
		return nil, err
	}
	before, to := call.Image[imageVersion], call.Text("version")
	if !versionShape.MatchString(before) || !versionShape.MatchString(to) {
		return nil, astern.Errorf(astern.Refused, "undoing %s: %q is no version of a secret", call.Step, awsapi.OneLine(before))
	}
	if before == to {
		return nil, astern.Errorf(astern.Refused, "undoing %s: the label was there before", call.Step)
	}
	return []astern.Step{p.move(to, before, call.Text("arn"))}, nil
}
