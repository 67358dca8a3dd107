// Truth breaks small real services at random, lets astern say of each of their targets whether it can be reached, then
// really goes to each, and prints what was said against what happened.
//
// What can be broken is the catalogue (catalogue.go); each row says beforehand which read shows it, and whether it is
// there before the check. A trial follows from its seed. Reading order: catalogue.go, trial.go, world.go, keep.go (putting
// a world back), worker.go (as whom the trials are made); package verdict counts.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/astern-dev/astern/bench/verdict"
)

func main() {
	if code, ours := child(os.Args); ours {
		os.Exit(code)
	}
	first := flag.Uint64("first", 0, "the first seed")
	count := flag.Uint64("count", 200, "how many trials")
	shown := flag.Bool("v", false, "print every target that was tried")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *first, *count, *shown); err != nil {
		fmt.Fprintln(os.Stderr, "truth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, first, count uint64, shown bool) error {
	folder, err := os.MkdirTemp("", "astern-truth-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	o, err := outcomes(ctx, folder, first, count)
	if err != nil {
		return err
	}
	return verdict.Report(os.Stdout, o.Tried, o.Untried, shown)
}
