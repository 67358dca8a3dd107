package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/incident"
	"github.com/astern-dev/astern/internal/inventory"
	"github.com/astern-dev/astern/internal/planner"
	"github.com/astern-dev/astern/internal/replay"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/signal/cloudwatch"
	"github.com/astern-dev/astern/internal/watch"
)

const (
	// Where nothing was deployed and nothing is worse, components are looked at one after the other, so often that each has its
	// turn after lookEach for each of them, within these bounds. A deployment that the ledger tells of is seen at once.
	lookEach, leastLook, mostLook = 300 * time.Millisecond, 5 * time.Second, 5 * time.Minute
	// lookFor is how long one look may take: a host that hangs must not keep the watch from all others.
	lookFor = 10 * time.Second
	// mostPhi is the overdispersion from which on people are told: what is usual lies far below.
	mostPhi = 20
	// giveUp is after how long a deployment that can't be judged is left to people.
	giveUp = 24 * time.Hour
	// newsLimit is how many of the newest events of the ledger are read each round; more than that many deployments between
	// two rounds are found when their component is looked at.
	newsLimit = 200
)

// Watcher watches components, one round after the other. What it knows is in the store after each round, so that another
// process goes on where one was killed.
type Watcher struct {
	app     *App
	signals *Signals
	say     func(astern.WatchEvent)
	all     []*watched
	rounds  int
	beat    time.Time
	kept    string // what sets apart what it keeps from what others do
	record  recorder

	speak   sync.Mutex
	acting  sync.Mutex // held from the policy's consent until there is an execution
	carried sync.WaitGroup
}

// watched is one component under watch.
type watched struct {
	component   astern.Component
	environment astern.Environment
	known       *watch.Watched
	state       astern.State
	lookedAt    time.Time
	looks       int
	trouble     string
	said        map[string]string // by topic: what was said last, so that nothing is said each round
	needs       map[string]need   // by address of what it depends on
	weighedAt   time.Time         // when its fault was weighed last
	countedAt   time.Time         // when its cost was counted last
	calibrateAt time.Time         // when it is asked again whether its level is old
	probes      probes
	alarms      []cloudwatch.AlarmSeen // nil while they are not asked
	changedAt   time.Time              // when the change was made that the fault which lasts is blamed on, or else when that began
	knows       string                 // what was known when it was kept last

	lock sync.Mutex
	// running is the execution that this process carries out for it, ended what came of the last one.
	running string
	ended   *carriedOut
	reading bool // the log of its failures
}

// NewWatcher returns what watches the components: those of these names, or all that have signals. Whatever is worth a line
// goes to say, from one place at a time. The App's store must be open for writing. Close it after use.
func (a *App) NewWatcher(ctx context.Context, environment string, names []string, say func(astern.WatchEvent)) (*Watcher, error) {
	b := *a
	b.By, b.seen, b.carried = incident.Watch, nil, nil
	w := &Watcher{app: &b, say: say}
	es, err := a.Environments(environment)
	if err != nil {
		return nil, err
	}
	wanted := map[string]bool{}
	for _, name := range names {
		c, err := a.Component(environment, name)
		if err != nil {
			return nil, err
		}
		if !c.Watchable() {
			return nil, astern.Errorf(astern.Invalid, "%s declares no signals: there is nothing to watch", c.Address()).WithHint("add signals: to it in astern.yaml")
		}
		wanted[c.Address()] = true
	}
	for _, e := range es {
		for _, c := range e.Components {
			if !c.Watchable() || len(names) > 0 && !wanted[c.Address()] {
				continue
			}
			x := &watched{component: c, environment: e, said: map[string]string{}, needs: map[string]need{}}
			if err := w.recall(ctx, x); err != nil {
				return nil, err
			}
			x.known.Levels, _ = b.levels(ctx, c, e.Policy)
			w.all = append(w.all, x)
		}
	}
	if len(w.all) == 0 {
		return nil, astern.Errorf(astern.Invalid, "no component declares signals: there is nothing to watch").WithHint("add signals: to a component in astern.yaml")
	}
	w.signals = b.NewSignals()
	return w, nil
}

