package hostservice

import (
	"fmt"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
)

// journey is a route being made.
type journey struct {
	sp      spec
	s       astern.State
	t       astern.Target
	o       astern.Options
	moving  []place
	leftOut []astern.LeftOut
	notes   []string
	missing []string // hosts of moving members that lack the release
	hash    string   // content hash of the target's release, "" for a redeployment
	swap    bool     // false for a redeployment: the links stay
}

// Route returns the way to the target: a copy of the release to hosts that lack it, then the first share of the
// members, then the rest. Members that are there already are passed over; those that can't be seen are left out.
func (r router) Route(c astern.Component, s astern.State, t astern.Target, o astern.Options) (astern.Route, error) {
	if !goodRevision(t.Revision) {
		return astern.Route{}, astern.Errorf(astern.Invalid, "%q is not a name that a revision can have", oneLine(t.Revision)).
			WithHint("revisions are letters, digits, dot, _, + and -, at most 128, beginning with a letter or digit")
	}
	sp, err := r.known.resolve(c)
	if err != nil {
		return astern.Route{}, err
	}
	j := &journey{sp: sp, s: s, t: t, o: o, swap: o.Verb != astern.VerbRedeploy}
	if err := j.choose(); err != nil {
		return astern.Route{}, err
	}
	route := astern.Route{From: strings.Join(whatRuns(sp, s), "+")}
	if len(j.moving) > 0 {
		if err := j.release(); err != nil {
			return astern.Route{}, err
		}
		route.Stages = j.stages()
		if !o.Sketch {
			route.Facts = j.facts(route.Stages)
		}
	}
	route.Notes = j.notes
	if len(j.moving)+len(j.leftOut) > 0 {
		route.Fleet = &astern.Fleet{Address: c.Address(), LeftOut: j.leftOut, Members: memberNames(j.moving)}
	}
	return route, nil
}

func memberNames(places []place) []string {
	out := make([]string, len(places))
	for i, p := range places {
		out[i] = p.name
	}
	return out
}

// choose decides which members move.
func (j *journey) choose() error {
	var there []string
	for _, p := range j.sp.places {
		link, linkThere := j.s.Get(p.name + "/link")
		switch {
		case linkThere && !link.Known():
			j.leftOut = append(j.leftOut, astern.LeftOut{Member: p.name, Because: link.Unknown})
		case !j.swap && (!linkThere || link.Text != j.t.Revision):
			return astern.Errorf(astern.Refused, "%s can't be redeployed: %s is at %s, not at %s", j.sp.component.Address(), p.name,
				orNone(link.Text), j.t.Revision).WithHint("a redeployment restarts what is there; deploy %s, or roll back", j.t.Revision)
		case j.swap && linkThere && link.Text == j.t.Revision && j.runsTarget(p):
			there = append(there, p.name)
		default:
			j.moving = append(j.moving, p)
		}
	}
	if len(j.leftOut) == len(j.sp.places) {
		return astern.Errorf(astern.Refused, "no member of %s could be observed: %s", j.sp.component.Address(), j.leftOut[0].Because).
			WithHint("bring back the way to its hosts, then plan again")
	}
	if len(there) > 0 {
		j.notes = append(j.notes, fmt.Sprintf("%s at %s already and passed over: %s", are(len(there)), j.t.Revision, strings.Join(there, ", ")))
	}
	return nil
}

// runsTarget reports whether the member's process runs and was started under the target.
func (j *journey) runsTarget(p place) bool {
	proc, running := j.s.Get(p.name + "/process")
	runs, ok := j.s.Get(p.name + "/runs")
	return running && proc.Known() && ok && runs.Known() && runs.Text == j.t.Revision
}

func are(n int) string {
	if n == 1 {
		return "1 member is"
	}
	return fmt.Sprintf("%d members are", n)
}

func orNone(revision string) string {
	if revision == "" {
		return "no release"
	}
	return revision
}

