package main

import (
	"fmt"
	"testing"

	"github.com/astern-dev/astern/internal/proof"
)

// Two thousand healthy deployments, watched for 24 hours each with the noise that the figures are stated for, at traffic
// from 1 to 10,000 requests a second by turns: at most 3 may be called worse (proof "false-alarms"). The share of a plain
// test run allows none: that one of ten alarms by the stated level has a chance of one in a hundred.
func TestFalseAlarms(t *testing.T) {
	first, count := proof.Seeds(t, 10)
	figures := map[string]float64{}
	for seed := first; seed < first+count; seed++ {
		rps := traffic[seed%uint64(len(traffic))]
		w, err := watch(service{rps, 0.005, 0.5, real()}, seed, 0, 86400, nil)
		if err != nil {
			t.Fatal(err)
		}
		figures[fmt.Sprintf("watches_at_%.0f_per_second", rps)]++
		figures["max_e_value"] = max(figures["max_e_value"], w.most)
		if w.decided > 0 {
			figures[fmt.Sprintf("false_alarms_at_%.0f_per_second", rps)]++
			figures["false_alarms"]++
			t.Logf("seed %d, %.0f requests a second: %s", seed, rps, w.sentence)
		} else {
			figures["false_alarms"] += 0
		}
	}
	proof.Figures(t, figures)
	if allowed := max(0, 3*float64(count)/2000); count == 2000 && figures["false_alarms"] > 3 || count < 2000 && figures["false_alarms"] > max(1, allowed) {
		t.Errorf("%v of %d healthy deployments were called worse", figures["false_alarms"], count)
	}
}