// Close waits until nothing is carried out any more, which ends with the context of the rounds, and keeps what is known.
func (w *Watcher) Close(ctx context.Context) error {
	w.carried.Wait()
	w.signals.Close()
	for _, x := range w.all {
		if err := w.keep(ctx, x, true); err != nil {
			return err
		}
	}
	return nil
}

func (w *Watcher) tell(x *watched, e astern.WatchEvent) {
	w.speak.Lock()
	defer w.speak.Unlock()
	e.At = w.app.Now()
	if x != nil {
		e.Address = x.component.Address()
	}
	w.say(e)
}

// once says something about a topic of a component when it is not what was said last. "" forgets it.
func (w *Watcher) once(x *watched, topic string, e astern.WatchEvent) {
	if x.said[topic] == e.Text {
		return
	}
	x.said[topic] = e.Text
	if e.Text != "" {
		w.tell(x, e)
	}
}

// Round reads all signals once, looks at what may have changed, judges, and does what follows. An error means that the
// state could not be read or written; what can't be read of the world is told and judged as unknown.
func (w *Watcher) Round(ctx context.Context) error {
	news, err := w.news(ctx)
	if err != nil {
		return err
	}
	now := w.app.Now()
	w.clockBack(now)
	w.record.resume(w)
	w.look(ctx, func(x *watched) bool { return x.lookedAt.IsZero() })
	errs := make([]error, len(w.all))
	for i, x := range w.all {
		errs[i] = w.deployed(ctx, x, news[x.component.Address()], now)
	}
	asks, from := w.asks()
	answers := w.signals.Read(ctx, asks)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	// What members run is seen after the answers have come: who was in one group before and after was in it in between.
	w.look(ctx, func(x *watched) bool { return x.due(now, news[x.component.Address()], w.quietLook()) })
	w.askAlarms(ctx)
	inventory.Each(len(w.all), func(i int) {
		x := w.all[i]
		part := answers[from[i] : from[i]+len(x.component.Signals)]
		if x.trouble == "" {
			at := w.app.Now()
			taken := x.known.Take(at, runsOf(x.state), x.component.Signals, part)
			w.record.took(at, x, taken)
		}
		before := replay.MarkOf(x.known)
		if err := w.judge(ctx, x); errs[i] == nil {
			errs[i] = err
		}
		w.record.did(w.app.Now(), x, before)
	})
	w.record.round(w)
	err = w.roundEnds(ctx, errs)
	w.calibrateOne(ctx)
	return err
}

// roundEnds keeps what is known, and tells what went wrong with which component: the others go on. It is an error when all did.
func (w *Watcher) roundEnds(ctx context.Context, errs []error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	kept := w.keepSome(ctx)
	failed := 0
	for i, err := range errs {
		text := ""
		if err != nil {
			failed++
			text = err.Error()
		}
		w.once(w.all[i], "round", astern.WatchEvent{Kind: astern.WatchTrouble, Text: text})
	}
	if failed == len(errs) {
		return errors.Join(kept, errs[0])
	}
	return kept
}

// clockBack begins anew what can't be gone on with when the clock of this machine was set back: nothing is judged by times that
// are still to come.
func (w *Watcher) clockBack(now time.Time) {
	const slack = time.Second
	if w.beat.IsZero() || w.beat.Sub(now) < slack {
		return
	}
	w.tell(nil, astern.WatchEvent{Kind: astern.WatchTrouble, Text: fmt.Sprintf("the clock of this machine was set back by %s: what was being judged is judged anew", shortly(w.beat.Sub(now)))})
	for _, x := range w.all {
		x.known.Forget(now)
		if x.known.Trial != nil {
			x.known.Trial.Begin = now
		}
		x.lookedAt, x.weighedAt, x.countedAt, x.needs, x.probes = time.Time{}, time.Time{}, time.Time{}, map[string]need{}, probes{}
	}
}

