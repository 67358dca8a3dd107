package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"

	astern "github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/detect"
)

// recording is what record.go wrote down of two real servers under load, a line a second: the same revision on both for
// recordedQuiet seconds, the first recordedPast of them before the deployment that is judged, and then a worse one on the second.
//
//go:embed testdata/recorded.jsonl
var recording []byte

const (
	recordedPast  = 180
	recordedQuiet = 240
)

func recorded() ([]astern.Sample, error) {
	var all []astern.Sample
	for lines := json.NewDecoder(bytes.NewReader(recording)); lines.More(); {
		var s astern.Sample
		if err := lines.Decode(&s); err != nil {
			return nil, fmt.Errorf("reading the recording: %w", err)
		}
		all = append(all, s)
	}
	return all, nil
}

// recordedPanel is what judges the recording, as astern watch would: errors and latency, beside a control.
func recordedPanel(all []astern.Sample) (*detect.Panel, error) {
	var judges []*detect.Judge
	for _, rule := range []detect.Rule{{Name: "errors", Kind: astern.SignalErrors, Margin: margin}, {Name: "p90", Kind: astern.SignalLatency, Margin: 0.25, Quantile: 0.9}} {
		j, err := detect.New(rule, detect.Measure(rule, all[:recordedPast]), all[recordedPast].From, 0, false)
		if err != nil {
			return nil, err
		}
		judges = append(judges, j)
	}
	return detect.NewPanel(shipped, judges...)
}

// onRecording is when one way to decide did so on the recording, in seconds after the release went bad: negative is for nothing, before.
type onRecording struct {
	name    string
	decided float64
	never   bool
}

// judgeRecording shows the recording to the judge, second by second, and to the rivals as documented, who see the errors in
// intervals of five seconds as on the other streams.
func judgeRecording() ([]onRecording, error) {
	all, err := recorded()
	if err != nil {
		return nil, err
	}
	panel, err := recordedPanel(all)
	if err != nil {
		return nil, err
	}
	bad := all[recordedQuiet].From
	for _, s := range all[recordedPast:] {
		for _, j := range panel.Judges {
			if _, err := panel.Feed(j.Rule.Name, s); err != nil {
				return nil, err
			}
		}
	}
	out := []onRecording{{"astern", panel.Decided.Sub(bad).Seconds(), !panel.Worse()}}
	for _, r := range rivals() {
		m, one := r.start(), onRecording{name: r.name, never: true}
		var sum [4]float64
		for i, s := range all[recordedPast:] {
			for k, v := range [4]float64{s.Control.Total, s.Control.Bad, s.Candidate.Total, s.Candidate.Bad} {
				sum[k] += v
			}
			if (i+1)%tick == 0 {
				if m(sum[0], sum[1], sum[2], sum[3]) >= r.level && one.never {
					one.never, one.decided = false, s.To.Sub(bad).Seconds()
				}
				sum = [4]float64{}
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// recordedTable is the part of docs/detect.md about the recording.
func recordedTable(rows []onRecording) string {
	var b strings.Builder
	b.WriteString(`
## Two real servers, recorded
A hundred requests a second for six minutes, on a machine that was busy with other things: three minutes of past, one more of the same revision, and two
of one that is slower and fails more. Whoever needs more than two minutes can't have decided, and is not slower for that than in the table above.

| | decided after |
| --- | --- |
`)
	for _, r := range rows {
		when := took(r.decided)
		switch {
		case r.never:
			when = "not within the 120 s"
		case r.decided < 0:
			when = fmt.Sprintf("%.0f s before, for nothing", -r.decided)
		}
		fmt.Fprintf(&b, "| %s | %s |\n", r.name, when)
	}
	return b.String()
}
