package jsonexec

import (
	"context"
	"errors"
	"slices"

	astern "github.com/astern-dev/astern"
)

// certain reports whether a failed call surely had no effect.
func certain(err error) bool {
	var f *failure
	return !errors.As(err, &f) || f.certain
}

// program returns the program that a call is for.
func (d driver) program(call astern.Call) (program, error) {
	if call.Kind != Kind {
		return program{}, astern.Errorf(astern.Invalid, "a step of kind %q is not for %s", call.Kind, Kind)
	}
	c, ok := d.component(call.Address)
	if !ok {
		return program{}, astern.Errorf(astern.NotFound, "there is no component %s", call.Address).
			WithHint("is it still in astern.yaml?")
	}
	if r, ok := call.Args["revision"]; ok && !astern.ValidRevision(r.String()) {
		return program{}, astern.Errorf(astern.Invalid, "%q is not the name of a revision", r.String())
	}
	return open(c)
}

// Before asks a program that answers that call; else it takes the revision that runs.
func (d driver) Before(ctx context.Context, call astern.Call) (astern.Image, error) {
	p, err := d.program(call)
	if err != nil {
		return nil, err
	}
	if p.answers("before") {
		var answer struct {
			Image astern.Image `json:"image"`
		}
		err := p.ask(ctx, request{Call: "before", Step: actionOf(call)}, &answer)
		return answer.Image, err
	}
	s, err := d.Observe(ctx, p.component, astern.Scope{Paths: []string{pathRevision}})
	if err != nil {
		return nil, err
	}
	v, ok := s.Get(pathRevision)
	switch {
	case !ok:
		return astern.Image{}, nil
	case !v.Known():
		return nil, astern.Errorf(astern.Unavailable, "what %s runs is unknown: %s", call.Address, v.Unknown)
	}
	return astern.Image{pathRevision: v.Text}, nil
}

// Start asks the program to begin the step. Only a program that never ran, or that answers with an error or "failed"
// itself, makes it failed; any other answer that can't be used makes it unsure.
func (d driver) Start(ctx context.Context, call astern.Call) astern.Op {
	p, err := d.program(call)
	if err != nil {
		return failed(err)
	}
	if call.Text(argSettings) != p.digest() {
		return failed(astern.Errorf(astern.Refused, "the settings of %s changed since the plan was made", call.Address).
			WithHint("make a new plan"))
	}
	var op astern.Op
	if err = p.ask(ctx, request{Call: "start", Step: actionOf(call)}, &op); err == nil {
		err = p.checked("start", &op)
	}
	if err != nil {
		return failed(err)
	}
	return op
}

// failed is the op of an error: failed when nothing can have happened, else unsure.
func failed(err error) astern.Op {
	op := astern.Op{Status: astern.OpUnsure, Code: astern.CodeOf(err), Error: err.Error(), Hint: astern.HintOf(err)}
	if certain(err) {
		op.Status = astern.OpFailed
	}
	return op
}

// checked completes an op that a program answered and judges it.
func (p program) checked(call string, op *astern.Op) error {
	if op.Status == "" {
		op.Status = astern.OpDone
	}
	op.Progress, op.Error, op.Hint = oneLine(op.Progress), oneLine(op.Error), oneLine(op.Hint)
	bad := op.Status == astern.OpFailed || op.Status == astern.OpUnsure
	if bad && op.Code == "" {
		op.Code = astern.Internal
	}
	switch {
	case !bad && op.Status != astern.OpRunning && op.Status != astern.OpDone:
		return p.invalid(call, "status: %q is none of running, done, failed, unsure", op.Status)
	case bad && (op.Error == "" || !slices.Contains(programCodes, op.Code)):
		return p.invalid(call, "an operation that is %s needs an error, and one of the codes %q", op.Status, programCodes)
	case !bad && (op.Error != "" || op.Code != ""):
		return p.invalid(call, "an operation that is %s has no error", op.Status)
	case op.Status != astern.OpDone && len(op.Outputs) > 0:
		return p.invalid(call, "outputs belong to an operation that is done")
	case op.PollSeconds < 0:
		return p.invalid(call, "poll_seconds can't be negative")
	}
	for name, a := range op.Outputs {
		if a.Type() == "" {
			return p.invalid(call, "output %q must be a text, a boolean, an integer or a list of texts", name)
		}
	}
	return nil
}

// Find asks the program whether the step's effect is there.
func (d driver) Find(ctx context.Context, call astern.Call) astern.Found {
	unknown := func(err error) astern.Found {
		return astern.Found{Answer: astern.FoundUnknown, Because: err.Error()}
	}
	p, err := d.program(call)
	if err != nil {
		return unknown(err)
	}
	var f astern.Found
	if err := p.ask(ctx, request{Call: "find", Step: actionOf(call)}, &f); err != nil {
		return unknown(err)
	}
	f.Because = oneLine(f.Because)
	switch {
	case f.Answer == astern.FoundYes && f.Op == nil:
		f.Op = &astern.Op{Status: astern.OpDone}
	case f.Answer == astern.FoundYes:
		if err := p.checked("find", f.Op); err != nil {
			return unknown(err)
		}
		if f.Op.Status != astern.OpDone && f.Op.Status != astern.OpRunning {
			return unknown(p.invalid("find", "what is found is done or running, not %s", f.Op.Status))
		}
	case f.Answer == astern.FoundNo && f.Op == nil:
	case f.Answer == astern.FoundUnknown && f.Op == nil:
		if f.Because == "" {
			f.Because = p.name + " can't tell"
		}
	default:
		return unknown(p.invalid("find", `answer: %q is none of yes, no, unknown, or has an op without being yes`, f.Answer))
	}
	return f
}

// Poll asks how far an operation is: by poll when the program answers that, else by find. A question that brings no
// answer leaves the operation running; the step's time-out bounds that.
func (d driver) Poll(ctx context.Context, call astern.Call, op astern.Op) astern.Op {
	still := func(why string) astern.Op {
		op.Status, op.Outputs, op.Code, op.Error, op.Hint, op.Progress = astern.OpRunning, nil, "", "", "", why
		return op
	}
	p, err := d.program(call)
	if err != nil {
		return still("not known: " + err.Error())
	}
	if !p.answers("poll") {
		f := d.Find(ctx, call)
		if f.Answer == astern.FoundYes {
			return *f.Op
		}
		return still(f.Because)
	}
	var next astern.Op
	if err = p.ask(ctx, request{Call: "poll", Step: actionOf(call), Op: &op}, &next); err == nil {
		err = p.checked("poll", &next)
	}
	if err != nil {
		return still("not known: " + err.Error())
	}
	if next.Status == astern.OpRunning && next.Handle == nil {
		next.Handle = op.Handle
	}
	return next
}
