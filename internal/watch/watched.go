package watch

import (
	"cmp"
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/detect"
	"github.com/astern-dev/astern/internal/signal"
)

// Watched is what is kept of one component from one round to the next. It is plain data: stored as JSON at any time and
// read again, it goes on.
type Watched struct {
	Address string                   `json:"address"`
	Runs    map[string]string        `json:"runs,omitempty"` // what each member ran at the last look
	Meters  map[string]*signal.Meter `json:"meters,omitempty"`
	Pasts   map[string]*Past         `json:"-"` // large and slow to change: kept by itself
	// Trial is set while a deployment is judged. Else the component is held against its own past by Quiet, which is nil
	// until there is enough of that.
	Trial *Trial  `json:"trial,omitempty"`
	Quiet *Panels `json:"quiet,omitempty"`
	// Known is the number of the newest deployment in the ledger that was seen.
	Known int64 `json:"known"`
	// Fault is when the fault that lasts was noticed first, and Incident what is kept of it; zero when there is none.
	Fault    time.Time `json:"fault,omitzero"`
	Incident string    `json:"incident,omitempty"`
	// ByProbes is true when the component's own checks found the fault, and its signals had no data.
	ByProbes bool `json:"by_probes,omitempty"`
	// After judges what came after the fault was noticed: whether it is over.
	After *Panels `json:"after,omitempty"`
	Graph Graph   `json:"graph,omitzero"`
	// Well is the end of the last sample that was taken while nothing new was judged and no fault lasted.
	Well time.Time `json:"well,omitzero"`
	// Levels are those of the panels that are made from now on.
	Levels Levels `json:"levels,omitzero"`
}

// Levels are the probabilities of a false alarm that panels are made with.
type Levels struct {
	// All is that of a whole watch, all its panels and signals together; zero is detect.DefaultLevel.
	All float64 `json:"all,omitempty"`
	// Beside is the level of the comparison with a control where that was Calibrated, which says what it is worth instead of the
	// guarantee. It holds for one watch, For long; after that, the guarantee is back.
	Beside     float64       `json:"beside,omitempty"`
	Calibrated string        `json:"calibrated,omitempty"`
	For        time.Duration `json:"for,omitempty"`
}

// The shares of a level. Each is settled before the first sample of its panel is looked at, and they add up to one: a watch keeps its
// promise over all of them, and what is used from the beginning pays least for what may come (decision 22).
const (
	// FirstShare is that of the comparison that is made first: beside a control where there is one.
	FirstShare = 0.8
	otherShare = 0.1 // of the one that is made when the control has gone, or come
	smallShare = 0.1 // of what a person is asked about
)

// Trial is a deployment that is judged.
type Trial struct {
	Deployed astern.Event `json:"deployed"`
	// Baseline is the revision that ran before and is held against it; "" when there is none that was good.
	Baseline string    `json:"baseline,omitempty"`
	Begin    time.Time `json:"begin"`
	Panels   Panels    `json:"panels"`
	// Past are the pasts of the signals, as they were measured before.
	Past map[string]detect.Past `json:"past"`
}

// Panels judge one stretch of time. Each is made with its first sample. They share the probability of a false alarm.
type Panels struct {
	Begin  time.Time `json:"begin"`
	Levels Levels    `json:"levels,omitzero"`
	// For is how long they judge at most, where others follow them; zero is as long as there are samples. Part is how much of
	// the level is theirs then.
	For  time.Duration `json:"for,omitempty"`
	Part float64       `json:"part,omitempty"`
	// Beside holds the new revision against members that run the earlier one, Alone against the past, with a null as wide
	// as the service's own worst, and Small against the past as it usually was, for as long as that
	// is: what only that finds is for a person.
	Beside *detect.Panel `json:"beside,omitempty"`
	Alone  *detect.Panel `json:"alone,omitempty"`
	Small  *detect.Panel `json:"small,omitempty"`
	// Controlled says which of them the last sample was for.
	Controlled bool `json:"controlled,omitempty"`
	// Cannot says of each signal that can't be judged why.
	Cannot map[string]string `json:"cannot,omitempty"`
	// Missing says of each signal whose last sample was none why.
	Missing map[string]string `json:"missing,omitempty"`
}

const (
	// leastPast is how much of a past a component is held against when nothing new runs there.
	leastPast = time.Minute
	// quietFor is how long one such judgement goes on before a new one begins with a newer past.
	quietFor = 6 * time.Hour
	// leastPart is how long a judgement counts as when the level of a day is dealt out, and quietDay how much a day deals out: the
	// judgements of the first hour, each as long as the past that it rests on, take the rest.
	leastPart = time.Hour
	quietDay  = 31 * time.Hour
	// aloneWide is by how many margins more than the worst of its past something must be worse to count while nothing new
	// runs: a day has a rhythm, and no guarantee holds across it.
	aloneWide = 2.0
	aloneSlow = 0.05 // the share of requests that must be slow, beyond that
)

