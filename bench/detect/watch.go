package main

import (
	"math"

	astern "github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/detect"
	"github.com/astern-dev/astern/internal/watch"
)

// shipped is the level that the comparison beside a control has in astern watch.
const shipped = watch.FirstShare * detect.DefaultLevel

// traffic is the requests a second of the cells, of both groups together, and sizes the regressions, in share of requests.
var (
	traffic = []float64{1, 10, 100, 1000, 10_000}
	sizes   = []float64{0.005, 0.01, 0.02, 0.05, 0.2}
)

// watched is one deployment and what was said of it.
type watched struct {
	decided  float64 // seconds after the deployment; 0 is never
	most     float64 // the largest e-value
	sentence string
}

// judged makes a deployment whose second group is worse by a share of requests, and watches it for some seconds. Each meter
// is shown every sample. With a regression it ends at the decision when there are no meters.
func judged(s service, seed uint64, worse, seconds float64, meters func(at float64, one astern.Sample, value float64)) (watched, error) {
	rule := detect.Rule{Name: "errors", Kind: astern.SignalErrors, Margin: margin}
	world := newStream(s, seed)
	past := detect.Measure(rule, world.past(detect.PastSeconds))
	judge, err := detect.New(rule, past, world.now(), shipped, false)
	if err != nil {
		return watched{}, err
	}
	world.worse = worse
	var w watched
	for at := float64(tick); at <= seconds; at += tick {
		one := world.next()
		if judge.Feed(one) && w.decided == 0 {
			w.decided, w.sentence = at, judge.Verdict().Sentence
		}
		value := judge.Value()
		w.most = math.Max(w.most, value)
		if meters != nil {
			meters(at, one, value)
		} else if worse > 0 && w.decided > 0 {
			break
		}
	}
	return w, nil
}
