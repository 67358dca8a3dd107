package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
)

const (
	watchEvery = 5 * time.Second
	leastEvery = 200 * time.Millisecond
	// mostTrouble is how many rounds may fail one after the other before the wait between two of them stops growing.
	mostTrouble = 5
)

func (s *session) watching() *cobra.Command {
	every, record := watchEvery, ""
	cmd := &cobra.Command{
		Use: "watch [COMPONENT…]", Short: "watch components: judge each deployment, and do what the policy says when one is bad",
		Args: takes(0, -1), ValidArgsFunction: s.componentArgs,
		Long: `Watches in the foreground, until Ctrl-C or SIGTERM. Each deployment that the ledger tells of is judged by the component's signals:
beside the instances that still run the earlier revision, else against its own past. When it is worse, an incident is opened, the
change is blamed if one is to blame, and the policy decides: automatic (the cheapest way that is enough is taken), ask, tell or
shadow. It never acts on missing data, during another execution, onto a revision not known to be good, or twice for one fault. What
is not worse for as long as the policy says becomes known-good.

Killed at any point, it goes on where it was when it is started again. One line for each event; with -o json one JSON object.

--record FILE appends all that it sees to a file, to be judged again by astern replay: for 100 components with three signals
each, read every 5 s, some 600 MB a day (at most 16 GB are written). What can't be written there never stops the watch.

  astern watch
  astern watch shop --every 1s -o json
  astern watch --record monday.jsonl`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			if every < leastEvery {
				return astern.Errorf(astern.Invalid, "--every %s is too often", every).WithHint("at least %s", leastEvery)
			}
			if s.output == "yaml" {
				return astern.Errorf(astern.Invalid, "astern watch has no output yaml").WithHint("use one of: table, json")
			}
			to, room, err := openRecording(record)
			if err != nil {
				return err
			}
			if to != nil {
				defer func() { _ = to.Close() }() // each round was written, or it was told
			}
			return s.with(ctx, writing, func(a *app.App) error { return s.watchOver(ctx, a, args, every, to, room) })
		}),
	}
	cmd.Flags().DurationVar(&every, "every", every, "how often signals are read")
	cmd.Flags().StringVar(&record, "record", "", "file to append all that is seen to")
	return cmd
}

// mostRecorded is how many bytes a recording has at most.
const mostRecorded = 16 << 30

// openRecording opens a recording to append to it; nil for no name. Room is how many bytes may be added.
func openRecording(name string) (f *os.File, room int64, err error) {
	if name == "" {
		return nil, 0, nil
	}
	fail := func(format string, args ...any) (*os.File, int64, error) {
		return nil, 0, astern.Errorf(astern.Invalid, "opening the recording "+name+": "+format, args...).WithHint("name a new file, or one that astern watch --record began")
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() { // a pipe would make the watch wait
		return fail("it is no plain file")
	}
	if f, err = os.OpenFile(name, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600); err != nil {
		return fail("%w", err)
	}
	head := make([]byte, len(recordingHead))
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		_ = f.Close()
		return fail("%w", err)
	}
	if n > 0 && strings.TrimLeft(string(head[:n]), "\n") != strings.TrimLeft(recordingHead[:n], "\n") {
		_ = f.Close()
		return fail("it is there, and is no recording")
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return fail("%w", err)
	}
	return f, mostRecorded - info.Size(), nil
}

// recordingHead is how a recording begins.
const recordingHead = "\n{\"recording\":"

// watchOver makes round after round until it is interrupted. A round that fails is told, and tried again: who watches must
// not stop because a disk was full for a minute.
func (s *session) watchOver(ctx context.Context, a *app.App, names []string, every time.Duration, to *os.File, room int64) error {
	var speak sync.Mutex
	say := func(e astern.WatchEvent) {
		speak.Lock()
		defer speak.Unlock()
		s.watchLine(e)
	}
	w, err := a.NewWatcher(ctx, s.environment, names, say)
	if err != nil {
		return err
	}
	p := &poster{app: a, say: say}
	if to != nil {
		w.Record(to, room)
	}
	ticks := time.NewTicker(every)
	defer ticks.Stop()
	for failed := 0; ctx.Err() == nil; {
		if err := w.Round(ctx); err == nil {
			failed = 0
		} else if ctx.Err() == nil {
			failed = min(failed+1, mostTrouble)
			say(astern.WatchEvent{At: a.Now(), Kind: astern.WatchTrouble, Text: err.Error()})
		}
		p.sending.Go(func() { p.send(ctx) })
		for range 1 + failed {
			select {
			case <-ctx.Done():
			case <-ticks.C:
				continue
			}
			break
		}
	}
	err = w.Close(context.WithoutCancel(ctx))
	p.sending.Wait()
	p.last(context.WithoutCancel(ctx))
	return err
}

// poster sends notices beside the rounds: a channel that hangs delays nothing.
type poster struct {
	app     *app.App
	say     func(astern.WatchEvent)
	sending sync.WaitGroup
	lock    sync.Mutex
	said    string
}

// lastPost is how long is sent what came up at the very end.
const lastPost = 5 * time.Second

func (p *poster) last(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastPost)
	defer cancel()
	p.send(ctx)
}

// send makes one pass, and says when it begins or ceases to fail.
func (p *poster) send(ctx context.Context) {
	d, err := p.app.Deliver(ctx)
	if ctx.Err() != nil {
		return
	}
	text := ""
	for _, channel := range slices.Sorted(maps.Keys(d.Failed)) {
		text += fmt.Sprintf("channel %s: %s; ", channel, d.Failed[channel])
	}
	if d.GivenUp > 0 {
		text += fmt.Sprintf("%d notices were given up: astern notify list; ", d.GivenUp)
	}
	if err != nil {
		text = err.Error()
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	if text = strings.TrimSuffix(text, "; "); text != p.said && text != "" {
		p.say(astern.WatchEvent{At: p.app.Now(), Kind: astern.WatchTrouble, Text: "notices wait: " + text})
	}
	p.said = text
}

// watchLine writes one event. Nobody who reads it is no reason to stop watching.
func (s *session) watchLine(e astern.WatchEvent) {
	if s.output == "json" {
		b, err := json.Marshal(e)
		if err == nil {
			_, _ = fmt.Fprintf(s.stdout, "%s\n", b)
		}
		return
	}
	line := fmt.Sprintf("%s  %-10s  %s", e.At.UTC().Format("15:04:05Z"), e.Kind, strings.ReplaceAll(e.Text, "\n", " "))
	if e.Address != "" {
		line = fmt.Sprintf("%s  %-10s  %s: %s", e.At.UTC().Format("15:04:05Z"), e.Kind, e.Address, strings.ReplaceAll(e.Text, "\n", " "))
	}
	for _, id := range []string{e.Incident, e.Execution} {
		if id != "" && !strings.Contains(line, id) {
			line += "  (" + id + ")"
		}
	}
	_ = text(s.stdout, line)
}
