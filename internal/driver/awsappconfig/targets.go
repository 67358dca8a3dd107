package awsappconfig

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/awsapi"
)

// router is the driver's Router and Switcher.
type router struct{}

// Targets returns the versions that are there, those that were deployed, and what else the ledger remembers; the last
// deployed first.
func (router) Targets(c astern.Component, s astern.State, h astern.History) []astern.Target {
	p, err := resolve(c)
	if err != nil {
		return nil
	}
	age := map[string]time.Time{}
	for path := range s.Values {
		for _, prefix := range []string{"version/", "deployed/"} {
			if rev, ok := strings.CutPrefix(path, prefix); ok {
				age[rev] = time.Time{}
			}
		}
	}
	for _, d := range h.Deployments {
		if !astern.ValidRevision(d.Revision) {
			continue
		}
		age[d.Revision] = time.Time{}
		if d.LastAt != nil {
			age[d.Revision] = *d.LastAt
		}
	}
	revisions := make([]string, 0, len(age))
	for rev := range age {
		revisions = append(revisions, rev)
	}
	slices.SortFunc(revisions, func(a, b string) int {
		x, _ := numbered(s, a)
		y, _ := numbered(s, b)
		return cmp.Or(age[b].Compare(age[a]), cmp.Compare(y, x), strings.Compare(b, a))
	})
	out := make([]astern.Target, len(revisions))
	for i, rev := range revisions {
		d, _ := h.Of(rev)
		var needs []string
		if arn := p.arn(s, rev); arn != "" {
			needs = []string{arn}
		}
		out[i] = judge(p, s, d, rev).Target(c, s, d, rev, needs)
	}
	return out
}

// arn names a version where region and account are declared, "" where they are not.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsappconfig.html
func (p place) arn(s astern.State, rev string) string {
	i, ok := parseIDs(s.Values["ids"].Text)
	n, there := numbered(s, rev)
	if !ok || !there || p.Region == "" || p.Account == "" {
		return ""
	}
	return fmt.Sprintf("arn:aws:appconfig:%s:%s:application/%s/configurationprofile/%s/hostedconfigurationversion/%d", p.Region, p.Account, i.application, i.profile, n)
}

// numbered returns the number of the version that is a revision, as it was seen.
func numbered(s astern.State, rev string) (int64, bool) {
	v, ok := s.Get("version/" + rev)
	n, err := strconv.ParseInt(v.Text, 10, 64)
	return n, ok && v.Known() && err == nil
}

// backOf reads what taking the last deployment back leads to, as it was seen.
func backOf(s astern.State) (back, bool) {
	v, ok := s.Get("revert")
	parts := strings.Fields(v.Text)
	if !ok || !v.Known() || len(parts) != 3 {
		return back{}, false
	}
	n, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil || !astern.ValidRevision(parts[1]) {
		return back{}, false
	}
	b := back{number: n, revision: parts[1]}
	if parts[2] == "-" {
		return b, true
	}
	b.until, err = time.Parse(time.RFC3339, parts[2])
	return b, err == nil && s.Newest().Before(b.until)
}

// evidence is what speaks for and against a revision.
type evidence struct{ awsapi.Findings }

// judge says what speaks for and against a revision.
func judge(p place, s astern.State, d astern.Deployment, rev string) *evidence {
	e := &evidence{awsapi.Findings{Seen: s.Newest()}}
	if e.Seen.IsZero() && d.LastAt != nil { // nothing at all was seen: the configuration does not exist
		e.Seen = *d.LastAt
	}
	if !e.there(p, s, rev) {
		return e
	}
	now := s.Values["revision"]
	if now.Known() && now.Text == rev {
		e.Add(astern.Ready, "it is what clients get")
		return e
	}
	if _, deployed := s.Get("deployed/" + rev); !deployed && d.LastAt == nil {
		e.Add(astern.AtRisk, "it was never deployed to this environment, as far as can be seen")
	}
	if b, ok := backOf(s); ok && b.revision == rev {
		anew := &evidence{}
		anew.deployable(p, s)
		e.revertible(b, anew)
		return e
	}
	e.deployable(p, s)
	return e
}