// release settles which content the target has, and which hosts lack it.
func (j *journey) release() error {
	if !j.swap {
		return nil
	}
	j.hash = j.t.Hash
	if j.hash != "" {
		j.notes = append(j.notes, fmt.Sprintf("the files of %s are compared with the hash recorded when it was deployed", j.t.Revision))
	}
	recorded := j.hash != ""
	for _, p := range firsts(j.moving) {
		member, name := p.name, p.host
		v, ok := j.s.Get(member + "/release/" + j.t.Revision)
		listed, _ := j.s.Get(member + "/releases")
		switch {
		case !ok && !listed.Known():
			return astern.Errorf(astern.Refused, "whether %s has %s is unknown: %s", name, j.t.Revision, listed.Unknown)
		case !ok:
			j.missing = append(j.missing, name)
		case !v.Known():
			return astern.Errorf(astern.Refused, "%s on %s can't be trusted: %s", j.t.Revision, name, v.Unknown).
				WithHint("put the release back as it was built, then plan again")
		case j.hash == "":
			j.hash = v.Text
		case v.Text != j.hash && recorded:
			return astern.Errorf(astern.Refused, "the files of %s on %s were changed: %s was recorded, %s is there",
				j.t.Revision, name, short(j.hash), short(v.Text)).WithHint("put the release back as it was built, then plan again")
		case v.Text != j.hash:
			return astern.Errorf(astern.Refused, "the hosts have different files of %s: %s on %s, %s elsewhere", j.t.Revision, short(v.Text), name, short(j.hash)).
				WithHint("put the same release on all hosts, then plan again")
		}
	}
	if len(j.missing) == 0 {
		return nil
	}
	return j.sourced()
}

// sourced checks that the release can be copied to the hosts that lack it.
func (j *journey) sourced() error {
	lack := strings.Join(j.missing, ", ")
	if j.sp.source == "" {
		return astern.Errorf(astern.Refused, "the release folder of %s is not on %s", j.t.Revision, lack).
			WithHint("put it at %s/%s there, or declare a source to copy it from", j.sp.releases, j.t.Revision)
	}
	from := forRevision(j.sp.source, j.t.Revision)
	src, ok := j.s.Get("source/" + j.t.Revision)
	switch {
	case !ok:
		return astern.Errorf(astern.Refused, "%s is neither on %s nor at its source %s", j.t.Revision, lack, from).
			WithHint("build it, or put it at %s/%s on the host", j.sp.releases, j.t.Revision)
	case !src.Known():
		return astern.Errorf(astern.Refused, "%s is not on %s, and its source %s can't be trusted: %s", j.t.Revision, lack, from, src.Unknown)
	case j.hash != "" && src.Text != j.hash:
		return astern.Errorf(astern.Refused, "%s is not on %s, and its source %s has other files: %s instead of %s", j.t.Revision, lack, from,
			short(src.Text), short(j.hash)).WithHint("build it again from the same commit, or copy the folder from another host")
	}
	j.hash = src.Text
	return nil
}

// first returns how many members the first stage takes: the share of the members that move, rounded up.
func (j *journey) first() int {
	n := len(j.moving)
	percent := j.o.Percent
	if percent < 1 || percent > 100 {
		percent = 100
	}
	k := (percent*n + 99) / 100
	if percent < 100 {
		j.notes = append(j.notes, fmt.Sprintf("%d %% of %d members is %d: shares are rounded up to whole members", percent, n, k))
	}
	return k
}

// stages returns the stages of the way.
func (j *journey) stages() []astern.Stage {
	var out []astern.Stage
	if len(j.missing) > 0 {
		out = append(out, j.copyStage())
	}
	k := j.first()
	shared := j.shared()
	if shared {
		j.notes = append(j.notes, "members of one host share its link: it is swapped once, in the stage in which the first of them moves; "+
			"a member of a later stage that restarts by itself before its turn comes up at "+j.t.Revision)
	}
	swapped := map[string]bool{}
	for _, span := range [][2]int{{0, k}, {k, len(j.moving)}} {
		if span[0] == span[1] {
			continue
		}
		members := j.moving[span[0]:span[1]]
		st := astern.Stage{Title: j.title(members, len(j.moving)), OnFailure: astern.OnFailureHold}
		if shared {
			st.Steps = j.sharedLane(members, swapped)
		} else {
			st.Each = &astern.Each{Address: j.sp.component.Address(), From: span[0], To: span[1]}
			st.Parallel = j.sp.Parallel
			st.Steps = j.lane(crew{members: j.moving, pattern: true})
		}
		if span[1] < len(j.moving) {
			st.Gate = &astern.Gate{Checks: []string{}, BakeSeconds: j.o.BakeSeconds, IntervalSeconds: 5, TimeoutSeconds: max(j.o.GateSeconds, 60)}
		}
		out = append(out, st)
	}
	return out
}

func (j *journey) title(members []place, all int) string {
	name := j.sp.component.Name
	what := "take %s to %s"
	if !j.swap {
		what = "restart %s at %s"
	}
	switch n := len(members); {
	case n == all && n == 1:
		return fmt.Sprintf(what, name, j.t.Revision)
	case n == all:
		return fmt.Sprintf(what+": all %d members", name, j.t.Revision, n)
	default:
		return fmt.Sprintf(what+": %d of %d members", name, j.t.Revision, n, all)
	}
}

