package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi/s3rules"
	"github.com/astern-dev/astern/internal/driver/awsecs"
	"github.com/astern-dev/astern/internal/planner"
	"github.com/astern-dev/astern/internal/readiness"
)

// MayDeploy answers CI's question before a deployment: Refused when the revision is latched, NotReady when the
// deployment would remove the last way back. The text says why it may.
func (a *App) MayDeploy(ctx context.Context, r Record) (string, error) {
	c, err := a.Component(r.Environment, r.Component)
	if err == nil {
		err = checkRevision(r.Revision)
	}
	if err != nil {
		return "", err
	}
	h, err := a.History(ctx, c.Address())
	if err != nil {
		return "", err
	}
	if d, ok := h.Of(r.Revision); ok && d.Latched != "" {
		return "", astern.Errorf(astern.Refused, "%s %s is latched: %s", c.Address(), r.Revision, d.Latched).
			WithHint("if it is good after all: astern latch release %s %s --reason …", r.Component, r.Revision)
	}
	env, _ := a.System.Environment(c.Environment)
	parts, err := a.partsOf(ctx, env, []astern.Component{c})
	if err != nil {
		return "", err
	}
	if parts[0].Trouble != "" {
		return "", astern.Errorf(astern.NotReady, "whether %s would have a way back is unknown: %s", c.Address(), parts[0].Trouble)
	}
	if back, ok := readiness.WayBack(readiness.After(slices.Clone(parts[0].Targets), r.Revision), astern.Value{Text: r.Revision}); ok {
		may := fmt.Sprintf("%s %s may be deployed: the way back is %s", c.Address(), r.Revision, back.Revision)
		attempts, err := a.Attempts(ctx, c.Address())
		if err != nil {
			return "", err
		}
		if t := failed(attempts[c.Address()], h)[r.Revision]; t != "" {
			may += "; it did not get there before: " + t
		}
		return may, nil
	}
	if len(h.Deployments) == 0 {
		if remembered(parts[0].State) {
			return "", astern.Errorf(astern.NotReady, "the state folder knows nothing of %s, but its hosts were acted on before: the state was lost, or is another one", c.Address()).
				WithHint("astern init imports what the hosts remember; latches and known-good marks are not among it")
		}
		return fmt.Sprintf("%s %s may be deployed: it is the first, so there is nothing to go back to yet", c.Address(), r.Revision), nil
	}
	return "", astern.Errorf(astern.NotReady, "after deploying %s, %s would have no ready, known-good revision to go back to", r.Revision, c.Address()).
		WithHint("let the current one complete its watch (astern record known-good), or keep more releases; astern targets %s shows why", r.Component)
}

// MayDelete answers the question before something is deleted: an ARN, s3://BUCKET/KEY, a folder (which ends with a slash) or a
// file. It returns NotReady when what runs rests on it, or when no ready way back would be left of a component that has one
// resting on it; else a line for each component.
func (a *App) MayDelete(ctx context.Context, environments []astern.Environment, resource string) ([]string, error) {
	if !strings.HasPrefix(resource, "arn:") && !strings.HasPrefix(resource, "s3://") && !strings.HasPrefix(resource, "/") && !strings.Contains(resource, "/") {
		return nil, astern.Errorf(astern.Invalid, "%q names nothing that a way back could rest on", resource).
			WithHint("write an ARN, s3://BUCKET/KEY, REGISTRY/REPOSITORY@DIGEST, or the path of a file or folder; a folder ends with a slash")
	}
	var lines []string
	for _, e := range environments {
		parts, err := a.parts(ctx, e)
		if err != nil {
			return nil, err
		}
		for _, p := range parts {
			line, err := mayLose(p, resource)
			if err != nil {
				return nil, err
			}
			if line != "" {
				lines = append(lines, line)
			}
		}
	}
	if len(lines) == 0 {
		lines = []string{fmt.Sprintf("%s may be deleted: no way back of what is declared here rests on it", resource)}
	}
	return lines, nil
}

