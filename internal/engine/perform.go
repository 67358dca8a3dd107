package engine

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/astern-dev/astern"
)

// Perform does one action of the execution in the world and returns the records that answer it, without time and fence.
// A panic of a driver is an answer too: nobody knows what it did.
func Perform(ctx context.Context, w World, execution string, a Action) (records []astern.Record) {
	r := astern.Record{Step: a.Step, Attempt: a.Attempt}
	ctx, cancel := context.WithTimeoutCause(ctx, a.Within, noAnswer(a.Within))
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			records = []astern.Record{panicked(a, r, p)}
		}
	}()
	switch a.Kind {
	case Prepare:
		return []astern.Record{prepare(ctx, w, execution, a, r)}
	case Start:
		op := w.Actor.Start(ctx, *a.Call)
		r.Kind, r.Op = astern.RecordOp, &op
	case Poll:
		op := w.Actor.Poll(ctx, *a.Call, *a.Op)
		r.Kind, r.Op = astern.RecordOp, &op
	case Stop:
		op := w.Stopper.Stop(ctx, *a.Call, *a.Op)
		r.Kind, r.Op = astern.RecordOp, &op
	case Find:
		r = find(ctx, w, a, r)
	case CheckRound:
		return []astern.Record{round(ctx, w, a)}
	case MakePlan:
		hash, err := w.Plan(ctx, a.Undo)
		r.Kind, r.Text = astern.RecordChild, hash
		if err != nil {
			r.Kind = astern.RecordUnprepared
			r.Code, r.Text = late(ctx, err)
		}
	}
	return []astern.Record{r}
}

// noAnswer is why an action is given up: it took so long.
type noAnswer time.Duration

func (n noAnswer) Error() string { return "no answer within " + time.Duration(n).String() }

// late tells an error that came because the time was over, which trying again can help, from others.
func late(ctx context.Context, err error) (astern.Code, string) {
	if ctx.Err() != nil {
		return astern.Unavailable, context.Cause(ctx).Error() + ": " + err.Error()
	}
	return astern.CodeOf(err), err.Error()
}

func panicked(a Action, r astern.Record, p any) astern.Record {
	text := fmt.Sprintf("the driver panicked: %v", p)
	switch a.Kind {
	case Start, Poll, Stop:
		r.Kind, r.Op = astern.RecordOp, &astern.Op{Status: astern.OpUnsure, Code: astern.Internal, Error: text}
	case Find:
		r.Kind, r.Text = astern.RecordDoubt, text
	default:
		r.Kind, r.Code, r.Text = astern.RecordUnprepared, astern.Internal, text
	}
	return r
}

// prepare reads the step's before-image and its facts. Its record is the intent, or says why there is none. The image comes
// first: it is what conditional calls are conditional on, so whoever changes something after it is met by the facts or by the
// condition. The other way round, what came between the two would be taken for what the plan has seen.
func prepare(ctx context.Context, w World, execution string, a Action, r astern.Record) astern.Record {
	call := *a.Call
	call.Execution, call.Owner = execution, w.Owner
	image, unread := w.Actor.Before(ctx, call)
	diffs, err := ReadFacts(ctx, w.Observe, a.Facts)
	if err == nil && len(diffs) > 0 { // which tells more than why there is no image
		r.Kind, r.Differences = astern.RecordRefused, diffs
		return r
	}
	if err == nil {
		err = unread
	}
	if err != nil {
		r.Kind = astern.RecordUnprepared
		r.Code, r.Text = late(ctx, err)
		return r
	}
	call.Image = image
	r.Kind, r.Call = astern.RecordIntent, &call
	return r
}

// ReadFacts asks the world for the facts and returns how they differ from what is expected. It returns an Unavailable
// error when one of them can't be read.
func ReadFacts(ctx context.Context, observe func(context.Context, string, []string) (astern.State, error),
	facts []ExpectedFact) ([]astern.Difference, error) {
	paths := map[string][]string{}
	var order []string
	for _, f := range facts {
		if paths[f.Address] == nil {
			order = append(order, f.Address)
		}
		paths[f.Address] = append(paths[f.Address], f.Path)
	}
	states := map[string]astern.State{}
	for _, address := range order {
		s, err := observe(ctx, address, paths[address])
		if err != nil {
			return nil, fmt.Errorf("observing %s: %w", address, err)
		}
		states[address] = s
	}
	return Compare(facts, states)
}

func find(ctx context.Context, w World, a Action, r astern.Record) astern.Record {
	found := w.Actor.Find(ctx, *a.Call)
	switch {
	case found.Answer == astern.FoundYes && found.Op != nil:
		r.Kind, r.Op = astern.RecordOp, found.Op
	case found.Answer == astern.FoundNo:
		r.Kind, r.Text, r.Asked = astern.RecordAbsent, found.Because, a.At
	default:
		r.Kind, r.Text = astern.RecordDoubt, found.Because
	}
	return r
}

// roundWidth is how many checks of a round are made side by side.
const roundWidth = 64

// round makes the checks of a stage side by side.
func round(ctx context.Context, w World, a Action) astern.Record {
	results := make([]astern.CheckResult, len(a.Checks))
	var group errgroup.Group
	group.SetLimit(roundWidth)
	for i, c := range a.Checks {
		group.Go(func() error {
			results[i] = check(ctx, w, c)
			return nil
		})
	}
	_ = group.Wait() // none of them returns an error
	return astern.Record{Kind: astern.RecordRound, Stage: a.Stage, Attempt: a.Attempt, Gate: a.Gate, Results: results}
}

// check makes one check. A panic is unknown.
func check(ctx context.Context, w World, c astern.Check) (r astern.CheckResult) {
	defer func() {
		if p := recover(); p != nil {
			r = astern.CheckResult{Verdict: astern.Unknown, Evidence: fmt.Sprintf("the check panicked: %v", p)}
		}
		r.Check = c.ID()
	}()
	return w.Check(ctx, c)
}