// NewWatched returns what is kept of a component of which nothing is known.
func NewWatched(address string) *Watched {
	return &Watched{Address: address, Meters: map[string]*signal.Meter{}, Pasts: map[string]*Past{}}
}

// panelsFrom returns panels that begin then.
func (w *Watched) panelsFrom(begin time.Time) *Panels { return &Panels{Begin: begin, Levels: w.Levels} }

// PastOf returns the past of a signal.
func (w *Watched) PastOf(name string) *Past {
	if w.Pasts == nil {
		w.Pasts = map[string]*Past{}
	}
	if w.Pasts[name] == nil {
		w.Pasts[name] = &Past{}
	}
	return w.Pasts[name]
}

// Try begins the trial of a deployment. Baseline is the revision to hold it against where members still run it, "" for
// none. Pasts that are measured elsewhere (a Prometheus remembers) go before those that were kept.
// Unmixed is until when nothing of the deployment can be in the pasts.
func (w *Watched) Try(deployed astern.Event, baseline string, signals []astern.Signal, elsewhere map[string][]astern.Sample, unmixed, now time.Time) {
	t := &Trial{Deployed: deployed, Baseline: baseline, Begin: now, Panels: *w.panelsFrom(now), Past: map[string]detect.Past{}}
	for _, s := range signals {
		rule, err := detect.RuleOf(s)
		if err != nil {
			continue // it is said when the panel is made
		}
		kept := w.PastOf(s.Name).Samples(unmixed)
		if other := elsewhere[s.Name]; len(other) > len(kept) {
			kept = other
		}
		t.Past[s.Name] = detect.Measure(rule, kept)
	}
	w.Begin(t)
}

// Begin begins a trial that was made.
func (w *Watched) Begin(t *Trial) {
	w.Trial, w.Quiet, w.Known, w.After, w.Levels = t, nil, t.Deployed.Seq, nil, t.Panels.Levels
	if w.Fault.IsZero() {
		w.Graph = Graph{}
	}
}

// Settle ends the trial: what runs is as good as what ran before, and becomes its past.
func (w *Watched) Settle() { w.Trial, w.Quiet, w.Graph = nil, nil, Graph{} }

// Noticed says that something is worse: from now on it is judged whether it is over.
func (w *Watched) Noticed(now time.Time) { w.Fault, w.After = now, w.panelsFrom(now) }

// Again begins to judge anew whether the fault is over: something was done about it.
func (w *Watched) Again(now time.Time) {
	if !w.Fault.IsZero() {
		w.After = w.panelsFrom(now)
	}
}

// Over says that the fault is over. What runs goes on being judged, from now on.
func (w *Watched) Over(now time.Time) {
	w.Fault, w.After, w.Incident = time.Time{}, nil, ""
	if w.Trial != nil {
		w.Trial.Panels = *w.panelsFrom(now)
	} else {
		w.Quiet = nil
	}
}

// Forget drops what can't be gone on with after a gap in which nobody watched: readings and judges. What is being tried and
// what is at fault stays known.
func (w *Watched) Forget(now time.Time) {
	w.Meters, w.Quiet, w.Graph = map[string]*signal.Meter{}, nil, Graph{}
	if w.Trial != nil {
		w.Trial.Panels = *w.panelsFrom(now)
	}
	if w.After != nil {
		w.After = w.panelsFrom(now)
	}
}

// Judging reports whether some signal is being judged.
func (w *Watched) Judging() bool {
	p := w.panels()
	return p != nil && (p.Controlled && p.Beside != nil || !p.Controlled && p.Alone != nil)
}

// groups are the parts that members play now.
func (w *Watched) groups() signal.Groups {
	if w.Trial == nil {
		var all []string
		for m := range w.Runs {
			all = append(all, m)
		}
		return signal.Halves(all)
	}
	return signal.Compare(w.Runs, w.Trial.Deployed.Revision, w.Trial.Baseline)
}

// Taken is a sample of one of the signals that were declared.
type Taken struct {
	Signal int // its place among them
	Sample astern.Sample
}

// Take takes in one answer for each signal, in their order, and returns the samples that it made of them. Runs is what each
// member was seen to run after the answers had come.
func (w *Watched) Take(now time.Time, runs map[string]string, signals []astern.Signal, answers []signal.Answer) []Taken {
	for m, revision := range w.Runs {
		if runs[m] != revision { // what was read up to now may be of either
			for _, meter := range w.Meters {
				meter.Forget(m)
			}
		}
	}
	w.Runs = runs
	groups := w.groups()
	var taken []Taken
	for i, s := range signals {
		m := w.Meters[s.Name]
		if m == nil {
			m = &signal.Meter{}
			w.Meters[s.Name] = m
		}
		if sample, ok := m.Add(now, answers[i], groups); ok {
			w.Show(now, signals, Taken{i, sample})
			taken = append(taken, Taken{i, sample})
		}
	}
	return taken
}

