package replay

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/watch"
)

const (
	mostFaults    = 1000 // of a recording that are told
	mostDecisions = 200  // of a fault
)

// Recording judges what was recorded as the watch did, on the recording's own clock, by the policy of each environment; ok is
// false where there is none. What was measured, deployed and in the way is as it was; the policy only decides. Name stands in
// errors, which say in which line the recording is none.
func Recording(name string, from io.Reader, by string, policyOf func(environment string) (astern.Policy, bool)) (astern.Replay, error) {
	p := player{by: by, policyOf: policyOf, components: map[string]*played{}, out: astern.Replay{Of: name}}
	r := &reader{name: name, in: bufio.NewReaderSize(from, 64<<10)}
	for {
		l, err := r.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return astern.Replay{}, err
		}
		if err := p.take(l); err != nil {
			return astern.Replay{}, astern.Errorf(astern.Invalid, "%s: line %d: %w", name, r.n, err)
		}
	}
	for _, address := range p.order {
		if c := p.components[address]; c.fault != nil {
			p.close(c, time.UnixMicro(r.last).UTC(), false)
		}
	}
	slices.SortStableFunc(p.out.Faults, func(a, b astern.ReplayFault) int { return a.NoticedAt.Compare(b.NoticedAt) })
	for _, n := range r.cut {
		p.note(fmt.Sprintf("line %d is cut off: the disk was full, or the watch was killed; what it said is missing", n))
	}
	return p.out, nil
}

// player goes through a recording.
type player struct {
	by         string
	policyOf   func(environment string) (astern.Policy, bool)
	components map[string]*played
	order      []string
	out        astern.Replay
}

// played is one component of a recording.
type played struct {
	address  string
	signals  []astern.Signal
	bounds   map[int][]float64
	policy   astern.Policy
	known    *watch.Watched
	lasting  bool // the watch that recorded is in a fault
	over     bool // and says in this round that it is over
	weighed  *watch.Situation
	was      *astern.Decision
	would    *astern.Decision
	changed  bool // was did in this round
	did      bool // would has acted
	weighing time.Time
	fault    *astern.ReplayFault
	harm     harm
	probed   []watch.Finding
	mended   *time.Time // when something was done about it, by the recording
}

func (p *player) note(text string) {
	const most = 100
	if len(p.out.Notes) < most && !slices.Contains(p.out.Notes, text) {
		p.out.Notes = append(p.out.Notes, text)
	}
}

// take takes in one line.
func (p *player) take(l line) error {
	at := time.UnixMicro(l.At).UTC()
	switch {
	case l.Recording > 0:
		return nil
	case l.Round:
		for _, address := range p.order {
			if err := p.judge(p.components[address], at); err != nil {
				return err
			}
		}
		return nil
	case l.Begin != nil:
		return p.begin(l, at)
	}
	c := p.components[l.Address]
	if c == nil {
		return fmt.Errorf("nothing says how %s began", clipped(l.Address))
	}
	if l.Tried != nil {
		c.known.Begin(l.Tried)
	}
	if l.Runs != nil {
		c.known.Runs = l.Runs
	}
	for _, s := range l.Samples {
		t, why := s.taken(l.At, len(c.signals), c.bounds)
		if why != "" {
			return errors.New(why)
		}
		c.known.Show(at, c.signals, t)
	}
	if l.Weighed != nil {
		s, err := watch.ReadSituation(l.Weighed)
		if err != nil {
			return err
		}
		if s.Address != l.Address {
			return fmt.Errorf("what was weighed is of %q", clipped(s.Address))
		}
		c.weighed = &s
	}
	if l.Probed != nil {
		c.probed = *l.Probed
	}
	if l.Decided != nil {
		c.was, c.changed = l.Decided, true
		if l.Decided.Act == astern.ActAutomatic && c.harm.was == nil {
			c.harm.was = &deed{at, c.seconds(*l.Decided)}
		}
	}
	p.follow(c, l.Did, at)
	return nil
}

// begin begins a component, or goes on with it where another process did.
func (p *player) begin(l line, at time.Time) error {
	environment, _, _ := astern.SplitAddress(l.Address)
	policy, ok := p.policyOf(environment)
	if !ok {
		return fmt.Errorf("the policy's file has no environment %s", clipped(environment))
	}
	c := p.components[l.Address]
	if c == nil {
		const most = 10_000
		if len(p.order) == most {
			return fmt.Errorf("more than %d components", most)
		}
		c = &played{address: l.Address}
		p.components[l.Address] = c
		p.order = append(p.order, l.Address)
	}
	c.signals, c.known, c.bounds, c.policy, c.probed = l.Begin.Signals, l.Begin.Watched, map[int][]float64{}, policy, nil
	c.known.Pasts, c.lasting = l.Begin.Pasts, !c.known.Fault.IsZero()
	switch {
	case c.fault != nil && !c.lasting: // it was resolved while nobody recorded
		p.close(c, at, true)
	case c.fault == nil && c.lasting:
		c.fault = &astern.ReplayFault{Address: c.address, Title: "noticed before the recording began", BeganAt: c.known.Fault, NoticedAt: c.known.Fault}
	}
	return nil
}

// follow does what the watch did with what it knew.
func (p *player) follow(c *played, did deedKind, at time.Time) {
	switch did {
	case didNotice:
		c.lasting = true
	case didSettle:
		c.known.Settle()
	case didAgain:
		c.known.Again(at)
		if c.mended == nil {
			c.mended = &at
		}
	case didOver:
		c.lasting, c.over = false, true
	}
}

