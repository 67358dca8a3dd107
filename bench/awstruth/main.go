// Awstruth breaks components of AWS kinds in the lab at random, lets astern say of each of their targets whether it can be
// reached, then really goes to each, and prints what was said against what happened.
//
// Each trial has an account of its own, in which a healthy component is made with known-good targets. What can be broken is the
// catalogue: catalogue.go has the rows of all kinds, and each kind's file has its own, each with the read that shows it and
// whether it is there before the check. The breaking and the looking are done by the SDK of AWS, or by the lab where the cloud
// itself would do it. A trial follows from its seed.
//
// Reading order: catalogue.go, trial.go, world.go, any kind (functions.go), account.go (the lab); package verdict counts.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/astern-dev/astern/bench/verdict"
)

func main() {
	first := flag.Uint64("first", 0, "the first seed")
	count := flag.Uint64("count", 200, "how many trials")
	slots := flag.Int("slots", 8, "how many trials are made side by side")
	only := flag.String("kinds", "", "kinds that are tried, with commas between them (default: all)")
	shown := flag.Bool("v", false, "print every target that was tried")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *first, *count, *slots, *only, *shown); err != nil {
		fmt.Fprintln(os.Stderr, "awstruth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, first, count uint64, slots int, only string, shown bool) error {
	folder, err := os.MkdirTemp("", "astern-awstruth-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	var named []string
	if only != "" {
		named = strings.Split(only, ",")
	}
	all, err := outcomes(ctx, folder, first, count, slots, named)
	return errors.Join(err, verdict.Report(os.Stdout, all, nil, shown))
}
