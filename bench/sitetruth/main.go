// Sitetruth breaks static sites in folders at random, lets astern say of each of their targets whether it can be reached, then
// really goes to each, and prints what was said against what happened.
//
// What can be broken is the catalogue (catalogue.go); each row says beforehand which read shows it, and when it comes: before
// the check, after it, or between plan and act. Whether a target was reached is seen by reading the files and by asking a web
// server, not by asking astern. A trial follows from its seed. Reading order: catalogue.go, trial.go, world.go, web.go; package
// verdict counts, package nobody is as whom the trials are made, package tree puts a world back.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/astern-dev/astern/bench/nobody"
	"github.com/astern-dev/astern/bench/verdict"
)

// The first argument of this program when it is one of its own children.
const (
	enterChild = "sitetruth-enter"
	workChild  = "sitetruth-work"
)

// slots is how many worlds there are side by side: trials wait for each other's locks and for the engine.
const slots = 12

// result is what a worker prints.
type result struct {
	Tried   []verdict.Tried `json:"tried"`
	Untried []string        `json:"untried,omitempty"` // rows that were drawn and are not possible here
	Trouble string          `json:"trouble,omitempty"`
}

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
		fmt.Fprintln(os.Stderr, "sitetruth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, first, count uint64, shown bool) error {
	folder, err := os.MkdirTemp("", "astern-sitetruth-")
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

// stage is where the trials are made: each world on a small disk, so that full ones are soon full.
func stage(folder string) nobody.Stage {
	return nobody.Stage{Folder: folder, Program: "sitetruth", Enter: enterChild, Work: workChild, Slots: slots, Disk: "size=2m,nr_inodes=600"}
}

// outcomes makes the trials in a child, as somebody whom permissions hinder, on disks of its own where that is possible.
func outcomes(ctx context.Context, folder string, first, count uint64) (result, error) {
	var out result
	said, err := stage(folder).Run(ctx, first, count)
	if err != nil {
		return out, fmt.Errorf("making the trials: %w", err)
	}
	if err := json.Unmarshal(said, &out); err != nil {
		return out, fmt.Errorf("reading what the trials showed: %w", err)
	}
	if out.Trouble != "" {
		return out, errors.New(out.Trouble)
	}
	return out, nil
}

// child does the work of a child, and reports whether this process is one.
func child(args []string) (code int, ours bool) {
	if len(args) < 5 {
		return 0, false
	}
	var err error
	switch args[1] {
	case enterChild:
		err = stage(args[2]).Become(args[2:])
	case workChild:
		err = json.NewEncoder(os.Stdout).Encode(work(args[2], args[3], args[4]))
	default:
		return 0, false
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, args[1], err)
		return 1, true
	}
	return 0, true
}