// news returns the newest deployment of each component that the newest events of the ledger tell of.
func (w *Watcher) news(ctx context.Context) (map[string]astern.Event, error) {
	events, err := w.app.Store.Events(ctx, "", newsLimit)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	out := map[string]astern.Event{}
	for _, e := range events {
		if e.Kind == astern.EventDeployed {
			out[e.Address] = e
		}
	}
	return out, nil
}

// due reports whether what the component runs must be seen anew.
func (x *watched) due(now time.Time, news astern.Event, quiet time.Duration) bool {
	return x.known.Trial != nil || !x.known.Fault.IsZero() || news.Seq > x.known.Known || now.Sub(x.lookedAt) >= quiet || x.trouble != ""
}

// quietLook is how often a component is looked at where nothing happens.
func (w *Watcher) quietLook() time.Duration {
	return min(max(time.Duration(len(w.all))*lookEach, leastLook), mostLook)
}

// look observes the components for which it is due.
func (w *Watcher) look(ctx context.Context, due func(*watched) bool) {
	var these []*watched
	var components []astern.Component
	for _, x := range w.all {
		if due(x) {
			these, components = append(these, x), append(components, x.component)
		}
	}
	if len(these) == 0 {
		return
	}
	asking, cancel := context.WithTimeout(ctx, lookFor)
	defer cancel()
	seen := inventory.Ask(asking, components, func(kind string) (astern.Observer, bool) {
		d, ok := w.app.driver(kind)
		return d.Observer, ok
	}, astern.Scope{})
	for i, x := range these {
		x.lookedAt, x.trouble = w.app.Now(), ""
		x.looks++
		if seen[i].Trouble != nil {
			x.trouble = seen[i].Trouble.Error()
		} else {
			x.state = seen[i].State
		}
		text := ""
		if x.trouble != "" {
			text = "what it runs can't be seen: " + x.trouble
		}
		w.once(x, "look", astern.WatchEvent{Kind: astern.WatchTrouble, Text: text})
	}
}

// runsOf returns what each member is known to run.
func runsOf(s astern.State) map[string]string {
	out := map[string]string{}
	for _, m := range planner.Members(s) {
		if v, ok := s.Runs(m); ok && v.Known() {
			out[m] = v.Text
		} else {
			out[m] = "" // in no group: what is not known is counted nowhere
		}
	}
	if len(out) == 0 {
		for _, m := range membersOf(s) { // each is the revision that it runs
			out[m.Name] = m.Name
		}
	}
	return out
}

// asks returns what to ask of all components, and where each one's begin.
func (w *Watcher) asks() (all []signal.Ask, from []int) {
	for _, x := range w.all {
		from = append(from, len(all))
		for _, s := range x.component.Signals {
			all = append(all, askOf(s, x.state))
		}
	}
	return all, from
}

