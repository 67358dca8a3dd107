package app

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/inventory"
	"github.com/astern-dev/astern/internal/policy"
	"github.com/astern-dev/astern/internal/watch"
)

// carriedOut is how an execution ended that this process carried out.
type carriedOut struct {
	id         string
	err        error
	unreleased []string
}

func (x *watched) carrying() bool {
	x.lock.Lock()
	defer x.lock.Unlock()
	return x.running != ""
}

// carry begins the plan that was decided on, or goes on with it, beside the rounds. One plan has one execution: whoever did
// this before, and was killed, is gone on with.
func (w *Watcher) carry(ctx context.Context, x *watched, in astern.Incident, d astern.Decision) error {
	b := *w.app // what an App keeps for one execution is not shared
	b.seen, b.carried, b.unreleased = nil, nil, nil
	doc, err := b.Store.Plan(ctx, d.Plan)
	if err != nil {
		return fmt.Errorf("reading the plan of %s: %w", in.ID, err)
	}
	e, _, err := b.Apply(ctx, doc, Vouch{})
	if err != nil {
		return w.notBegun(ctx, x, in, d, err)
	}
	if next, err := w.continued(ctx, e); err != nil {
		return err
	} else if next.Outcome != "" {
		return nil
	} else {
		e = *next
	}
	if _, err := w.event(ctx, in.ID, astern.IncidentEvent{Kind: astern.IncidentActed, Execution: e.ID, Text: d.Way, Token: in.ID + "/acted/" + e.ID}); err != nil {
		return err
	}
	w.tell(x, astern.WatchEvent{Kind: astern.WatchActed, Text: d.Way + " is under way", Incident: in.ID, Plan: d.Plan, Execution: e.ID})
	x.lock.Lock()
	x.running, x.ended = e.ID, nil
	x.lock.Unlock()
	w.carried.Go(func() {
		_, last, err := b.Run(ctx, e.ID, nil)
		x.lock.Lock()
		defer x.lock.Unlock()
		x.running, x.ended = "", &carriedOut{last, err, b.unreleased}
	})
	return nil
}

// notBegun says why a plan could not be begun, and has another decision made.
func (w *Watcher) notBegun(ctx context.Context, x *watched, in astern.Incident, d astern.Decision, err error) error {
	if astern.CodeOf(err) == astern.Interrupted || ctx.Err() != nil {
		return err
	}
	w.once(x, "carry", astern.WatchEvent{Kind: astern.WatchTrouble, Text: d.Way + " could not be begun: " + err.Error(), Incident: in.ID, Plan: d.Plan})
	return w.decided(ctx, x, in, astern.Decision{Act: astern.ActHold, Because: d.Way + " could not be begun: " + clipped(err.Error())}, watch.Situation{})
}

// after says how the execution ended that this process carried out.
func (w *Watcher) after(ctx context.Context, x *watched, in astern.Incident) error {
	x.lock.Lock()
	ended := x.ended
	x.ended = nil
	x.lock.Unlock()
	if ended == nil || astern.CodeOf(ended.err) == astern.Interrupted && ctx.Err() != nil {
		return nil
	}
	for _, place := range ended.unreleased {
		w.tell(x, astern.WatchEvent{Kind: astern.WatchTrouble, Text: place, Incident: in.ID, Execution: ended.id})
	}
	x.known.Again(w.app.Now())
	if ended.err == nil {
		w.tell(x, astern.WatchEvent{Kind: astern.WatchProven, Text: ended.id + " is done, and its checks pass", Incident: in.ID, Execution: ended.id})
		return w.measure(ctx, x)
	}
	w.tell(x, astern.WatchEvent{Kind: astern.WatchTrouble, Text: ended.err.Error(), Incident: in.ID, Execution: ended.id})
	_, err := w.event(ctx, in.ID, astern.IncidentEvent{Kind: astern.IncidentNoted, Text: clipped(ended.err.Error()), Execution: ended.id,
		Token: in.ID + "/ended/" + ended.id})
	return err
}

