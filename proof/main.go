// Command proof makes all trials of the proofs that `go test` makes a share of: `make proof`. It works in chunks and
// writes down each that passed, so that it can be interrupted at any moment and goes on where it was. Its figures belong
// to the commit that last changed anything but documents; they are written to docs/proofs.json.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// task is one proof: trials of one test of one package.
type task struct {
	Name    string // as in docs/promises.md
	Package string // its folder
	Test    string // name of the test
	Trials  uint64 // how many `make proof` makes
	Chunk   uint64 // how many at a time: about half a minute
	// Most is what figures may come to over all chunks, where a chunk alone can't tell.
	Most map[string]float64
}

func main() {
	only := flag.String("only", "", "run only this proof")
	parallel := flag.Int("parallel", max(1, runtime.NumCPU()), "how many chunks run side by side")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *only, *parallel); err != nil {
		fmt.Fprintf(os.Stderr, "proof: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, only string, parallel int) error {
	commit, err := codeCommit(ctx)
	if err != nil {
		return err
	}
	progress, err := readProgress(commit)
	if err != nil {
		return err
	}
	var failed []error
	for _, p := range tasks {
		if only != "" && p.Name != only {
			continue
		}
		if err := prove(ctx, p, progress, parallel); err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", p.Name, err))
		}
		if ctx.Err() != nil {
			failed = append(failed, errors.New("interrupted; the next `make proof` goes on from here"))
			break
		}
	}
	if err := progress.publish(); err != nil {
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// prove runs the chunks of one proof that have not passed yet.
func prove(ctx context.Context, p task, progress *progress, parallel int) error {
	left := progress.left(p)
	if len(left) == 0 {
		fmt.Printf("%-22s %9d trials, done before\n", p.Name, p.Trials)
		return nil
	}
	binary, err := build(ctx, p)
	if err != nil {
		return err
	}
	defer os.Remove(binary)
	var (
		owner  sync.WaitGroup
		guard  sync.Mutex
		failed []error
		slots  = make(chan struct{}, parallel)
	)
	for _, first := range left {
		slots <- struct{}{}
		guard.Lock()
		enough := len(failed) > 0 || ctx.Err() != nil
		guard.Unlock()
		if enough {
			<-slots
			break
		}
		owner.Go(func() {
			defer func() { <-slots }()
			started := time.Now()
			figures, err := chunk(ctx, p, binary, first)
			guard.Lock()
			defer guard.Unlock()
			if err == nil {
				err = progress.within(p, figures)
			}
			if err == nil {
				err = progress.passed(p, first, figures, time.Since(started))
			}
			if err != nil {
				failed = append(failed, err)
				return
			}
			fmt.Printf("%-22s %9d of %d trials\n", p.Name, progress.trials(p), p.Trials)
		})
	}
	owner.Wait()
	if err := errors.Join(failed...); err != nil {
		return err
	}
	fmt.Println(summary(p, progress))
	return nil
}

func summary(p task, progress *progress) string {
	e := progress.Proofs[p.Name]
	names := make([]string, 0, len(e.Figures))
	for n := range e.Figures {
		names = append(names, n)
	}
	slices.SortFunc(names, cmp.Compare)
	for i, n := range names {
		names[i] = fmt.Sprintf("%s %.6g", n, e.Figures[n])
	}
	return fmt.Sprintf("%-22s %9d trials passed in %.0f s of work: %s", p.Name, progress.trials(p), e.Seconds, strings.Join(names, ", "))
}
