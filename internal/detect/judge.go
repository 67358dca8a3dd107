package detect

import (
	"math"
	"time"

	astern "github.com/astern-dev/astern"
)

// What the judge is tuned with; bench/detect shows what each is worth.
const (
	halfLife    = 1800.0 // seconds: how fast the old rate that the bets rest on is forgotten
	recentTime  = 30.0   // seconds: what the guard calls now
	guardExcess = 5.0    // events above the usual before the guard believes in an incident
	guardSlope  = 1.0    // the null's relative part while an incident lasts
	priorSteps  = 10.0   // intervals after which the normal mixture is narrowest
	stakeAtOnce = 0.75   // of the stakes at the deployment; the rest comes in later, for later changes
	exactWeight = 0.5    // of the exact lane in the mean of the lanes
	unmeasured  = 10.0   // overdispersion where the past could not be measured
	boundsLevel = 0.05   // the bounds over time hold with 95 %
)

// Judge watches one signal after a deployment. It is plain data: stored as JSON after any sample and read again, it goes on
// with the same verdicts. The zero value is no judge; use New.
type Judge struct {
	Rule  Rule    `json:"rule"`
	Past  Past    `json:"past"`
	Level float64 `json:"level"` // the largest probability of a false alarm
	Alone bool    `json:"alone"` // there is no control: the past is the baseline

	Begin   time.Time `json:"begin"`
	Last    time.Time `json:"last"`              // the end of the last sample, usable or not
	Counted time.Time `json:"counted"`           // the end of the last sample that was evidence
	Missing string    `json:"missing,omitempty"` // why the last sample was none
	Seconds float64   `json:"seconds"`           // of evidence
	Lost    float64   `json:"lost_seconds"`      // of samples that were none
	Ignored int       `json:"ignored"`           // samples that came twice, late or turned around

	Totals        trial6  `json:"totals"`
	Exact         exact   `json:"exact"`
	Normal        normal  `json:"normal"`
	Onset         onset   `json:"onset"`
	Range         running `json:"range"`
	UsualN        float64 `json:"usual_n"` // chances and events of the baseline, fading with halfLife
	UsualX        float64 `json:"usual_x"`
	RecentN       float64 `json:"recent_n"` // the same, fading with recentTime
	RecentX       float64 `json:"recent_x"`
	RecentNew     float64 `json:"recent_new"` // chances of the new revision, and seconds, fading alike
	RecentSeconds float64 `json:"recent_seconds"`

	Decided time.Time `json:"decided"` // when it found the new revision worse
}

// trial6 is counts of both groups as they were counted, not turned for the lanes, and how many seconds of them.
type trial6 struct {
	OldN    float64 `json:"old_n"`
	OldX    float64 `json:"old_x"`
	NewN    float64 `json:"new_n"`
	NewX    float64 `json:"new_x"`
	Share   float64 `json:"share"` // chances of both, times the new group's part by members
	Seconds float64 `json:"seconds"`
}

// New returns a judge of a signal from the moment of the deployment on. Level is the probability of a false alarm that the
// user allows, DefaultLevel when 0. Alone says that there will be no control. Errors (refused): the past has a problem; a
// count without a control, whose daily rhythm nothing could tell from a fault.
func New(r Rule, p Past, begin time.Time, level float64, alone bool) (*Judge, error) {
	if level == 0 {
		level = DefaultLevel
	}
	if !(level > 0 && level < 1) {
		return nil, astern.Errorf(astern.Invalid, "judging %q: a false-alarm probability of %v", r.Name, level)
	}
	if p.Problem != "" {
		return nil, astern.Errorf(astern.Refused, "judging %q: %s", r.Name, p.Problem)
	}
	if alone && r.form() == formCount {
		return nil, astern.Errorf(astern.Refused, "judging %q: a count can't be judged without members on the old revision beside it", r.Name).
			WithHint("deploy in stages, so that a control stays; or give the metric its attempts, so that it is a share")
	}
	if alone && p.Chances == 0 {
		return nil, astern.Errorf(astern.Refused, "judging %q: neither a control nor a past to compare with", r.Name)
	}
	j := &Judge{Rule: r, Past: p, Level: level, Alone: alone, Begin: begin, Last: begin}
	if p.Chances > 0 { // as much of the past as the fading memory would hold
		memory := p.Chances * math.Min(1, halfLife/math.Ln2/math.Max(p.Seconds, 1))
		j.UsualN, j.UsualX = memory, memory*p.Rate
	}
	// Without these a first interval without an event would make every event impossible.
	j.UsualN, j.UsualX = j.UsualN+200, j.UsualX+0.4
	return j, nil
}

