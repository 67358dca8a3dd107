package app

import (
	"strings"
	"testing"

	"github.com/astern-dev/astern"
)

// TestLossAgainstTheObjective: what going back loses is held against what may be lost; what can't be compared is unknown, and is no pass.
func TestLossAgainstTheObjective(t *testing.T) {
	nothing, minute := int64(0), int64(60)
	for _, c := range []struct {
		rpo     *int64
		loss    astern.Loss
		verdict astern.Verdict
		says    string
	}{
		{nil, astern.Loss{Unit: "rows", Count: 5}, astern.Pass, ""},
		{&nothing, astern.Loss{Unit: "rows"}, astern.Pass, ""},
		{&nothing, astern.Loss{Unit: "rows", Count: 5}, astern.Fail, "going back loses 5 rows, the objective is that nothing is lost"},
		{&nothing, astern.Loss{Unit: "seconds", Unknown: "the log can't be read"}, astern.Unknown, "unknown (the log can't be read)"},
		{&minute, astern.Loss{Unit: "seconds", Count: 60}, astern.Pass, ""},
		{&minute, astern.Loss{Unit: "seconds", Count: 61}, astern.Fail, "going back loses 61 seconds, the objective is 60 s of writes"},
		{&minute, astern.Loss{Unit: "rows", Count: 5}, astern.Unknown, "how many seconds of writes that is can't be told"},
	} {
		checked := Checked{ComponentTargets: ComponentTargets{Component: astern.Component{Objectives: astern.Objectives{RPOSeconds: c.rpo}}}, Verdict: astern.Pass, Back: astern.Target{Loss: []astern.Loss{c.loss}}}
		checked.judgeLoss()
		if checked.Verdict != c.verdict || !strings.Contains(strings.Join(checked.Findings, "; "), c.says) || c.says == "" && len(checked.Findings) > 0 {
			t.Errorf("%+v: %s, %q", c.loss, checked.Verdict, checked.Findings)
		}
	}
}
