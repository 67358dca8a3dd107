package detect

import "math"

// onset finds since when the new revision is worse: for each alternative the running maximum of its evidence (Page's
// CUSUM), with what had been counted when it last stood at nothing. It explains a verdict and makes none.
type onset struct {
	Score [alternatives]float64 `json:"score"`
	Since [alternatives]float64 `json:"since_seconds"` // after the deployment
	From  [alternatives]trial6  `json:"from"`
}

func (o *onset) step(before, after *[alternatives]float64, stake, elapsed float64, totals trial6) {
	for i := range o.Score {
		if o.Score[i] <= 0 {
			o.Score[i], o.Since[i], o.From[i] = 0, max(elapsed, 0), totals
		}
		if staked := before[i] + stake; staked > 0 && after[i] > 0 {
			o.Score[i] += math.Log(after[i] / staked)
		}
	}
}

// best returns since when, and what had been counted then.
func (o *onset) best() (seconds float64, from trial6) {
	b := 0
	for i, s := range o.Score {
		if s > o.Score[b] {
			b = i
		}
	}
	return o.Since[b], o.From[b]
}

// running is the difference between the revisions with bounds that hold at all times at once: the confidence sequence of
// the two-sided normal mixture (Robbins; Howard et al. 2021, equation 14), its variance multiplied by phi.
type running struct {
	Weight   float64 `json:"weight"`
	Sum      float64 `json:"sum"`
	Variance float64 `json:"variance"`
	Prior    float64 `json:"prior"`
	NewN     float64 `json:"new_n"`
	NewX     float64 `json:"new_x"`
}

// bound adds an interval. The difference is the suspect's rate less (1+slope) times the reference's, slope of the target,
// so that "upper bound below the target's offset" means: not worse by what matters.
func (j *Judge) bound(p pair, phi float64) {
	r := &j.Range
	usual := j.UsualX / j.UsualN
	other := (r.NewX + 100*usual) / (r.NewN + 100) // the new revision's rate, known before this interval
	var h, diff, variance float64
	switch {
	case j.Rule.form() == formCount:
		n, share := p.oldN+p.newN, p.share(0)
		h, diff, variance = n, p.oldN/n-share, share*(1-share)/n
	case j.Alone:
		// The past's own error is added when the bounds are read.
		h, diff, variance = p.newN, p.newX/p.newN-j.Past.Rate, math.Max(other*(1-other), 1e-6)/p.newN
	default:
		t, k := j.Rule.orient(p), 1+j.Rule.target().slope
		h = 2 * t.nA * t.nB / (t.nA + t.nB)
		diff = t.xB/t.nB - k*t.xA/t.nA
		variance = usual*(1-usual)/p.oldN + other*(1-other)/p.newN
		variance *= k * k
	}
	v := phi * h * h * variance
	if r.Prior == 0 {
		r.Prior = v * priorSteps
	}
	r.Weight, r.Sum, r.Variance = r.Weight+h, r.Sum+h*diff, r.Variance+v
	r.NewN, r.NewX = r.NewN+p.newN, r.NewX+p.newX
}

// bounds returns the mean difference since the deployment and its bounds.
func (r *running) bounds(few float64) (effect, low, high float64) {
	if r.Weight == 0 || r.Prior == 0 {
		return 0, -1, 1
	}
	// A few events more, as the variance is an estimate: without any event it would be none.
	sum := r.Variance + r.Prior
	half := (math.Sqrt(sum*math.Log(sum/(r.Prior*boundsLevel*boundsLevel))) + few) / r.Weight
	effect = r.Sum / r.Weight
	return effect, effect - half, effect + half
}