// deployed begins the trial of a deployment that the ledger tells of.
func (w *Watcher) deployed(ctx context.Context, x *watched, news astern.Event, now time.Time) error {
	first := x.known.Known == 0
	if news.Seq <= x.known.Known && !(first && x.said["began"] == "") {
		return nil
	}
	address := x.component.Address()
	events, err := w.app.Store.Events(ctx, address, 0)
	if err != nil {
		return fmt.Errorf("reading the ledger of %s: %w", address, err)
	}
	events = slices.DeleteFunc(events, func(e astern.Event) bool { return e.Kind != astern.EventDeployed })
	h, err := w.app.History(ctx, address)
	if err != nil {
		return err
	}
	w.began(x, h)
	if len(events) == 0 {
		return nil
	}
	slices.SortStableFunc(events, func(a, b astern.Event) int { return a.At.Compare(b.At) })
	e := events[len(events)-1]
	newest := slices.MaxFunc(events, func(a, b astern.Event) int { return int(a.Seq - b.Seq) }).Seq
	if d, _ := h.Of(e.Revision); first && (d.ProvenAt != nil && !d.ProvenAt.Before(e.At) || now.Sub(e.At) > w.window(x)) {
		x.known.Known = newest // it was judged before, or is too old for anybody to remember what was before
		return nil
	}
	if t := x.known.Trial; t != nil && t.Deployed.Revision == e.Revision && t.Deployed.Execution == e.Execution && e.Execution != "" {
		x.known.Known = newest // one execution records what each of its stages deployed
		return nil
	}
	if same, err := w.superseded(ctx, x, e, h, now); err != nil {
		return err
	} else if same {
		x.known.Known = newest
		return nil
	}
	baseline := before(events, h)
	unmixed := e.At
	if x.looks > 1 && x.lookedAt.Before(unmixed) { // who deployed may have recorded it later
		unmixed = x.lookedAt
	}
	incidents, err := w.app.outages(ctx, address, w.window(x))
	if err != nil {
		return err
	}
	x.known.Levels, _ = w.app.levels(ctx, x.component, x.environment.Policy)
	x.known.Try(e, baseline, x.component.Signals, w.pasts(ctx, x, unmixed), unmixed, now)
	x.known.Trial.Widen(x.component, incidents, now)
	x.known.Known = newest
	for _, s := range x.component.Signals {
		if past := x.known.Trial.Past[s.Name]; past.Split && past.Phi > mostPhi {
			w.tell(x, astern.WatchEvent{Kind: astern.WatchTrouble, Text: fmt.Sprintf("signal %s: two halves of %s that ran the same differed %.0f times more than chance makes them: "+
				"their traffic is not alike, and a verdict takes that much longer", s.Name, x.component.Name, past.Phi)})
		}
	}
	w.record.tried(now, x)
	beside := ", against its past"
	if baseline != "" {
		beside = ", beside what still runs " + baseline + ", else against its past"
	}
	w.tell(x, astern.WatchEvent{Kind: astern.WatchJudging, Text: e.Revision + " was deployed by " + e.By + ": it is judged" + beside, Execution: e.Execution})
	return nil
}

// superseded ends the fault that lasts when something else is deployed that nobody knows to be good: it is judged by itself, and a
// fault of its own is another one. Same says that it is what is blamed and runs, deployed once more: that is no other release, and
// who makes it every few minutes would otherwise have people called every few minutes.
func (w *Watcher) superseded(ctx context.Context, x *watched, e astern.Event, h astern.History, now time.Time) (same bool, err error) {
	if d, _ := h.Of(e.Revision); x.known.Fault.IsZero() || d.KnownGoodAt != nil || e.By == incident.Watch || x.carrying() {
		return false, nil
	}
	log, err := w.app.Store.Incident(ctx, x.known.Incident)
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", x.known.Incident, err)
	}
	in := incident.Fold(log)
	if in.Cause == nil || in.Cause.Event == e.Seq || in.ResolvedAt != nil {
		return false, nil
	}
	if t := x.known.Trial; t != nil && t.Deployed.Revision == e.Revision && in.Cause.Revision == e.Revision && in.Cause.Address == x.component.Address() {
		text := fmt.Sprintf("%s was deployed again by %s", e.Revision, e.By)
		if _, err := w.event(ctx, in.ID, astern.IncidentEvent{Kind: astern.IncidentNoted, Text: text, Token: fmt.Sprintf("%s/again/%d", in.ID, e.Seq)}); err != nil {
			return false, err
		}
		w.tell(x, astern.WatchEvent{Kind: astern.WatchTrouble, Text: text, Incident: in.ID})
		return true, nil
	}
	text := fmt.Sprintf("%s was deployed by %s, and is judged by itself", e.Revision, e.By)
	if _, err := w.event(ctx, x.known.Incident, astern.IncidentEvent{Kind: astern.IncidentResolved, Text: text}); err != nil {
		return false, err
	}
	w.tell(x, astern.WatchEvent{Kind: astern.WatchResolved, Text: text, Incident: x.known.Incident})
	x.known.Over(now)
	return false, nil
}

