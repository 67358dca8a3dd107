package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/astern-dev/astern"
)

// vigil is `astern watch` while it runs, and what it has said so far.
type vigil struct {
	process  *process
	timeline *timeline
	ended    chan struct{} // closed when it has ended; code and err are known then
	code     int
	err      error

	mu    sync.Mutex
	rest  []byte // a line that has not ended
	words []spoken
	wrong error // a line that could not be read
}

// The demo's end bounds the watch, not a limit of its own.
const vigilLimit = time.Hour

// startVigil starts `astern watch`; endVigil ends it.
func (d *demo) startVigil(ctx context.Context) error {
	args := []string{"watch", "--every", "1s", "-o", "json"}
	d.timeline.say("$ astern %s", typed(args))
	v := &vigil{process: d.astern.command(ctx, vigilLimit, args), timeline: d.timeline, ended: make(chan struct{})}
	v.process.quote = d.timeline.quote()
	v.process.command.Stdout, v.process.command.Stderr = v, v.process.quote
	if err := v.process.launch(); err != nil {
		return err
	}
	d.vigil, d.shop.watch = v, v.process.command.Process.Pid
	go func() { // ends with the watch; endVigil waits for it
		v.code, v.err = v.process.wait(ctx)
		close(v.ended)
	}()
	return nil
}

// endVigil asks the watch to end, and waits until it has.
func (d *demo) endVigil() {
	v := d.vigil
	if v == nil {
		return
	}
	d.vigil = nil
	_ = v.process.command.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-v.ended:
	case <-time.After(15 * time.Second):
		d.timeline.say("astern watch does not end, and is killed")
		_ = v.process.kill() // it may have ended
		<-v.ended
	}
	d.shop.watch = 0
}

// Write reads what the watch prints, line by line, and says it.
func (v *vigil) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.rest = append(v.rest, p...)
	for {
		line, rest, ok := bytes.Cut(v.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		var s spoken
		if err := json.Unmarshal(line, &s); err != nil || s.Kind == "" || s.At.IsZero() {
			v.wrong = fmt.Errorf("astern watch printed %q (%v)", line, err)
			v.timeline.say("watch: %s", line)
		} else {
			v.words = append(v.words, s)
			v.timeline.say("watch: %s: %s: %s", s.Address, s.Kind, s.Text)
		}
		v.rest = rest
	}
}

// since returns what was said from the moment on, of those kinds.
func (v *vigil) since(at time.Time, kinds ...string) []spoken {
	v.mu.Lock()
	defer v.mu.Unlock()
	var out []spoken
	for _, s := range v.words {
		if !s.At.Before(at) && slices.Contains(kinds, s.Kind) {
			out = append(out, s)
		}
	}
	return out
}

// says waits until the watch says something of the kind about a component, with these words in it, and returns it.
func (t *telling) says(ctx context.Context, limit time.Duration, at time.Time, kind, address string, words ...string) (spoken, error) {
	v := t.vigil
	if v == nil {
		return spoken{}, fmt.Errorf("astern does not watch")
	}
	var found *spoken
	err := until(ctx, limit, "astern watch says "+kind, func() bool {
		for _, s := range v.since(at, kind) {
			missing := func(word string) bool { return !strings.Contains(s.Text, word) }
			if s.Address == address && !slices.ContainsFunc(words, missing) {
				found = &s
				return true
			}
		}
		return v.over() != nil
	})
	switch {
	case found != nil:
		return *found, nil
	case v.over() != nil:
		return spoken{}, v.over()
	}
	return spoken{}, err
}

// over says why nothing more is to be expected, nil while it watches.
func (v *vigil) over() error {
	select {
	case <-v.ended:
		return astern.Errorf(astern.Internal, "astern watch ended with exit code %d (%v)", v.code, v.err)
	default:
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.wrong
}
