package detect

import "math"

// alternatives is how many sizes of regression the exact lane bets on at once.
const alternatives = 7

// line is the edge of a null hypothesis: suspect rate <= (1+Slope) * reference rate + Offset.
type line struct{ slope, offset float64 }

func (l line) at(reference float64) float64 { return (1+l.slope)*reference + l.offset }

// trial is one interval as the lanes see it: events out of chances, on the reference and on the suspect. With one arm only
// (no control, or counts compared by share) chances of the reference are 0 and edge is the largest rate of the null.
type trial struct {
	nA, xA, nB, xB float64
	edge           float64
}

func (t trial) oneArm() bool { return t.nA == 0 }

// exact is the lane that is exact for independent requests: for each alternative the likelihood ratio of the alternative
// against its projection on the null (the reverse information projection), multiplied up over the intervals.
//
// One factor e^L has expectation at most 1 under each pair of rates in the null, so rates may drift as they like and the
// product is a supermartingale: with g the derivative of L at the projection, log E[e^L] <= sum n_i (p_i - s_i) g_i <= 0
// by first-order optimality of the projection on the convex null. After R. Turner, A. Ly, P. Grünwald, "Generic
// E-variables for exact sequential k-sample tests" (arXiv 2106.02693), and R. Turner, P. Grünwald, "Exact anytime-valid
// confidence intervals for contingency tables and beyond" (arXiv 2203.09785).
//
// A regression may begin later than the deployment: new stakes come in over time (the prior of see prior), after the
// mixture over change points of M. Pollak, "Optimal detection of a change in distribution", Ann. Statist. 13 (1985).
type exact struct {
	Wealth [alternatives]float64 `json:"wealth"`
	Near   [alternatives]float64 `json:"near"` // where the last projections were: where the search begins
	Staked float64               `json:"staked"`
}

// bet is one alternative: rates of reference and suspect that lie outside of the null.
type bet struct{ a, b float64 }

// step lets the wealth meet an interval. Stakes of size stake (of 1 in all) come in before it; L is divided by phi.
func (e *exact) step(t trial, bets *[alternatives]bet, null line, stake, phi float64) {
	e.Staked += stake
	for i := range bets {
		e.Wealth[i] += stake
		if l := e.ratio(i, t, bets[i], null); l != 0 {
			e.Wealth[i] = min(e.Wealth[i]*math.Exp(min(l/phi, 500)), 1e200)
		}
	}
}

// ratio is log likelihood of the bet against its projection.
func (e *exact) ratio(i int, t trial, b bet, null line) float64 {
	if t.oneArm() {
		if b.b <= t.edge || b.b >= 1 || t.edge <= 0 {
			return 0
		}
		return t.xB*math.Log(b.b/t.edge) + (t.nB-t.xB)*math.Log1p((t.edge-b.b)/(1-t.edge))
	}
	if b.b <= null.at(b.a) || b.b >= 1 || b.a <= 0 {
		return 0
	}
	s := project(b, t.nA/(t.nA+t.nB), null, e.Near[i])
	e.Near[i] = s
	q := null.at(s)
	return t.xA*math.Log(b.a/s) + (t.nA-t.xA)*math.Log1p((s-b.a)/(1-s)) +
		t.xB*math.Log(b.b/q) + (t.nB-t.xB)*math.Log1p((q-b.b)/(1-q))
}

// project returns the reference rate s of the point (s, null(s)) on the edge that is nearest to the bet by
// weight*KL(a||s) + (1-weight)*KL(b||null(s)), which is convex in s. Newton from near, kept inside of a bracket.
func project(b bet, weight float64, null line, near float64) float64 {
	k := 1 + null.slope
	low, high := b.a, (b.b-null.offset)/k
	s := near
	if s <= low || s >= high {
		s = weight*low + (1-weight)*high
	}
	for range 60 {
		q := null.at(s)
		us, uq := 1/(s*(1-s)), 1/(q*(1-q))
		slope := weight*(s-b.a)*us + (1-weight)*k*(q-b.b)*uq
		if slope > 0 {
			high = s
		} else {
			low = s
		}
		// The second derivatives of KL in its second argument, by s and q alone: (a(1-2s)+s*s)/(s(1-s))^2.
		bend := weight*(b.a*(1-2*s)+s*s)*us*us + (1-weight)*k*k*(b.b*(1-2*q)+q*q)*uq*uq
		next := s - slope/bend
		if next <= low || next >= high {
			next = (low + high) / 2
		}
		if math.Abs(next-s) <= 1e-13*s {
			return next
		}
		s = next
	}
	return s
}

// value is the e-value of the lane: the mean wealth of the alternatives and what has not been staked yet.
func (e *exact) value() float64 {
	sum := 0.0
	for _, w := range e.Wealth {
		sum += w
	}
	return sum/alternatives + max(0, 1-e.Staked)
}

// normal is the lane of the normal mixture: cheaper in wealth than the exact one where there are many events. After
// H. Robbins, "Statistical methods related to the law of the iterated logarithm", Ann. Math. Statist. 41 (1970), and
// S. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences",
// Ann. Statist. 49 (2021), section 3.
type normal struct {
	Sum      float64 `json:"sum"`
	Variance float64 `json:"variance"`
	Prior    float64 `json:"prior"` // rho: the variance at which the mixture is narrowest
	Events   float64 `json:"events"`
}

// fewEvents is below how many events the sum is not taken for normal: measured at one request a second, where the lane
// without this limit cried wolf in one day of a hundred.
const fewEvents = 20

// step adds an interval: rates a and b are the reference's and the largest of the null, from the past alone.
func (m *normal) step(t trial, a float64, null line, phi, priorSteps float64) {
	var diff, variance, h float64
	if t.oneArm() {
		h = t.nB
		diff, variance = t.xB/t.nB-t.edge, t.edge*(1-t.edge)/t.nB
	} else {
		h = 2 * t.nA * t.nB / (t.nA + t.nB)
		k, q := 1+null.slope, min(null.at(a), 0.5)
		diff, variance = t.xB/t.nB-null.at(t.xA/t.nA), k*k*a*(1-a)/t.nA+q*(1-q)/t.nB
	}
	v := phi * h * h * variance
	if m.Prior == 0 {
		m.Prior = v * priorSteps
	}
	m.Sum += h * diff
	m.Variance += v
	m.Events += t.xA + t.xB
}

// value is 2 (1+V/rho)^-1/2 exp(z^2/2) Phi(z) with z = S/sqrt(V+rho): the mixture over positive means.
func (m *normal) value() float64 {
	if m.Events < fewEvents || m.Prior <= 0 {
		return 0
	}
	z := m.Sum / math.Sqrt(m.Variance+m.Prior)
	return min(2*math.Exp(min(z*z/2+logPhi(z), 450)-0.5*math.Log1p(m.Variance/m.Prior)), 1e200)
}

// logPhi is the logarithm of the standard normal distribution function. Below -8 it is computed by the asymptotic series,
// because the function itself loses its digits and then exp(z^2/2) would turn them into alarms.
func logPhi(z float64) float64 {
	if z > -8 {
		return math.Log(0.5 * math.Erfc(-z/math.Sqrt2))
	}
	i := 1 / (z * z)
	return -z*z/2 - math.Log(-z*math.Sqrt(2*math.Pi)) + math.Log1p(-i*(1-i*(3-i*15)))
}