// began says once that a component is watched.
func (w *Watcher) began(x *watched, h astern.History) {
	if x.said["began"] != "" {
		return
	}
	var names []string
	for _, s := range x.component.Signals {
		names = append(names, s.Name)
	}
	for _, a := range x.component.Alarms {
		names = append(names, a.Name)
	}
	text := fmt.Sprintf("%s, by %s", strings.Trim(x.state.Values["revision"].String(), " "), strings.Join(names, ", "))
	if len(h.Deployments) == 0 {
		text += "; the ledger knows no deployment of it: no change can be blamed"
	}
	w.once(x, "began", astern.WatchEvent{Kind: astern.WatchBegan, Text: text})
}

// before returns the revision that ran before the newest deployment and was good as far as anybody knows, "" when there is
// none: what was taken back, or never known to be good where others were, is no measure of health.
func before(events []astern.Event, h astern.History) string {
	last := events[len(events)-1]
	for _, e := range slices.Backward(events) {
		if e.Revision == last.Revision {
			continue
		}
		if d, _ := h.Of(e.Revision); d.Latched != "" || d.KnownGoodAt == nil && slices.ContainsFunc(h.Deployments, known) {
			return ""
		}
		return e.Revision
	}
	return ""
}

func known(d astern.Deployment) bool { return d.KnownGoodAt != nil }

// pasts asks those signals for their past whose source keeps one, where too little of it was kept here.
func (w *Watcher) pasts(ctx context.Context, x *watched, until time.Time) map[string][]astern.Sample {
	out := map[string][]astern.Sample{}
	var members []string
	for m := range x.known.Runs {
		members = append(members, m)
	}
	if len(members) == 0 {
		members = namesOf(x.state)
	}
	halves := signal.Halves(members)
	for _, s := range x.component.Signals {
		if !s.Remembers() || x.known.PastOf(s.Name).Seconds() > time.Hour.Seconds() {
			continue
		}
		samples, err := pastOf(ctx, w.signals, pastAsk(s, x.state, members), halves, until.Add(-3*time.Hour), until)
		if err != nil {
			w.tell(x, astern.WatchEvent{Kind: astern.WatchTrouble, Text: fmt.Sprintf("signal %s: its past can't be read, so that a verdict takes longer: %s", s.Name, err)})
			continue
		}
		out[s.Name] = samples
	}
	return out
}

// outages are the incidents that began while nothing was being done to a component, and not soon after: what they show is not a
// deployment's, also where nobody could tell whose it was.
func (a *App) outages(ctx context.Context, address string, window time.Duration) ([]astern.Incident, error) {
	all, err := a.Incidents(ctx)
	if err != nil {
		return nil, err
	}
	executions, err := a.Store.Executions(ctx, 0, false)
	if err != nil {
		return nil, fmt.Errorf("reading executions: %w", err)
	}
	events, err := a.Store.Events(ctx, address, 0)
	if err != nil {
		return nil, fmt.Errorf("reading the ledger of %s: %w", address, err)
	}
	return slices.DeleteFunc(all, func(in astern.Incident) bool {
		soon := in.BeganAt.Add(-window)
		return slices.ContainsFunc(executions, func(e astern.Execution) bool {
			return slices.Contains(e.Addresses, address) && e.CreatedAt.Before(in.BeganAt) && (e.EndedAt == nil || e.EndedAt.After(soon))
		}) || slices.ContainsFunc(events, func(e astern.Event) bool {
			return e.Kind == astern.EventDeployed && e.At.After(soon) && e.At.Before(in.BeganAt)
		})
	}), nil
}

// window is how long after a change a fault may be its fault.
func (w *Watcher) window(x *watched) time.Duration {
	return watch.Window(x.environment.Policy)
}

// sorted returns the keys of a map in order.
func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