// answered looks at what people said of the plan that they were asked about: it is begun when they approve, left when they
// reject, and who does not answer is followed by the next one on the policy's ladder. Went says that nothing more is to be
// done in this round.
func (w *Watcher) answered(ctx context.Context, x *watched, in astern.Incident, d astern.Decision, now time.Time) (went bool, err error) {
	doc, err := w.app.Store.Plan(ctx, d.Plan)
	if err != nil {
		return false, fmt.Errorf("reading the plan of %s: %w", in.ID, err)
	}
	p, hash, err := w.app.decoded(doc)
	if err != nil {
		return false, err
	}
	if now.After(p.ExpiresAt) {
		return true, w.decided(ctx, x, in, astern.Decision{Act: astern.ActHold, Because: fmt.Sprintf("the plan of %s could be applied until %s: another one is made", d.Way,
			p.ExpiresAt.UTC().Format("15:04:05Z"))}, watch.Situation{})
	}
	j, err := w.app.Judge(ctx, p, hash, now)
	if err != nil {
		return false, err
	}
	if j.Rejected != nil {
		w.once(x, "answer", astern.WatchEvent{Kind: astern.WatchDecided, Text: j.Rejected.By + " rejected " + d.Way + ": " + j.Rejected.Reason, Incident: in.ID, Plan: hash})
		return true, nil
	}
	if len(j.Counted) > 0 && w.app.approved(ctx, p, hash, now) == nil {
		w.once(x, "answer", astern.WatchEvent{Kind: astern.WatchDecided, Text: strings.Join(j.Counted, ", ") + " approved " + d.Way, Incident: in.ID, Plan: hash})
		return true, w.carry(ctx, x, in, d)
	}
	left, err := w.call(ctx, x, in, p, hash, now)
	if err != nil || !left || w.unseen(x) != "" {
		return false, err
	}
	w.acting.Lock()
	defer w.acting.Unlock()
	alone, err := w.app.Consent(ctx, Planned{Plan: p, Hash: hash, Doc: doc}, true)
	if err != nil || !alone.May {
		return false, err
	}
	w.once(x, "answer", astern.WatchEvent{Kind: astern.WatchDecided, Text: "nobody answered: " + alone.Because, Incident: in.ID, Plan: hash})
	d.Act, d.Because = astern.ActAutomatic, "everybody was called and nobody answered; "+alone.Because
	if err := w.decided(ctx, x, in, d, watch.Situation{}); err != nil {
		return true, err
	}
	in.Decisions = append(in.Decisions, d)
	return true, w.carry(ctx, x, in, d)
}

// call notes who is called by the policy's ladder, each when the one before has had the time to answer. Left says that all
// were and nobody is left.
func (w *Watcher) call(ctx context.Context, x *watched, in astern.Incident, p astern.Plan, hash string, now time.Time) (left bool, err error) {
	pol := x.environment.Policy
	s, _, err := policy.Severity(pol, in.Severity)
	if err != nil {
		return false, nil // nobody is called for what has no severity
	}
	rungs := policy.Ladder(pol, s, policy.MatterOf(p))
	log, err := w.app.Store.Incident(ctx, in.ID)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", in.ID, err)
	}
	called := map[string]time.Time{} // by token: a rung waits from when it was called, whatever should have been
	for _, e := range log.Events {
		called[e.Token] = e.At
	}
	var until time.Time
	for round := range max(1, s.Rounds) {
		for i, r := range rungs {
			token := fmt.Sprintf("%s/call/%d/%d/%.12s", in.ID, round, i, hash)
			at, was := called[token]
			switch {
			case !was && now.Before(until):
				return false, nil
			case !was:
				role, _ := pol.Role(r.Role)
				who := r.Role
				if len(role.People) > 0 {
					who += " (" + strings.Join(role.People, ", ") + ")"
				}
				_, err := w.event(ctx, in.ID, astern.IncidentEvent{Kind: astern.IncidentNoted, Text: "calls " + who, Token: token})
				return false, err
			}
			until = at.Add(time.Duration(r.WaitSeconds) * time.Second)
		}
	}
	return len(rungs) > 0 && !now.Before(until), nil
}

// need is what is known of something that a component depends on.
type need struct {
	at    time.Time // when it was asked last
	well  time.Time // when it was well last
	since time.Time // when it began not to be; zero while it is well
	what  string
}

// needEvery is how often what a component depends on is asked while nothing is worse.
const needEvery = 30 * time.Second

