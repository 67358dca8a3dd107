// Package command reads signals from programs: each prints one JSON document, a list of astern.Reading, within its time.
// Nothing passes through a shell, and a program gets PATH, HOME and LANG, and what is declared for it.
package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/signal/fetch"
)

const (
	timeout = 10 * time.Second
	// maxOutput is what a list of ten thousand members with histograms takes.
	maxOutput = 4 << 20
	atOnce    = 8 // programs cost a process each
)

// Reader runs programs. It is safe for concurrent use as far as its fields are.
type Reader struct {
	Machine host.Machine
	Folder  string // that they run in
	Secret  func(astern.Secret) (astern.SecretValue, error)
	Now     func() time.Time
}

// Read returns the answer to each ask, in order.
func (r *Reader) Read(ctx context.Context, asks []signal.Ask) []signal.Answer {
	out := make([]signal.Answer, len(asks))
	var wait sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i := range asks {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			out[i] = r.run(ctx, asks[i])
		})
	}
	wait.Wait()
	return out
}

func (r *Reader) run(ctx context.Context, ask signal.Ask) signal.Answer {
	began := r.Now()
	source := ask.Signal.Command
	stdout, err := r.stdout(ctx, *source)
	if err == nil {
		var readings []astern.Reading
		if readings, err = decode(stdout, began, len(source.SecretEnv) == 0); err == nil {
			return answer(ask, readings, r.Now())
		}
	}
	code := astern.CodeOf(err)
	return signal.Answer{Now: r.Now(), Err: &astern.Error{Code: code, Doing: "running " + fetch.Line(source.Argv[0]), Cause: err}}
}

func answer(ask signal.Ask, readings []astern.Reading, now time.Time) signal.Answer {
	a := signal.Answer{Now: now}
	read := map[string]bool{}
	asked := map[string]bool{}
	for _, m := range ask.Members {
		asked[m.Name] = true
	}
	others := 0
	for _, r := range readings {
		switch {
		case !asked[r.Member]:
			others++
		default:
			a.Readings = append(a.Readings, r)
			a.Series++
			read[r.Member] = true
		}
	}
	for _, m := range ask.Members {
		if !read[m.Name] {
			a.Fail(m.Name, "the command says nothing of it")
		}
	}
	if others > 0 {
		a.Notes = append(a.Notes, fmt.Sprintf("the command tells of %d members that the component does not have", others))
	}
	return a
}

func (r *Reader) stdout(ctx context.Context, c astern.CommandSource) ([]byte, error) {
	env := map[string]string{}
	for k, v := range c.Env {
		env[k] = v
	}
	for k, s := range c.SecretEnv {
		v, err := r.Secret(s)
		if err != nil {
			return nil, err
		}
		env[k] = v.Reveal()
	}
	result, err := r.Machine.Run(ctx, host.Command{Argv: c.Argv, Env: env, Dir: r.Folder, Timeout: timeout, Keep: maxOutput})
	switch {
	case err != nil:
		return nil, astern.Errorf(astern.CodeOf(err), "it could not be run to its end within %s", timeout)
	case result.ExitCode != 0:
		said := ""
		if last := fetch.Line(result.LastLines(1)); last != "" && len(c.SecretEnv) == 0 { // it may say what it was given
			said = ": " + last
		}
		return nil, astern.Errorf(astern.Unavailable, "exit code %d%s", result.ExitCode, said)
	case len(result.Stdout) > maxOutput, result.Truncated:
		return nil, astern.Errorf(astern.Invalid, "it prints more than 4 MB")
	}
	return []byte(result.Stdout), nil
}

// reading is astern.Reading as it must be printed: a total that is left out is no zero.
type reading struct {
	astern.Reading
	Total *float64   `json:"total"`
	At    *time.Time `json:"at"`
}

// decode reads the list strictly. A reading without a time is of when the command began.
func decode(doc []byte, began time.Time, quotable bool) ([]astern.Reading, error) {
	if !utf8.Valid(doc) {
		return nil, astern.Errorf(astern.Invalid, "what it prints is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.DisallowUnknownFields()
	var list []reading
	err := dec.Decode(&list)
	if err == nil {
		if _, more := dec.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something follows it")
		}
	}
	switch {
	case err != nil && !quotable:
		return nil, astern.Errorf(astern.Invalid, "what it prints is no list of readings")
	case err != nil:
		return nil, astern.Errorf(astern.Invalid, "what it prints is no list of readings: %s", fetch.Line(err.Error()))
	case list == nil:
		return nil, astern.Errorf(astern.Invalid, "what it prints is no list of readings")
	}
	out := make([]astern.Reading, len(list))
	seen := map[string]bool{}
	for i, r := range list {
		switch {
		case strings.TrimSpace(r.Member) == "":
			return nil, astern.Errorf(astern.Invalid, "reading %d names no member", i+1)
		case seen[r.Member]:
			return nil, astern.Errorf(astern.Invalid, "reading %d is the second one of its member", i+1)
		case r.Total == nil && r.Buckets == nil:
			return nil, astern.Errorf(astern.Invalid, "reading %d has neither a total nor buckets", i+1)
		}
		seen[r.Member] = true
		out[i] = r.Reading
		if r.Total != nil {
			out[i].Total = *r.Total
		} else if n := len(r.Buckets); n > 0 {
			out[i].Total = r.Buckets[n-1].Count
		}
		out[i].At = began
		if r.At != nil {
			out[i].At = *r.At
		}
	}
	return out, nil
}