// shared reports whether moving members share a link.
func (j *journey) shared() bool {
	return j.swap && !j.sp.ownLinks() && len(hosts(j.moving)) < len(j.moving)
}

func (j *journey) copyStage() astern.Stage {
	st := astern.Stage{Title: fmt.Sprintf("copy %s to %s", j.t.Revision, strings.Join(j.missing, ", ")),
		Parallel: j.sp.Parallel, OnFailure: astern.OnFailureHold}
	for _, name := range j.missing {
		st.Steps = append(st.Steps, j.copyStep(name))
	}
	return st
}

// facts returns what the way rests on.
func (j *journey) facts(stages []astern.Stage) []astern.Fact {
	steps := map[string][]string{} // verb -> ids
	known := map[string]bool{}
	for _, st := range stages {
		for _, s := range st.Steps {
			if s.Kind == Kind && !known[s.ID] {
				known[s.ID] = true
				steps[s.Verb] = append(steps[s.Verb], s.ID)
			}
		}
	}
	resting := steps[verbSwap]
	if !j.swap {
		resting = steps[verbRestart]
	}
	address := j.sp.component.Address()
	if j.shared() {
		return j.sharedFacts(address)
	}
	out := j.linkFacts(address, resting)
	if !j.swap {
		return out
	}
	if len(j.missing) == 0 {
		return append(out, astern.Fact{Address: address, Path: "{member}/release/" + j.t.Revision, Value: j.hash,
			Seen: j.seen("release/" + j.t.Revision), Steps: resting})
	}
	for _, p := range j.moving {
		out = append(out, j.releaseFact(address, p, resting))
	}
	return out
}

// releaseFact is that of one member where not all hosts have the release: one that lacks it must still lack it before
// the copy; what the copy sets is expected from then on.
func (j *journey) releaseFact(address string, p place, resting []string) astern.Fact {
	path := p.name + "/release/" + j.t.Revision
	v, ok := j.s.Get(path)
	if !ok {
		listed, _ := j.s.Get(p.name + "/releases")
		return astern.Fact{Address: address, Path: path, Absent: true, Seen: listed.At, Steps: []string{"copy-" + idOf(p.host)}}
	}
	return astern.Fact{Address: address, Path: path, Value: v.Text, Seen: v.At, Steps: resting}
}

// linkFacts is one for all members, with those that differ: a member's step knows what becomes of its own link alone.
func (j *journey) linkFacts(address string, steps []string) []astern.Fact {
	values := make([]astern.FactValue, len(j.moving))
	usual := 0 // the first that has a link
	for i, p := range j.moving {
		link, ok := j.s.Get(p.name + "/link")
		if values[i] = (astern.FactValue{Value: link.Text, Absent: !ok}); values[usual].Absent {
			usual = i
		}
	}
	all := astern.Fact{Address: address, Path: "{member}/link", Value: values[usual].Value, Absent: values[usual].Absent, Seen: j.seen("link"), Steps: steps}
	for i, v := range values {
		if v != values[usual] {
			if all.Except == nil {
				all.Except = map[string]astern.FactValue{}
			}
			all.Except[j.moving[i].name] = v
		}
	}
	return []astern.Fact{all}
}

// sharedFacts are those of members that share links: of each host's first member, for its swap.
func (j *journey) sharedFacts(address string) []astern.Fact {
	var out []astern.Fact
	for _, p := range firsts(j.moving) {
		swap := []string{"swap-" + idOf(p.host)}
		link, ok := j.s.Get(p.name + "/link")
		seen := link.At
		if !ok {
			seen = j.seen("releases")
		}
		out = append(out, astern.Fact{Address: address, Path: p.name + "/link", Value: link.Text, Absent: !ok, Seen: seen, Steps: swap})
		out = append(out, j.releaseFact(address, p, swap))
	}
	return out
}

// seen returns when the oldest of the moving members' values was read.
func (j *journey) seen(path string) time.Time {
	var at time.Time
	for _, p := range j.moving {
		v, ok := j.s.Get(p.name + "/" + path)
		if !ok {
			v = j.s.Values[p.name+"/host"]
		}
		if at.IsZero() || v.At.Before(at) {
			at = v.At
		}
	}
	return at
}

// reach returns the words before a command that is typed on this machine to reach the host; none for this machine.
func (sp spec) reach(name string) []string {
	h, ok := sp.component.Host(name)
	if name == host.Local || !ok || h.SSH == nil {
		return nil
	}
	return host.CommandLine(h.SSH.Address, h.SSH.User, h.SSH.KeyFile)
}
