package jsonexec

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	astern "github.com/astern-dev/astern"
)

// version is that of the protocol.
const version = 1

// request is what a program reads. Which parts are there depends on the call.
type request struct {
	Astern    int       `json:"astern"`
	Call      string    `json:"call"`
	Component component `json:"component"`

	Scope   *scope                `json:"scope,omitempty"`   // observe
	State   *astern.State         `json:"state,omitempty"`   // targets, route
	History *astern.History       `json:"history,omitempty"` // targets
	Target  *astern.Target        `json:"target,omitempty"`  // route
	Options *options              `json:"options,omitempty"` // route
	Step    *action               `json:"step,omitempty"`    // undo, before, start, find, poll
	Outputs map[string]astern.Arg `json:"outputs,omitempty"` // undo
	Op      *astern.Op            `json:"op,omitempty"`      // poll
}

// component is what a program is told of the component that it works for.
type component struct {
	Address     string         `json:"address"`
	Environment string         `json:"environment"`
	Name        string         `json:"name"`
	Config      map[string]any `json:"config"`
}

func (p program) about() component {
	config := p.settings.Config
	if config == nil {
		config = map[string]any{}
	}
	return component{p.component.Address(), p.component.Environment, p.component.Name, config}
}

// scope names the paths that an observation is for; none means all.
type scope struct {
	Paths []string `json:"paths"`
}

// options are astern.Options with names.
type options struct {
	Verb        astern.Verb `json:"verb"`
	Percent     int         `json:"percent"`
	BakeSeconds int64       `json:"bake_seconds"`
	GateSeconds int64       `json:"gate_seconds"`
	Now         time.Time   `json:"now"`
}

// action is the step that a program is to do, to find or to undo.
type action struct {
	Execution string                `json:"execution"`
	ID        string                `json:"id"`
	Verb      string                `json:"verb"`
	Member    string                `json:"member"`
	Args      map[string]astern.Arg `json:"args"`
	Image     astern.Image          `json:"image"`
	Token     string                `json:"token"`
	Fence     int64                 `json:"fence"`
}

// actionOf returns what the program sees of a call: everything but the digest of its own settings.
func actionOf(c astern.Call) *action {
	args := map[string]astern.Arg{}
	maps.Copy(args, c.Args)
	delete(args, argSettings)
	image := c.Image
	if image == nil {
		image = astern.Image{}
	}
	return &action{Execution: c.Execution, ID: c.Step, Verb: c.Verb, Member: c.Member, Args: args,
		Image: image, Token: c.Token, Fence: c.Fence}
}

// response is what a program writes: ok or error, never both.
type response struct {
	Astern *int            `json:"astern"`
	OK     json.RawMessage `json:"ok"`
	Error  *programError   `json:"error"`
}

// programError is a program's own no.
type programError struct {
	Code    astern.Code `json:"code"`
	Message string      `json:"message"`
	Hint    string      `json:"hint"`
}

// programCodes are the codes that a program may use.
var programCodes = []astern.Code{astern.Invalid, astern.NotFound, astern.Conflict, astern.Refused, astern.Denied,
	astern.Throttled, astern.Unavailable, astern.Internal}

// ask makes one call and decodes the ok of its answer strictly. Its errors are failures.
func (p program) ask(ctx context.Context, r request, into any) error {
	r.Astern, r.Component = version, p.about()
	env, err := p.environment(r.Call)
	if err != nil {
		return err
	}
	text, err := json.Marshal(r)
	if err != nil {
		return p.fail(true, astern.Internal, "", r.Call, "encoding the request: %w", err)
	}
	raw, stderr, exited, err := p.exchange(ctx, r.Call, append(text, '\n'), env)
	if err != nil {
		return err
	}
	answer, err := readResponse(raw, env)
	switch {
	case err == nil && answer.Error != nil:
		return p.refusal(r.Call, *answer.Error)
	case exited != 0:
		return p.fail(false, astern.Internal, "a program ends with 0 when it has answered", r.Call,
			"the program ended with exit status %d%s", exited, stderr)
	case err != nil:
		return p.fail(false, astern.Internal, "docs/jsonexec.md says what each call is answered with", r.Call,
			"the program's answer is not valid: %w%s", err, stderr)
	}
	if err := strictly(answer.OK, into); err != nil {
		return p.fail(false, astern.Internal, "docs/jsonexec.md says what each call is answered with", r.Call,
			"the program's answer is not valid: ok: %w", err)
	}
	return nil
}

// refusal is the error that the program itself answered with.
func (p program) refusal(call string, e programError) error {
	return p.fail(true, e.Code, oneLine(e.Hint), call, "%s", oneLine(e.Message))
}

// invalid says that an answer was well-formed JSON but makes no sense.
func (p program) invalid(call, format string, args ...any) error {
	return p.fail(false, astern.Invalid, "docs/jsonexec.md says what each call is answered with", call,
		"the program's answer is not valid: "+format, args...)
}

// readResponse decodes an answer after hiding the secrets that the program was given.
func readResponse(raw []byte, env environment) (response, error) {
	var r response
	if len(bytes.TrimSpace(raw)) == 0 {
		return r, errors.New("it is empty")
	}
	if err := examine(raw); err != nil {
		return r, fmt.Errorf("%w; it begins with %q", err, beginning(env.hide(string(raw[:min(len(raw), maxBegin)]))))
	}
	var document any
	if err := strictly(raw, &document); err != nil {
		return r, fmt.Errorf("it is not one JSON document (%w); it begins with %q", err, beginning(env.hide(string(raw[:min(len(raw), maxBegin)]))))
	}
	b, err := json.Marshal(env.clean(document))
	if err != nil {
		return r, err
	}
	if err := strictly(b, &r); err != nil {
		return r, err
	}
	switch {
	case r.Astern != nil && *r.Astern != version:
		return r, fmt.Errorf("it speaks version %d of the protocol, astern speaks version %d", *r.Astern, version)
	case (r.OK == nil) == (r.Error == nil):
		return r, errors.New(`it needs either "ok" or "error"`)
	case r.Error == nil && r.OK[0] != '{':
		return r, errors.New(`"ok" must be an object`)
	case r.Error != nil && (!slices.Contains(programCodes, r.Error.Code) || r.Error.Message == ""):
		return r, fmt.Errorf(`"error" needs a message and one of the codes %v, not %q`, programCodes, r.Error.Code)
	}
	return r, nil
}

func beginning(s string) string {
	s = oneLine(s)
	if r := []rune(s); len(r) > 60 {
		s = string(r[:60]) + "…"
	}
	return s
}
