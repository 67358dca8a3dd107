package main

import (
	"fmt"
	"testing"

	astern "github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/detect"
)

func TestDbg(t *testing.T) {
	rule := detect.Rule{Name: "e", Kind: astern.SignalErrors, Margin: 0.005}
	for _, rps := range []float64{1000, 10000} {
		for i := 0; i < 400; i++ {
			s := newStream(service{rps, 0.005, 0.5, real()}, uint64(i)+uint64(rps)*1000)
			inc0 := 0
			_ = inc0
			past := detect.Measure(rule, s.past(3600))
			j, _ := detect.New(rule, past, s.now(), 0, false)
			lastInc := -1.0
			prevV := 0.0
			for e := 5.0; e <= 86400; e += 5 {
				sm := s.next()
				if s.incidentLeft > 0 {
					lastInc = e
				}
				prevE, prevN := j.Exact.Wealth, j.Normal
				if j.Feed(sm) {
					fmt.Printf("rps %v seed %d phi %.1f@%.0f rate %.4f at %.0f lastinc %.0f ago, hostA %.2f hostB %.2f own %.2f %.2f uneven %.2f %.2f prevV %.3g V %.3g exact %.3g normal was %.3g  %v\n", rps, i, past.Phi, past.PhiSeconds, past.Rate, e, e-lastInc, s.arm[0].host, s.arm[1].host, s.arm[0].own, s.arm[1].own, s.arm[0].uneven, s.arm[1].uneven, prevV, j.Value(), prevE, prevN, sm.Control)
					fmt.Println(j.Verdict().Sentence)
					break
				}
				prevV = j.Value()
			}
		}
	}
}