// Show shows a sample to those who judge. Its groups are those of the trial; without one they are halves.
func (w *Watched) Show(now time.Time, signals []astern.Signal, t Taken) {
	s := signals[t.Signal]
	if w.Trial != nil {
		w.Trial.Panels.take(s, signals, t.Sample, w.besides(), w.Trial.make)
		w.after(now, s, signals, t.Sample, w.besides(), w.Trial.make)
	} else {
		w.quiet(s, signals, t.Sample)
	}
	w.Graph.add(s, t.Sample, w.Trial == nil, w.Fault.IsZero(), w.judgeOf(s.Name))
}

// besides reports whether a member still runs the baseline.
func (w *Watched) besides() bool {
	if w.Trial.Baseline == "" {
		return false
	}
	for _, r := range w.Runs {
		if r == w.Trial.Baseline {
			return true
		}
	}
	return false
}

// quiet keeps a sample of halves, and holds their sum against the past.
func (w *Watched) quiet(s astern.Signal, signals []astern.Signal, sample astern.Sample) {
	past := w.PastOf(s.Name)
	if w.Quiet != nil && sample.To.Sub(w.Quiet.Begin) > w.Quiet.For && w.Fault.IsZero() {
		w.Quiet = nil
	}
	if rests := w.rests(signals, sample.To); w.Quiet == nil && rests >= leastPast {
		w.Quiet = w.panelsFrom(sample.From)
		w.Quiet.For = min(quietFor, rests)
		w.Quiet.Part = float64(max(w.Quiet.For, leastPart)) / float64(quietDay)
	}
	if w.Quiet != nil {
		w.Quiet.take(s, signals, joined(sample), false, w.makeQuiet)
		w.after(sample.To, s, signals, joined(sample), false, w.makeQuiet)
	}
	if w.Fault.IsZero() { // what is at fault is no example of health
		past.Add(sample)
		if sample.Candidate != nil && sample.Candidate.Total > 0 {
			w.Well = sample.To
		}
	}
}

// rests returns how much of a past there is to hold what runs against: the least of those signals that are counted now and have
// enough of it. One whose source died has a past that ended, and would have all others judged anew every minute.
func (w *Watched) rests(signals []astern.Signal, now time.Time) (least time.Duration) {
	for _, s := range signals {
		past := w.PastOf(s.Name)
		n := len(past.Pieces)
		if n == 0 || past.Pieces[n-1].From+int64(past.Pieces[n-1].Lasts) < now.Add(-2*leastPast).UnixMilli() {
			continue
		}
		if counted := time.Duration(past.Seconds() * float64(time.Second)); counted >= leastPast && (least == 0 || counted < least) {
			least = counted
		}
	}
	return least
}

// afterFor is how long it is judged whether a fault is over before that begins anew: what lasted for some of it would speak
// against the rest.
const afterFor = 30 * time.Second

// after shows a sample to the panels that judge whether the fault is over.
func (w *Watched) after(now time.Time, s astern.Signal, signals []astern.Signal, sample astern.Sample, beside bool, make maker) {
	if w.After == nil {
		return
	}
	if worse(w.After) && now.Sub(w.After.Begin) >= afterFor {
		w.After = w.panelsFrom(now)
	}
	if !sample.From.Before(w.After.Begin) {
		w.After.take(s, signals, sample, beside, make)
	}
}

// worse reports whether any of the panels says so.
func worse(p *Panels) bool {
	for _, panel := range []*detect.Panel{p.Beside, p.Alone, p.Small} {
		if panel != nil && panel.Worse() {
			return true
		}
	}
	return false
}

// joined is a sample of both halves as one group.
func joined(s astern.Sample) astern.Sample {
	if s.Candidate == nil {
		s.Candidate = s.Control
	} else if s.Control != nil {
		c := *s.Candidate
		c.Total, c.Bad, c.Members = c.Total+s.Control.Total, c.Bad+s.Control.Bad, c.Members+s.Control.Members
		if c.Buckets != nil {
			c.Buckets = signal.Add(slices.Clone(c.Buckets), s.Control.Buckets)
		}
		s.Candidate = &c
	}
	s.Control = nil
	return s
}

// maker makes the judge of one signal; wide says that its null is as wide as the worst of the past.
type maker func(r detect.Rule, begin time.Time, alone, wide bool) (*detect.Judge, error)