// phi is the overdispersion that the lanes are tempered by in the next interval. Rates that drift apart by a share of
// themselves make a variance that grows with the square of the events, where chance makes one that grows with their number:
// what was measured in a quiet night would cry wolf at noon. So that part grows with the events expected now over those of
// the past; it never shrinks. Measured with noise real at 1,000 requests a second: without, 5 false alarms in 400 days.
func (j *Judge) phi() float64 {
	p := j.Past
	if p.Phi <= 0 {
		return unmeasured
	}
	if p.Density <= 0 || j.RecentSeconds <= 0 {
		return p.Phi
	}
	rate := j.UsualX / j.UsualN
	h := harmonic(j.RecentN, j.RecentNew)
	if j.Alone {
		h = j.RecentNew / 2
	} else if j.guarded() {
		rate = j.RecentX / j.RecentN
	}
	now := perChance(j.Rule, rate) * h / j.RecentSeconds
	return p.PhiLeast + (p.Phi-p.PhiLeast)*math.Max(1, now/p.Density)
}

// Feed shows the judge the next sample and returns whether the new revision is now known to be worse. A sample that is no
// evidence changes nothing but what is said of missing data.
func (j *Judge) Feed(s astern.Sample) bool {
	if why := inOrder(s, j.Last); why != "" {
		j.Ignored++
		return j.Worse()
	}
	took := s.To.Sub(s.From).Seconds()
	j.Last = s.To
	p, why := j.Rule.read(s, j.Past.Low, j.Past.High, j.Alone)
	if why != "" {
		j.Missing, j.Lost = why, j.Lost+took
		return j.Worse()
	}
	j.Missing, j.Counted = "", s.To
	j.Seconds += took
	since := s.To.Sub(j.Begin)
	j.learn(p, took, since.Seconds())
	if !j.Worse() && j.Value() >= 1/j.Level {
		j.Decided = s.To
	}
	return j.Worse()
}

// learn lets lanes, bounds and memory meet one interval. Lanes see only what was known before it.
func (j *Judge) learn(p pair, took, elapsed float64) {
	null, usual := j.now()
	t := j.Rule.orient(p)
	var bets [alternatives]bet
	switch {
	case j.Alone:
		t = j.alone(p)
		for i, k := range [alternatives]float64{0.1, 0.25, 0.5, 1, 2, 4, 10} {
			bets[i] = bet{b: math.Min(t.edge*(1+k)+0.2*k*j.Rule.Margin, 0.98)}
		}
	case j.Rule.form() == formCount:
		for i, drop := range j.Rule.drops() {
			bets[i] = bet{b: p.share(drop)}
		}
	default:
		bets = j.Rule.bets(usual, null)
	}
	phi := j.phi()
	before := j.Exact.Wealth
	stake := staked(elapsed) - j.Exact.Staked
	j.Exact.step(t, &bets, null, stake, phi)
	j.Onset.step(&before, &j.Exact.Wealth, stake, elapsed-took, j.Totals)
	reference := usual
	if j.Rule.form() == formYield {
		reference = usual / (1 + null.slope)
	}
	j.Normal.step(t, reference, null, phi, priorSteps)
	j.bound(p, phi)
	j.remember(p, took)
}

// staked is how much of the stakes has come in after that many seconds: some at once, for what is wrong from the beginning,
// the rest as 1/((m+1)(m+2)) in minute m.
func staked(elapsed float64) float64 {
	return stakeAtOnce + (1-stakeAtOnce)*(1-1/(1+math.Max(elapsed, 0)/60))
}