// dependencies asks what the component depends on whether it is well: by those of its checks that say that it is ready.
func (w *Watcher) dependencies(ctx context.Context, x *watched, now time.Time) {
	if len(x.component.DependsOn) == 0 {
		return
	}
	worse := x.worse()
	for _, name := range x.component.DependsOn {
		c, ok := x.environment.Component(name)
		n := x.needs[c.Address()]
		if !ok || len(c.Checks) == 0 || now.Sub(n.at) < needEvery && !(worse && x.known.Fault.IsZero()) {
			continue
		}
		n.at = now
		if what := w.unwell(ctx, c); what == "" {
			n.well, n.since, n.what = now, time.Time{}, ""
		} else {
			if n.since.IsZero() {
				if n.since = n.well; n.since.IsZero() {
					n.since = now
				}
			}
			n.what = what
		}
		x.needs[c.Address()] = n
	}
}

// unwell makes a component's checks that say whether it is ready, or all that have no effects where none are named, and
// returns what fails; "" when nothing does. What could not be asked says nothing.
func (w *Watcher) unwell(ctx context.Context, c astern.Component) string {
	d, ok := w.app.driver(c.Kind)
	if !ok {
		return ""
	}
	seen := inventory.Ask(ctx, []astern.Component{c}, func(string) (astern.Observer, bool) { return d.Observer, true }, astern.Scope{})
	if seen[0].Trouble != nil {
		return ""
	}
	bound, results := w.askReady(ctx, c, seen[0].State, false)
	fails := 0
	first := ""
	for i, r := range results {
		if r.Verdict == astern.Fail {
			if fails++; first == "" {
				first = fmt.Sprintf("%s fails its check %s", c.Name, bound[i].Name)
			}
		}
	}
	if fails*2 <= len(results) {
		return "" // one of several instances is what it has several for
	}
	return first
}

// elsewhere are the faults of what the component depends on.
func (x *watched) elsewhere() []watch.Elsewhere {
	var out []watch.Elsewhere
	for _, address := range sorted(x.needs) {
		if n := x.needs[address]; !n.since.IsZero() {
			what := n.what
			if !n.well.IsZero() {
				what += ", and was well until " + n.well.UTC().Format("15:04:05Z")
			}
			out = append(out, watch.Elsewhere{What: what, Since: n.since})
		}
	}
	return out
}

// watchVersion is that of what the watch keeps; what another version kept is begun anew.
const watchVersion = 1

// keptWatch is what is kept of one component in the store.
type keptWatch struct {
	Version int                    `json:"version"`
	At      time.Time              `json:"at"`
	Watched *watch.Watched         `json:"watched,omitempty"`
	Pasts   map[string]*watch.Past `json:"pasts,omitempty"`
}

// mostGap is how old what was kept may be to be gone on with: after that a judge would compare what nobody saw.
const mostGap = 15 * time.Minute

// recall reads what an earlier process knew.
func (w *Watcher) recall(ctx context.Context, x *watched) error {
	address := x.component.Address()
	x.known = watch.NewWatched(address)
	read := func(key string) (k keptWatch, err error) {
		b, ok, err := w.app.Store.Proof(ctx, key+address)
		if err != nil || !ok {
			return k, err
		}
		if err := json.Unmarshal(b, &k); err != nil || k.Version != watchVersion {
			return keptWatch{}, nil // it is a cache
		}
		return k, nil
	}
	known, err := read("watch/known/" + w.kept)
	if err != nil {
		return fmt.Errorf("reading what the watch knew of %s: %w", address, err)
	}
	if known.Watched != nil && known.Watched.Address == address {
		x.known = known.Watched
		if x.known.Meters == nil || w.app.Now().Sub(known.At).Abs() > mostGap {
			x.known.Forget(w.app.Now())
		}
	}
	pasts, err := read("watch/past/")
	if err != nil {
		return fmt.Errorf("reading the past of %s: %w", address, err)
	}
	if x.known.Pasts = pasts.Pasts; pasts.Pasts == nil {
		x.known.Pasts = map[string]*watch.Past{}
	}
	return nil
}

