// Package detect judges whether a new revision is worse than the one before it, from counts of both at the same time, and
// may be asked after every sample, for as long as one likes, without crying wolf more often than was allowed.
//
// # How it decides
//
// Each sample is a small bet against the hypothesis that the new revision is healthy. A bet is made so that it can't be
// expected to win while that is true, so the wealth of who bets (the e-value) exceeds 1/level at any time with probability
// level at most (J. Ville, "Étude critique de la notion de collectif", 1939; A. Ramdas, P. Grünwald, V. Vovk, G. Shafer,
// "Game-theoretic statistics and safe anytime-valid inference", Statist. Sci. 38, 2023). Two ways to bet are averaged: lane.go.
//
// That alone is exact for requests that are independent of each other, and those of real services are not: such tests, with
// level 0.1 %, cried wolf in 18 to 72 of 100 healthy days. Four things mend that, and none can be left out:
//
//   - healthy is not "equal": the null's edge lies between equal and what matters to the user (Rule, edge);
//   - every bet is weakened by the overdispersion phi, measured between two groups of the old revision before the deployment,
//     over blocks of up to five minutes (Measure), and scaled to the events expected now (Judge.phi);
//   - while the old revision itself is in trouble, the null is widened, as incidents never hit evenly (Judge.now);
//   - what is no data changes nothing, and never is health (Judge.Feed).
//
// The guarantee therefore is exact for independent requests, and approximate under noise that the groups had before the
// deployment too. It is gone if they begin to drift apart more, or more slowly, than they did in that past: a lasting
// difference between hosts counts as a regression. Without a control (New, alone) it is much weaker, and Verdict.Guarantee
// says by how much.
//
// # Reading order
//
// rule.go (what matters), sample.go (samples to counts), past.go and bounds.go (before the deployment), lane.go (the bets),
// judge.go (one signal), range.go (bounds for the graph), verdict.go (the words), panel.go (several signals), calibrate.go
// (a level from the quiet past).
package detect