// now returns the null's line and the old rate that the bets rest on, from the past alone: the usual ones, or while an
// incident hits the old revision too its present rate, with a null that lets incidents hit unevenly.
func (j *Judge) now() (line, float64) {
	null := j.Rule.edge()
	usual := j.UsualX / j.UsualN
	if j.guarded() {
		return line{guardSlope, null.offset}, math.Min(j.RecentX/j.RecentN, 0.45)
	}
	if j.Rule.form() == formYield {
		return null, math.Max(1-usual, 0.001)
	}
	return null, math.Min(usual, 0.5)
}

// guarded says whether the control is in an incident of its own right now.
func (j *Judge) guarded() bool {
	f := j.Rule.form()
	return !j.Alone && (f == formErrors || f == formSlower) && incident(j.RecentN, j.RecentX, j.UsualX/j.UsualN, guardExcess)
}

func (j *Judge) remember(p pair, took float64) {
	j.Totals.OldN, j.Totals.OldX = j.Totals.OldN+p.oldN, j.Totals.OldX+p.oldX
	j.Totals.NewN, j.Totals.NewX = j.Totals.NewN+p.newN, j.Totals.NewX+p.newX
	j.Totals.Seconds += took
	if j.Rule.form() == formCount {
		j.Totals.Share += (p.oldN + p.newN) * (1 - p.share(0))
	}
	fade := math.Exp(-took / recentTime)
	j.RecentN, j.RecentX = j.RecentN*fade+p.oldN, j.RecentX*fade+p.oldX
	j.RecentNew, j.RecentSeconds = j.RecentNew*fade+p.newN, j.RecentSeconds*fade+took
	if j.Alone { // the baseline is the past, and nothing that comes after may move it
		return
	}
	fade = math.Exp2(-took / halfLife)
	j.UsualN, j.UsualX = j.UsualN*fade+p.oldN, j.UsualX*fade+p.oldX
}

// alone turns the candidate's counts into a trial against the past.
func (j *Judge) alone(p pair) trial {
	return trial{nB: p.newN, xB: p.newX, edge: j.edgeAlone()}
}

// edgeAlone is the largest rate that counts as healthy without a control: the upper bound of the past's rate with the
// margin's part that belongs to the null, or the worst that the service's own past shows, whichever is more.
func (j *Judge) edgeAlone() float64 {
	past := j.Past
	// 3.72 standard errors and a little for few events: the past's own rate is above it once in 10,000.
	upper := past.Rate + 3.72*math.Sqrt(j.phi()*past.Rate*(1-past.Rate)/past.Chances) + 3.72*3.72*j.phi()/past.Chances
	null := line{edgeRelative, edgeOfErrors * j.Rule.Margin}
	switch j.Rule.form() {
	case formYield:
		null = line{0, edgeOfOthers * j.Rule.Margin}
	case formSlower:
		null = line{edgeRelative, 0}
	}
	return math.Min(math.Max(null.at(upper), null.at(past.Worst)), 0.95)
}

// Count returns what is bad of a sample's candidate, as Past counts it: failures of all requests, requests above Past.Low of all, what
// was lost of all attempts. ok is false where it can't be counted, and for what is compared by member.
func (j *Judge) Count(s astern.Sample) (events, chances float64, ok bool) {
	if j.Rule.form() == formCount {
		return 0, 0, false
	}
	p, why := j.Rule.read(s, j.Past.Low, j.Past.Low, true)
	return p.newX, p.newN, why == ""
}

// Value is the e-value: the mean of the lanes. Under the null it exceeds 1/level at any time with probability level at most
// (Ville's inequality), as far as the lanes' assumptions hold.
func (j *Judge) Value() float64 {
	v := exactWeight*j.Exact.value() + (1-exactWeight)*j.Normal.value()
	if j.Alone {
		v *= 0.9 // a tenth of the level pays for the baseline being an estimate
	}
	return v
}

// Worse says whether the new revision was found worse. That stays so.
func (j *Judge) Worse() bool { return !j.Decided.IsZero() }
