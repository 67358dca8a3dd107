package main

import (
	"math"
	"math/rand/v2"
)

// poisson draws from the Poisson distribution: multiplication for small means, else W. Hörmann's transformed rejection with
// squeeze (PTRS, "The transformed rejection method for generating Poisson random variables", Insurance: Mathematics and
// Economics 12, 1993).
func poisson(r *rand.Rand, mean float64) float64 {
	if mean <= 0 {
		return 0
	}
	if mean < 10 {
		limit, product, k := math.Exp(-mean), r.Float64(), 0.0
		for product > limit {
			product *= r.Float64()
			k++
		}
		return k
	}
	b := 0.931 + 2.53*math.Sqrt(mean)
	a := -0.059 + 0.02483*b
	inverse := 1.1239 + 1.1328/(b-3.4)
	squeeze := 0.9277 - 3.6224/(b-2)
	for {
		u, v := r.Float64()-0.5, r.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + mean + 0.43)
		if us >= 0.07 && v <= squeeze {
			return k
		}
		if k < 0 || us < 0.013 && v > us {
			continue
		}
		factorial, _ := math.Lgamma(k + 1)
		if math.Log(v*inverse/(a/(us*us)+b)) <= k*math.Log(mean)-mean-factorial {
			return k
		}
	}
}

// binomial draws from the binomial distribution: inversion for few events, else Hörmann's BTRS ("The generation of binomial
// random variates", J. Stat. Comput. Simul. 46, 1993).
func binomial(r *rand.Rand, n, p float64) float64 {
	if n <= 0 || p <= 0 {
		return 0
	}
	if p >= 1 {
		return n
	}
	if p > 0.5 {
		return n - binomial(r, n, 1-p)
	}
	if n*p < 10 {
		odds := p / (1 - p)
		mass, k, u := math.Exp(n*math.Log1p(-p)), 0.0, r.Float64()
		for u > mass && k < n {
			u -= mass
			k++
			mass *= odds * (n - k + 1) / k
		}
		return k
	}
	spread := math.Sqrt(n * p * (1 - p))
	b := 1.15 + 2.53*spread
	a := -0.0873 + 0.0248*b + 0.01*p
	c := n*p + 0.5
	squeeze := 0.92 - 4.2/b
	alpha := (2.83 + 5.1/b) * spread
	mode := math.Floor((n + 1) * p)
	lm, _ := math.Lgamma(mode + 1)
	ln, _ := math.Lgamma(n - mode + 1)
	logOdds := math.Log(p / (1 - p))
	for {
		u, v := r.Float64()-0.5, r.Float64()
		us := 0.5 - math.Abs(u)
		k := math.Floor((2*a/us+b)*u + c)
		if us >= 0.07 && v <= squeeze {
			return k
		}
		if k < 0 || k > n {
			continue
		}
		lk, _ := math.Lgamma(k + 1)
		lnk, _ := math.Lgamma(n - k + 1)
		if math.Log(v*alpha/(a/(us*us)+b)) <= lm+ln-lk-lnk+(k-mode)*logOdds {
			return k
		}
	}
}

// gamma draws from the gamma distribution of shape >= 1 and scale 1 (G. Marsaglia, W. Tsang, "A simple method for
// generating gamma variables", ACM TOMS 26, 2000).
func gamma(r *rand.Rand, shape float64) float64 {
	d := shape - 1.0/3
	c := 1 / math.Sqrt(9*d)
	for {
		x := r.NormFloat64()
		v := 1 + c*x
		if v <= 0 {
			continue
		}
		v = v * v * v
		u := r.Float64()
		if u < 1-0.0331*x*x*x*x || math.Log(u) < 0.5*x*x+d*(1-v+math.Log(v)) {
			return d * v
		}
	}
}
