package engine_test

import (
	"slices"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
)

// While an execution holds, and while nothing carries it out, nothing acts: that time is the people's.
func TestHoldSettles(t *testing.T) {
	p := planOf(stepsOf("1.a"))
	begun := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	at := func(s int) time.Time { return begun.Add(time.Duration(s) * time.Second) }
	intent := astern.Record{Seq: 2, At: at(1), Kind: astern.RecordIntent, Fence: 1, Step: "1.a", Attempt: 1, Call: &astern.Call{Step: "1.a"}}
	taken := astern.Record{Seq: 1, At: at(0), Kind: astern.RecordTaken, Fence: 1}
	held := []astern.Record{taken, intent,
		{Seq: 3, At: at(4), Kind: astern.RecordOp, Fence: 1, Step: "1.a", Attempt: 1, Op: &astern.Op{Status: astern.OpFailed, Code: astern.Invalid}},
		{Seq: 4, At: at(74), Kind: astern.RecordCancelled}}
	for name, c := range map[string]struct {
		records         []astern.Record
		execute, settle float64
	}{
		"held": {held, 4, 70},
		"ticked": {append(slices.Insert(slices.Clone(held), 3, astern.Record{Seq: 4, At: at(44), Kind: astern.RecordTicked}),
			astern.Record{Seq: 6, At: at(900), Kind: astern.RecordTicked}), 4, 70},
		"gone": {[]astern.Record{taken, intent, {Seq: 3, At: at(61), Kind: astern.RecordTaken, Fence: 2}}, 1, 60},
	} {
		f, ph, err := engine.FoldJournal(p, c.records)
		if err != nil || f.Seq() != c.records[len(c.records)-1].Seq || ph.ExecuteSeconds != c.execute || ph.SettleSeconds != c.settle {
			t.Errorf("%s: %+v, %v; want %v s of acting and %v s of waiting", name, ph, err, c.execute, c.settle)
		}
	}
	f, err := engine.NewFold(p)
	if err != nil {
		t.Fatal(err)
	}
	f.Apply(taken)
	f.Apply(intent)
	for carried, want := range map[bool]astern.Phases{true: {ExecuteSeconds: 9}, false: {SettleSeconds: 9}} {
		var ph astern.Phases
		if f.Since(&ph, 9, carried); ph != want {
			t.Errorf("carried out %t: %+v, want %+v", carried, ph, want)
		}
	}
}
