package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// react measures how long people wait: from the start of `astern apply` to the first changed link, and from the word of a
// person, or the end of the step under way, to the end of the process that obeys it.
func (b *bench) react() ([]figure, error) {
	var first, pause, cancelled []float64
	for i := range 5 {
		took, err := b.inWorld(fmt.Sprintf("first-%d", i), applyWorld.firstEffect)
		if err != nil {
			return nil, err
		}
		first = append(first, took)
		for word, out := range map[string]*[]float64{"pause": &pause, "cancel": &cancelled} {
			took, err := b.inWorld(fmt.Sprintf("%s-%d", word, i), func(w applyWorld) (float64, error) { return w.obeyed(word, i) })
			if err != nil {
				return nil, fmt.Errorf("%s: %w", word, err)
			}
			*out = append(*out, took)
		}
	}
	goal := func(name string, value []float64, goal float64) figure {
		v := median(value)
		return figure{Name: name, Value: round(v), Unit: "ms", Goal: goal, OK: v <= goal}
	}
	return []figure{goal("decision-to-first-effect", first, 100), goal("pause-obeyed", pause, 1000), goal("cancel-obeyed", cancelled, 1000)}, nil
}

// inWorld measures in a new world with a plan in plan.json.
func (b *bench) inWorld(name string, measure func(applyWorld) (float64, error)) (float64, error) {
	w := applyWorld{b, filepath.Join(b.folder, name), hardly}
	if err := w.make(); err != nil {
		return 0, err
	}
	defer w.stop()
	if _, err := w.command(w.dir, nil, w.astern, "plan", "rollback", "service", "--to", "v1", "--percent", "50", "--out", "plan.json"); err != nil {
		return 0, err
	}
	return measure(w)
}

// firstEffect returns the time from the start of the process to the first link that points elsewhere.
func (w applyWorld) firstEffect() (float64, error) {
	cmd, start, err := w.start()
	if err != nil {
		return 0, err
	}
	var took time.Duration
	for took == 0 && time.Since(start) < 10*time.Second {
		for i := range processes {
			if to, err := os.Readlink(filepath.Join(w.dir, fmt.Sprintf("root/current-i%d", i))); err == nil && strings.HasSuffix(to, "v1") {
				took = time.Since(start)
			}
		}
		time.Sleep(200 * time.Microsecond)
	}
	if err := cmd.Wait(); err != nil {
		return 0, err
	}
	if took == 0 {
		return 0, errors.New("no link changed")
	}
	return float64(took.Microseconds()) / 1000, nil
}

func (w applyWorld) start() (*exec.Cmd, time.Time, error) {
	cmd := exec.CommandContext(w.ctx, w.astern, "apply", "plan.json")
	cmd.Dir = w.dir
	start := time.Now()
	return cmd, start, cmd.Start()
}

// obeyed says the word while step n or a later one is under way.
func (w applyWorld) obeyed(word string, n int) (float64, error) {
	cmd, _, err := w.start()
	if err != nil {
		return 0, err
	}
	store, err := sqlite.Open(w.ctx, filepath.Join(w.dir, ".astern"))
	if err != nil {
		return 0, errors.Join(err, cmd.Wait())
	}
	defer store.Close()
	if err := w.until(store, n); err != nil {
		return 0, errors.Join(err, cmd.Wait())
	}
	if _, err := w.command(w.dir, nil, w.astern, word, "ex-1", "--reason", "bench"); err != nil {
		return 0, errors.Join(err, cmd.Wait())
	}
	err = cmd.Wait()
	end := time.Now()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	records, err := store.Read(w.ctx, "ex-1", 0)
	if err != nil {
		return 0, err
	}
	return delay(records, end)
}

// until waits until the step numbered n has begun.
func (w applyWorld) until(store *sqlite.Store, n int) error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		records, err := store.Read(w.ctx, "ex-1", 0)
		if err != nil && astern.CodeOf(err) != astern.NotFound {
			return err
		}
		intents := 0
		for _, r := range records {
			if r.Kind == astern.RecordIntent {
				intents++
			}
		}
		if intents > n {
			return nil
		}
	}
	return fmt.Errorf("step %d did not begin", n)
}

// delay returns the milliseconds from a person's record, or the last answer of a step after it, to the end of the process. It
// fails when a step began after the record.
func delay(records []astern.Record, end time.Time) (float64, error) {
	var from time.Time
	said := false
	for _, r := range records {
		switch {
		case r.Kind == astern.RecordPaused || r.Kind == astern.RecordCancelled:
			said, from = true, r.At
		case said && r.Kind == astern.RecordIntent:
			return 0, fmt.Errorf("%s began after the word", r.Step)
		case said && r.Kind == astern.RecordOp:
			from = r.At
		}
	}
	if !said {
		return 0, errors.New("the word is not in the journal")
	}
	return float64(end.Sub(from).Microseconds()) / 1000, nil
}