// judge does at the end of a round what the watch does for one component.
func (p *player) judge(c *played, at time.Time) error {
	worse := slices.ContainsFunc(c.findings(), func(f watch.Finding) bool { return f.Verdict == watch.Worse })
	healthy, _ := c.known.Healthy(c.signals)
	defer func() { c.changed, c.over = false, false }()
	switch {
	case c.fault == nil && !c.over && worse && c.known.Fault.IsZero():
		p.notice(c, at)
	case c.over, c.fault != nil && !c.lasting && healthy && !c.unwell() && c.mended == nil && !c.known.Fault.IsZero():
		if c.fault != nil {
			c.count(at)
			p.close(c, at, true)
		}
		c.known.Over(at)
		return nil
	}
	if c.fault == nil {
		if c.lasting && c.changed {
			p.note(fmt.Sprintf("%s: the watch that recorded noticed a fault at %s which is not noticed now: it was of another version, or began to record later", c.address, clock(at)))
		}
		return nil
	}
	c.count(at)
	return p.decide(c, at)
}

// findings are those of the signals, and of the component's own checks where they are what is left.
func (c *played) findings() []watch.Finding {
	return append(c.known.Findings(c.signals), c.probed...)
}

// unwell reports whether something beside the signals is not known to be well.
func (c *played) unwell() bool {
	return slices.ContainsFunc(c.probed, func(f watch.Finding) bool { return f.Verdict != watch.NotWorse })
}

// notice begins a fault.
func (p *player) notice(c *played, at time.Time) {
	c.known.Noticed(at)
	s := watch.Situation{Address: c.address}
	if c.weighed != nil {
		s = *c.weighed
	}
	s.Now, s.Findings, s.Rules = at, c.findings(), watch.Rules{Act: astern.ActTell, Window: watch.Window(c.policy)}
	j := watch.Judge(s)
	c.fault = &astern.ReplayFault{Address: c.address, Title: j.Title, BeganAt: j.Began, NoticedAt: at, Cause: j.Cause, Blame: j.Blame}
	if c.weighed == nil {
		c.fault.Cause, c.fault.Blame = nil, "unknown: the recording does not say what had changed"
	}
	c.harm.curve.add(j.Began, 0)
}

// count adds what the fault has cost by now.
func (c *played) count(at time.Time) {
	cost := c.known.Cost()
	c.fault.Cost = cost
	if c.harm.unknown = cost.Unknown; cost.Unknown == "" {
		c.harm.curve.add(at, cost.Requests)
	}
}

// decide weighs the fault, as often as the watch does.
func (p *player) decide(c *played, at time.Time) error {
	f := c.fault
	if c.did || c.would != nil && !c.changed && at.Sub(c.weighing) < watch.WeighEvery {
		if c.changed && len(f.Decisions) < mostDecisions {
			f.Decisions = append(f.Decisions, astern.Rejudged{At: at, Was: c.was, Unknown: "it would have acted before"})
		}
		return nil
	}
	r := astern.Rejudged{At: at, Was: c.was}
	c.weighing = at
	if c.weighed == nil {
		if r.Unknown = "the recording does not say what else it rested on"; !c.changed {
			return nil
		}
		f.Decisions = append(f.Decisions, r)
		return nil
	}
	s := *c.weighed
	s.Now, s.Findings = at, c.findings()
	was := astern.Decision{}
	if c.was != nil {
		was = *c.was
	}
	v, err := judged(s, was, c.policy, p.by)
	if err != nil {
		return err
	}
	if !watch.Judge(s).Fault {
		return nil
	}
	again := c.would != nil && alike(*c.would, v.decision)
	if again && !c.changed {
		return nil
	}
	if !again {
		c.would = &v.decision
	}
	r.Would, r.Severity, r.Mode = c.would, v.ruled.Severity, v.ruled.Mode
	r.Same = c.was != nil && alike(*c.was, *c.would)
	if v.decision.Act == astern.ActAutomatic {
		c.did = true
		c.harm.would = &deed{at, c.seconds(v.decision)}
	}
	if len(f.Decisions) < mostDecisions {
		f.Decisions = append(f.Decisions, r)
	}
	return nil
}

// seconds is how long the way of a decision takes, as far as is known.
func (c *played) seconds(d astern.Decision) float64 {
	if c.weighed != nil {
		for _, w := range c.weighed.Ways {
			if w.Text == d.Way {
				return w.Seconds
			}
		}
	}
	return 0
}

// close ends a fault, which is over or lasts when the recording ends.
func (p *player) close(c *played, at time.Time, over bool) {
	f := c.fault
	c.harm.last, c.harm.ended = at, over
	if over {
		end := at
		f.Ended = "nothing was worse any more"
		if c.mended != nil {
			end, f.Ended = *c.mended, "something was done about it"
		}
		f.EndedAt, c.harm.last = &end, end
		c.harm.curve.end(end)
	}
	f.Saving = c.harm.saving()
	if f.Saving == nil {
		f.Saving = undecided(f.Decisions)
	}
	if len(p.out.Faults) < mostFaults {
		p.out.Faults = append(p.out.Faults, *f)
	} else {
		p.note(fmt.Sprintf("only the first %d faults are told", mostFaults))
	}
	c.fault, c.harm, c.mended, c.weighed, c.was, c.would, c.did = nil, harm{}, nil, nil, nil, nil, false
}

// undecided is said of decisions that differ though nobody acts by itself in either; nil when none does.
func undecided(all []astern.Rejudged) *astern.Saving {
	if slices.ContainsFunc(all, func(r astern.Rejudged) bool { return r.Was != nil && r.Would != nil && !r.Same }) {
		return &astern.Saving{Because: "unknown: a person acts in both, and how soon nobody knows"}
	}
	return nil
}