// mayLose says what the component loses with a resource.
func mayLose(p planner.Part, resource string) (string, error) {
	address := p.Component.Address()
	lost := readiness.Needing(p.Targets, resource)
	for _, t := range runningOf(p) {
		if slices.Contains(lost, t.Revision) {
			return "", astern.Errorf(astern.NotReady, "%s runs %s, which rests on %s", address, t.Revision, resource)
		}
	}
	if why := unseen(p); why != "" {
		return "", astern.Errorf(astern.NotReady, "whether %s rests on %s is unknown: %s", address, resource, why)
	}
	if len(lost) == 0 {
		return "", nil
	}
	back, ok := readiness.WayBack(readiness.Without(p.Targets, lost), p.State.Values["revision"])
	if !ok {
		return "", astern.Errorf(astern.NotReady, "without %s, %s would have no ready, known-good revision to go back to: %s rests on it", resource, address, strings.Join(lost, ", ")).
			WithHint("keep it until a newer revision is known-good; astern targets %s shows them", p.Component.Name)
	}
	return fmt.Sprintf("%s may be deleted: %s can't go back to %s then, but to %s", resource, address, strings.Join(lost, ", "), back.Revision), nil
}

// unseen says why not all of what the component's ways rest on could be seen, "" when it could.
func unseen(p planner.Part) string {
	if p.Trouble != "" {
		return p.Trouble
	}
	if now := p.State.Values["revision"]; !now.Known() {
		return now.Unknown
	}
	for _, t := range p.Targets {
		for _, e := range t.Evidence {
			if e.Readiness == astern.ReadyUnknown {
				return t.Revision + ": " + e.What
			}
		}
	}
	return ""
}

// runningOf are the targets that run now; several while one takes the place of another.
func runningOf(p planner.Part) []astern.Target {
	revisions := strings.Split(p.State.Values["revision"].Text, "+")
	var out []astern.Target
	for _, t := range p.Targets {
		if t.Current || slices.Contains(revisions, t.Revision) {
			out = append(out, t)
		}
	}
	return out
}

// proposal checks rules that are proposed for a place by their form, and returns them as a Scope takes them, with what the
// needs of targets in the place are or begin with.
func proposal(place string, doc []byte) (proposed map[string]string, within string, err error) {
	bucket, s3 := strings.CutPrefix(place, "s3://")
	bucket = strings.TrimSuffix(bucket, "/")
	switch {
	case s3 && bucket != "" && !strings.Contains(bucket, "/"):
		_, err = s3rules.Parse(doc)
		return map[string]string{s3rules.Proposal(bucket): string(doc)}, "s3://" + bucket + "/", err
	case strings.HasPrefix(place, "arn:") && strings.Contains(place, ":ecr:") && strings.Contains(place, ":repository/"):
		return map[string]string{place: string(doc)}, place, awsecs.CheckPolicy(doc)
	}
	return nil, "", astern.Errorf(astern.Invalid, "%q is no place that rules are for", place).
		WithHint("write s3://BUCKET for lifecycle rules of S3, or a repository's ARN for a lifecycle policy of ECR: arn:aws:ecr:eu-central-1:123456789012:repository/api")
}

