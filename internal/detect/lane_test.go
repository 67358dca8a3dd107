package detect

import (
	"math"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
	"pgregory.net/rapid"
)

// Under each pair of rates of the null one factor of the exact lane has expectation at most 1. All outcomes of small
// groups are enumerated, so this is no simulation.
func TestExactLaneIsASupermartingale(t *testing.T) {
	most := 0.0
	for _, null := range []line{{0.1, 0.001}, {0, 0}, {1, 0.001}, {1/(1-0.04) - 1, 0}, {0.25, 0.0025}} {
		for _, n := range [][2]float64{{1, 1}, {2, 5}, {7, 3}, {12, 12}, {1, 20}} {
			for _, b := range []bet{{0.005, 0.02}, {0.05, 0.3}, {0.3, 0.9}, {0.8, 0.97}, {0.01, 0.5}} {
				if b.b <= null.at(b.a) {
					continue
				}
				for p := 0.0; p <= 1; p += 0.05 {
					for _, q := range []float64{null.at(p), null.at(p) * 0.9, null.at(p) / 2, 0} {
						if q > 1 {
							continue
						}
						most = max(most, expectation(null, b, n, p, q, 1))
						if e := expectation(null, b, n, p, q, 1); e > 1+1e-9 {
							t.Fatalf("null %v, groups %v, bet %v, rates %v and %v: the factor's expectation is %v", null, n, b, p, q, e)
						}
						// Tempering only makes it smaller, by Jensen's inequality.
						if e := expectation(null, b, n, p, q, 3.7); e > 1+1e-9 {
							t.Fatalf("tempered: %v", e)
						}
					}
				}
			}
		}
	}
	if most < 0.999 {
		t.Errorf("the largest expectation is %v: the bets give wealth away", most)
	}
}

func expectation(null line, b bet, n [2]float64, p, q, phi float64) float64 {
	var lane exact
	sum := 0.0
	for x := 0.0; x <= n[0]; x++ {
		for y := 0.0; y <= n[1]; y++ {
			chance := distuv.Binomial{N: n[0], P: p}.Prob(x) * distuv.Binomial{N: n[1], P: q}.Prob(y)
			if p == 0 {
				chance = map[bool]float64{true: 1}[x == 0] * distuv.Binomial{N: n[1], P: q}.Prob(y)
			}
			if q == 0 {
				chance = distuv.Binomial{N: n[0], P: p}.Prob(x) * map[bool]float64{true: 1}[y == 0]
			}
			if p == 0 && q == 0 {
				chance = map[bool]float64{true: 1}[x == 0 && y == 0]
			}
			if math.IsNaN(chance) {
				continue // rates of 0 or 1, which the library has no logarithm for
			}
			sum += chance * math.Exp(lane.ratio(0, trial{nA: n[0], xA: x, nB: n[1], xB: y}, b, null)/phi)
		}
	}
	return sum
}

// The same for one group against a known edge.
func TestOneArmIsASupermartingale(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		edge := rapid.Float64Range(0.001, 0.9).Draw(t, "edge")
		b := rapid.Float64Range(edge, 0.99).Draw(t, "bet")
		p := edge * rapid.Float64Range(0.01, 1).Draw(t, "rate")
		n := float64(rapid.IntRange(1, 40).Draw(t, "n"))
		var lane exact
		sum := 0.0
		for x := 0.0; x <= n; x++ {
			sum += distuv.Binomial{N: n, P: p}.Prob(x) * math.Exp(lane.ratio(0, trial{nB: n, xB: x, edge: edge}, bet{b: b}, line{}))
		}
		if sum > 1+1e-9 {
			t.Fatalf("expectation %v", sum)
		}
	})
}

// The projection is the minimum, wherever the search begins.
func TestProjectionIsTheNearestPoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		null := line{rapid.Float64Range(0, 1).Draw(t, "slope"), rapid.Float64Range(0, 0.01).Draw(t, "offset")}
		a := rapid.Float64Range(1e-5, 0.4).Draw(t, "a")
		least := null.at(a)
		b := bet{a, least + (0.99-least)*rapid.Float64Range(0.001, 1).Draw(t, "excess")}
		w := rapid.Float64Range(0.01, 0.99).Draw(t, "weight")
		s := project(b, w, null, rapid.Float64Range(0, 1).Draw(t, "near"))
		distance := func(s float64) float64 { return w*divergence(a, s) + (1-w)*divergence(b.b, null.at(s)) }
		for _, other := range []float64{s * 0.999, s * 1.001} {
			if other > a && null.at(other) < b.b && distance(other) < distance(s)-1e-12 {
				t.Fatalf("%v is nearer than %v", other, s)
			}
		}
	})
}

// The mixture agrees with the integral that it is the closed form of, and far below zero does not overflow into an alarm.
func TestNormalMixture(t *testing.T) {
	for _, c := range []normal{{Sum: 3, Variance: 4, Prior: 2, Events: 99}, {Sum: -5, Variance: 9, Prior: 1, Events: 99}, {Sum: 12, Variance: 7, Prior: 30, Events: 99}} {
		want, step := 0.0, 1e-4
		for l := step / 2; l < 30; l += step { // 2 N(0, 1/rho) over positive slopes
			want += 2 * distuv.Normal{Sigma: 1 / math.Sqrt(c.Prior)}.Prob(l) * math.Exp(l*c.Sum-l*l*c.Variance/2) * step
		}
		if got := c.value(); math.Abs(got-want) > 1e-3*want {
			t.Errorf("%+v: %v, the integral is %v", c, got, want)
		}
	}
	if far := (&normal{Sum: -1e9, Variance: 100, Prior: 1, Events: 99}); !(far.value() < 1e-3) {
		t.Errorf("far on the healthy side: %v", far.value())
	}
	for z := -40.0; z < 8; z += 0.37 {
		want := math.Log(distuv.UnitNormal.CDF(z))
		if z > -36 && math.Abs(logPhi(z)-want) > 2e-4*math.Abs(want)+1e-9 {
			t.Errorf("log Phi(%v) = %v, want %v", z, logPhi(z), want)
		}
	}
}

// The stakes come to no more than the capital.
func TestStakes(t *testing.T) {
	last := 0.0
	for s := 0.0; s < 1e7; s = s*1.3 + 1 {
		if now := staked(s); now < last || now > 1 {
			t.Fatalf("after %v s %v is staked, before %v", s, now, last)
		} else {
			last = now
		}
	}
}

func TestClopperPearson(t *testing.T) {
	for _, c := range [][2]int{{0, 10}, {1, 30}, {3, 2000}, {9, 20}} {
		want := distuv.Beta{Alpha: float64(c[0] + 1), Beta: float64(c[1] - c[0])}.Quantile(0.95)
		if got := clopperPearson(c[0], c[1], 0.05); math.Abs(got-want) > 1e-6 {
			t.Errorf("%v: %v, want %v", c, got, want)
		}
	}
}