// keep writes what is known of a component; its past, which is large, only when asked.
func (w *Watcher) keep(ctx context.Context, x *watched, past bool) error {
	kept := []keptWatch{{Version: watchVersion, At: w.app.Now(), Watched: x.known}}
	if past {
		kept = append(kept, keptWatch{Version: watchVersion, At: w.app.Now(), Pasts: x.known.Pasts})
	}
	for i, k := range kept {
		b, err := json.Marshal(k)
		if err == nil {
			err = w.app.Store.KeepProof(ctx, []string{"watch/known/" + w.kept, "watch/past/"}[i]+x.component.Address(), b, k.At)
		}
		if err != nil {
			return fmt.Errorf("keeping what the watch knows of %s: %w", x.component.Address(), err)
		}
	}
	return nil
}

// pastRounds is in how many rounds the past of every component is kept once.
const pastRounds = 60

// keepSome keeps what is known of components with a deployment or a fault to judge, and the pasts of some, in turn.
func (w *Watcher) keepSome(ctx context.Context) error {
	w.rounds++
	for i, x := range w.all {
		past, busy := (w.rounds+i)%pastRounds == 0, x.known.Trial != nil || !x.known.Fault.IsZero()
		knows := verdictsOf(x.known, x.component.Signals)
		if !past && !busy && knows == x.knows {
			continue
		}
		if err := w.keep(ctx, x, past); err != nil {
			return err
		}
		x.knows = knows
	}
	now := w.app.Now()
	b, err := json.Marshal(heartbeat{Version: watchVersion, At: now, Gap: now.Sub(w.beat)})
	if err == nil {
		err = w.app.Store.KeepProof(ctx, heartbeatKey, b, now)
	}
	if w.beat = now; err != nil {
		return fmt.Errorf("keeping that the watch lives: %w", err)
	}
	return nil
}

// heartbeat says that a watch has made a round.
type heartbeat struct {
	Version int           `json:"version"`
	At      time.Time     `json:"at"`
	Gap     time.Duration `json:"gap"` // since the round before
}

// heartbeatKey is where it is kept.
const heartbeatKey = "watch/alive"

// patience is how much later than three gaps a round may come before nobody watches any more.
const patience = 30 * time.Second

// WatchState returns what the watch last knew of a component; nil where there is nothing to watch.
func (a *App) WatchState(ctx context.Context, c astern.Component) (*astern.WatchState, error) {
	if !c.Watchable() {
		return nil, nil
	}
	out := &astern.WatchState{}
	b, ok, err := a.Store.Proof(ctx, heartbeatKey)
	var beat heartbeat
	if err != nil || !ok || json.Unmarshal(b, &beat) != nil || beat.Version != watchVersion {
		return out, err
	}
	var k keptWatch
	if b, ok, err = a.Store.Proof(ctx, "watch/known/"+c.Address()); err != nil || !ok || json.Unmarshal(b, &k) != nil || k.Version != watchVersion || k.Watched == nil {
		return out, err
	}
	out.At = beat.At
	gap := a.Now().Sub(beat.At)
	out.Alive = gap < 3*min(beat.Gap, time.Minute)+patience
	out.Says = stateWords(k.Watched, c.Signals)
	return out, nil
}

// verdictsOf is what is known of each signal, without its numbers, and what is judged.
func verdictsOf(k *watch.Watched, signals []astern.Signal) string {
	out := "known:"
	for _, f := range k.Findings(signals) {
		out += " " + string(f.Verdict)
	}
	if k.Trial != nil {
		out += " " + k.Trial.Deployed.Revision
	}
	return out
}

// stateWords is what is known of a component in a line.
func stateWords(k *watch.Watched, signals []astern.Signal) string {
	findings := k.Findings(signals)
	words := make([]string, len(findings))
	for i, f := range findings {
		words[i] = f.Signal + " " + string(f.Verdict)
		if f.Verdict == watch.Unknown {
			words[i] = f.Signal + " unknown (" + clipped(f.Says) + ")"
		}
	}
	what := strings.Join(words, ", ")
	if k.Trial != nil {
		return k.Trial.Deployed.Revision + " is judged: " + what
	}
	return what
}

// Busy reports whether an execution is being carried out.
func (w *Watcher) Busy() bool { return slices.ContainsFunc(w.all, (*watched).carrying) }