// MayRule answers the question before rules that delete things are put in force at a place: lifecycle rules for s3://BUCKET,
// a lifecycle policy for the ARN of a repository, as the AWS CLI takes them. It returns NotReady when the last way back of a
// component would go by them, with the day; else a line for each component whose ways rest on the place.
func (a *App) MayRule(ctx context.Context, environments []astern.Environment, place string, doc []byte) ([]string, error) {
	proposed, within, err := proposal(place, doc)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, e := range environments {
		before, err := a.parts(ctx, e)
		if err != nil {
			return nil, err
		}
		var concerned []astern.Component
		var those []planner.Part
		for _, p := range before {
			rests := len(readiness.Needing(p.Targets, within)) > 0
			if why := unseen(p); why != "" && (rests || !needsKnown(p.Targets)) {
				return nil, astern.Errorf(astern.NotReady, "whether %s rests on %s is unknown: %s", p.Component.Address(), place, why)
			}
			if rests {
				concerned, those = append(concerned, p.Component), append(those, p)
			}
		}
		after, err := a.partsSeen(ctx, e, concerned, astern.Scope{Full: a.Full, Proposed: proposed})
		if err != nil {
			return nil, err
		}
		for i, p := range after {
			line, err := mayExpire(those[i], p, place)
			if err != nil {
				return nil, err
			}
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		lines = []string{fmt.Sprintf("the rules may be put on %s: no way back of what is declared here rests on it", place)}
	}
	return lines, nil
}

// needsKnown reports whether each target says what it rests on: then what could not be seen of them is something else.
func needsKnown(targets []astern.Target) bool {
	return len(targets) > 0 && !slices.ContainsFunc(targets, func(t astern.Target) bool { return len(t.Needs) == 0 })
}

// mayExpire compares the ways of a component as they are with those under proposed rules.
func mayExpire(before, after planner.Part, place string) (string, error) {
	address, runs := after.Component.Address(), before.State.Values["revision"]
	if after.Trouble != "" {
		return "", astern.Errorf(astern.NotReady, "what the rules do to %s is unknown: %s", address, after.Trouble)
	}
	was, ok := readiness.WayBack(before.Targets, runs)
	if err := runsOn(before, after, ok); err != nil {
		return "", err
	}
	if !ok {
		return fmt.Sprintf("%s has no ready way back as it is: the rules can't take one", address), nil
	}
	back, ok := readiness.WayBack(after.Targets, runs)
	if !ok {
		return "", astern.Errorf(astern.NotReady, "under these rules %s would have no way back soon: %s", address, worst(after.Targets, was.Revision)).
			WithHint("let their filters leave out what %s needs: %s", was.Revision, strings.Join(was.Needs, ", "))
	}
	last, door, ends := readiness.Dies(after.Targets, runs)
	_, earlier, ended := readiness.Dies(before.Targets, runs)
	if ends && (!ended || door.At.Before(*earlier.At)) {
		return "", astern.Errorf(astern.NotReady, "the last way back of %s, %s, would go on %s: %s", address, last.Revision, door.At.UTC().Format("2 January 2006"), door.What).
			WithHint("let the rule's filter leave out %s, or let it act later; a newer revision that is known-good by then would be a way back, too", strings.Join(last.Needs, ", "))
	}
	const next = "the-next-one"
	afterNext := func(targets []astern.Target) bool {
		_, ok := readiness.WayBack(readiness.After(slices.Clone(targets), next), astern.Value{Text: next})
		return ok
	}
	if afterNext(before.Targets) && !afterNext(after.Targets) {
		return "", astern.Errorf(astern.NotReady, "under these rules the next deployment would take the last way back of %s, %s", address, back.Revision).
			WithHint("let them keep more, or leave out what it needs: %s", strings.Join(back.Needs, ", "))
	}
	return fmt.Sprintf("the rules may be put on %s: %s can still go back to %s%s", place, address, back.Revision, byPushes(back)), nil
}

// byPushes says how long that holds where it is images pushed, and not deployments, that take the target.
func byPushes(t astern.Target) string {
	for _, d := range t.Doors {
		if d.Pushes && d.Leaves == "" {
			return fmt.Sprintf(", until %d more images are pushed, of whatever build", d.Deployments)
		}
	}
	return ""
}

// runsOn refuses rules that take away what runs, at once, or later where there is nothing else to go back to: the next instance
// could not start, and the next deployment would have no way back.
func runsOn(before, after planner.Part, another bool) error {
	address := after.Component.Address()
	was := map[string]astern.Target{}
	for _, t := range runningOf(before) {
		was[t.Revision] = t
	}
	for _, t := range runningOf(after) {
		earlier := was[t.Revision]
		if t.Readiness == astern.Broken && earlier.Readiness != astern.Broken {
			return astern.Errorf(astern.NotReady, "%s runs %s, and under these rules it would be gone: %s", address, t.Revision, worst(after.Targets, t.Revision))
		}
		if d, ok := newDoor(earlier, t); ok && !another {
			when := fmt.Sprintf("after %d more deployments", d.Deployments)
			if d.Pushes {
				when = fmt.Sprintf("after %d more images pushed, of whatever build", d.Deployments)
			}
			if d.At != nil {
				when = "on " + d.At.UTC().Format("2 January 2006")
			}
			return astern.Errorf(astern.NotReady, "%s runs %s, and under these rules it would go %s: %s", address, t.Revision, when, d.What).
				WithHint("let their filters leave out what runs: %s", strings.Join(t.Needs, ", "))
		}
	}
	return nil
}

// newDoor returns a door that closes the target, and did not before, or not as soon.
func newDoor(before, after astern.Target) (astern.Door, bool) {
	for _, d := range after.Doors {
		sooner := func(old astern.Door) bool {
			return old.Leaves == "" && (d.At != nil && old.At != nil && !old.At.After(*d.At) || d.At == nil && old.At == nil && old.Deployments <= d.Deployments)
		}
		if d.Leaves == "" && !slices.ContainsFunc(before.Doors, sooner) {
			return d, true
		}
	}
	return astern.Door{}, false
}

// worst is the evidence that makes the target of that name what it is.
func worst(targets []astern.Target, revision string) string {
	for _, t := range targets {
		for _, e := range t.Evidence {
			if t.Revision == revision && e.Readiness == t.Readiness {
				return e.What
			}
		}
	}
	return "it is not there"
}