// there judges whether the version is there, and says whether anything else is worth judging.
func (e *evidence) there(p place, s astern.State, rev string) bool {
	whole, known := s.Get("ids")
	now, served := s.Get("revision")
	number, hosts := numbered(s, rev)
	switch location := s.Values["location"].Text; {
	case known && !whole.Known():
		e.Add(astern.ReadyUnknown, "the configuration could not be looked at: %s", whole.Unknown)
	case !known:
		e.Add(astern.Broken, "there is no configuration %s of %s/%s in %s", p.Configuration, p.Application, p.Environment, p.Where())
	case location != hosted:
		e.Add(astern.ReadyUnknown, "the configuration lies in %s: only what AppConfig hosts itself can be looked at", location)
	case served && !now.Known():
		e.Add(astern.ReadyUnknown, "what clients get is not known: %s", now.Unknown)
	case !hosts:
		e.Add(astern.Broken, "there is no version of it: it was deleted, or never was")
	default:
		e.Add(astern.Ready, "version %d is there, and never changes", number)
		return true
	}
	return false
}

// revertible says that the cloud itself takes the last deployment back. That goes ahead whatever alarms say, and needs no
// strategy. Once it is over, there is the way anew.
func (e *evidence) revertible(b back, anew *evidence) {
	if b.until.IsZero() {
		e.Add(astern.Ready, "deployment %d is under way, and stopping it leads there", b.number)
		return
	}
	e.Add(astern.Ready, "taking deployment %d back leads there, until %s", b.number, b.until.UTC().Format("2006-01-02 15:04Z"))
	door := astern.Door{At: &b.until, What: fmt.Sprintf("deployment %d can be taken back for 72 h; after that the version is deployed anew", b.number), Leaves: astern.Ready}
	if slices.ContainsFunc(anew.List, func(x astern.Evidence) bool { return x.Readiness != astern.Ready }) {
		door.Leaves = astern.AtRisk // as things are now, it would not go through
	}
	e.Doors = append(e.Doors, door)
}

// deployable judges what every new deployment needs.
func (e *evidence) deployable(p place, s astern.State) {
	strategy, ok := s.Get("strategy")
	switch {
	case ok && !strategy.Known():
		e.Add(astern.ReadyUnknown, "whether the deployment strategy %s is there is not known: %s", p.Strategy, strategy.Unknown)
	case !ok:
		e.Add(astern.Broken, "there is no deployment strategy %s", p.Strategy)
	default:
		e.Add(astern.Ready, "the deployment strategy %s is there: %s", p.Strategy, s.Values["strategy/growth"].Text)
	}
	busy, occupied := s.Get("busy")
	_, stoppable := backOf(s)
	switch {
	case occupied && !ours(s):
		e.Add(astern.Broken, "another deployment occupies the environment, and there is one at a time: %s", busy.Text)
	case occupied && strings.HasSuffix(busy.Text, "ROLLING_BACK"):
		e.Add(astern.Broken, "the last deployment is being taken back just now: %s", busy.Text)
	case occupied && !stoppable:
		e.Add(astern.Broken, "the first deployment of all is under way, and there was nothing before it: %s", busy.Text)
	}
	if alarms, ok := s.Get("alarms"); ok {
		e.alarms(alarms)
	}
	if v, ok := s.Get("validators"); ok {
		e.Add(astern.AtRisk, "the profile's validators (%s) judge it when it is deployed, and not before", v.Text)
	}
}

// alarms judges the alarms that take a deployment back. The documents say that those do which go off while it is under way,
// and that alarms may prevent one in an emergency: whether one that is going off already does is not said.
// https://docs.aws.amazon.com/appconfig/latest/userguide/monitoring-deployments.html
func (e *evidence) alarms(alarms astern.Value) {
	if !alarms.Known() {
		e.Add(astern.AtRisk, "whether alarms would take a deployment back is not known: %s", alarms.Unknown)
		return
	}
	quiet := 0
	for _, line := range strings.Split(alarms.Text, "\n") {
		switch state, name, _ := strings.Cut(line, " "); state {
		case "ALARM":
			e.Add(astern.AtRisk, "the alarm %s is going off, and may take every deployment back at once (aws cloudwatch disable-alarm-actions keeps it from that)", name)
		case "INSUFFICIENT_DATA":
			e.Add(astern.AtRisk, "the alarm %s has no data, and may take a deployment back", name)
		case "GONE":
			e.Add(astern.AtRisk, "the alarm %s of the environment does not exist", name)
		default:
			quiet++
		}
	}
	if quiet > 0 {
		e.Add(astern.Ready, "%d alarms of the environment are quiet", quiet)
	}
}

// ours reports whether the deployment that occupies the environment is the component's own.
func ours(s astern.State) bool {
	number, _, _ := strings.Cut(s.Values["busy"].Text, " ")
	return number != "" && number == s.Values["deployment"].Text
}