func (t *Trial) make(r detect.Rule, begin time.Time, alone, wide bool) (*detect.Judge, error) {
	past := t.Past[r.Name]
	if !wide {
		past.Worst = 0
	}
	if !alone && past.Problem != "" && past.Low == 0 && r.Kind != astern.SignalLatency {
		past.Problem = "" // what runs beside it is measured now: without a past it only takes longer
	}
	return detect.New(r, past, begin, 0, alone)
}

func (w *Watched) makeQuiet(r detect.Rule, begin time.Time, alone, wide bool) (*detect.Judge, error) {
	past := detect.Measure(r, w.PastOf(r.Name).Samples(begin))
	past.Worst = max(past.Worst, past.Rate) + aloneWide*r.Margin
	if r.Kind == astern.SignalLatency { // its margin is one of time, not of requests
		past.Worst = aloneWide*max(past.Worst, past.Rate) + aloneSlow
	}
	return detect.New(r, past, begin, 0, alone)
}

// take shows a sample to the panels that it is for, and makes them first.
func (p *Panels) take(s astern.Signal, signals []astern.Signal, sample astern.Sample, beside bool, make maker) {
	p.Controlled = beside
	if why := lacking(sample, beside); why != "" {
		if p.Missing == nil {
			p.Missing = map[string]string{}
		}
		p.Missing[s.Name] = why
	} else {
		delete(p.Missing, s.Name)
	}
	if beside {
		if p.Beside == nil {
			p.Beside = p.panel(signals, sample.From, false, true, p.level(true), make)
		}
		p.guaranteed(sample.To)
		feed(p.Beside, s.Name, sample)
		return
	}
	if p.Alone == nil {
		p.Alone = p.panel(signals, sample.From, true, true, p.level(false), make)
		p.Small = p.panel(signals, sample.From, true, false, p.share(smallShare), make)
	}
	feed(p.Alone, s.Name, sample)
	if !outlasted(p.Small, s.Name, sample.To) {
		feed(p.Small, s.Name, sample)
	}
}

// outlasted reports whether the judge of a signal has gone on for longer than the past that it rests on: what was usual in three
// hours says little of the hours after the next three. Measured without: a person is asked for nothing in a third of healthy days.
func outlasted(p *detect.Panel, name string, now time.Time) bool {
	return p != nil && slices.ContainsFunc(p.Judges, func(j *detect.Judge) bool {
		return j.Rule.Name == name && now.Sub(j.Begin).Seconds() > j.Past.Seconds
	})
}

// level is that of a panel that is made now: beside a control or alone.
func (p *Panels) level(beside bool) float64 {
	switch {
	case p.Beside != nil || p.Alone != nil:
		if beside { // the calibrated level is for what is made first
			p.Levels.Calibrated, p.Levels.Beside = "", 0
		}
		return p.share(otherShare)
	case beside && p.Levels.Calibrated != "":
		return p.Levels.Beside
	}
	return p.share(FirstShare)
}

func (p *Panels) share(of float64) float64 {
	return of * cmp.Or(p.Part, 1) * cmp.Or(p.Levels.All, detect.DefaultLevel)
}

// guaranteed ends what a calibrated level is good for: it was taken from watches of one length.
func (p *Panels) guaranteed(now time.Time) {
	if p.Levels.Calibrated == "" || p.Beside == nil || p.Beside.Worse() || now.Sub(p.Begin) <= p.Levels.For {
		return
	}
	p.Levels.Calibrated, p.Levels.Beside = "", 0
	p.Beside.Level = p.share(FirstShare)
	for _, j := range p.Beside.Judges {
		j.Level = p.Beside.Level / float64(len(p.Beside.Judges))
	}
}

func lacking(s astern.Sample, beside bool) string {
	if s.Candidate == nil || beside && s.Control == nil {
		return cmp.Or(s.Missing, "nothing could be counted")
	}
	return ""
}

func feed(p *detect.Panel, name string, s astern.Sample) {
	if p != nil {
		_, _ = p.Feed(name, s) // a signal without a judge is among those that can't be judged
	}
}

// panel makes judges for all signals that can be judged, nil when none can.
func (p *Panels) panel(signals []astern.Signal, begin time.Time, alone, wide bool, level float64, make maker) *detect.Panel {
	var judges []*detect.Judge
	for _, s := range signals {
		rule, err := detect.RuleOf(s)
		if err == nil {
			var j *detect.Judge
			if j, err = make(rule, begin, alone, wide); err == nil {
				judges = append(judges, j)
				continue
			}
		}
		if p.Cannot == nil {
			p.Cannot = map[string]string{}
		}
		p.Cannot[s.Name] = err.Error()
	}
	if len(judges) == 0 {
		return nil
	}
	panel, err := detect.NewPanel(level, judges...)
	if err != nil {
		return nil // it has judges, and the level is one
	}
	return panel
}
