package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/engine"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/proc"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// engineSteps is how many steps a measured plan has.
const engineSteps = 1000

// engine compares what a journalled step costs with one fdatasync of the same disk in the same run: one step after
// another, and 64 side by side. Many rounds take turns: a disk that others use is not the same from one second to the next.
func (b *bench) engine() ([]figure, error) {
	var out []figure
	for _, m := range []struct {
		name     string
		parallel int
		goal     float64
	}{{"step-sequential", 1, 1.25}, {"step-64-parallel", 64, 0.25}} {
		var steps, syncs []float64
		for range 31 {
			took, _, err := b.runSteps(engineSteps, m.parallel)
			if err != nil {
				return nil, err
			}
			steps = append(steps, float64(took.Microseconds())/engineSteps)
			sync, err := b.fdatasync(engineSteps)
			if err != nil {
				return nil, err
			}
			syncs = append(syncs, float64(sync.Microseconds())/engineSteps)
		}
		out = append(out, compared(m.name, "µs", median(steps), "one fdatasync of 300 appended bytes", median(syncs), m.goal))
	}
	return out, nil
}

// fdatasync appends 300 bytes and syncs them, n times.
func (b *bench) fdatasync(n int) (time.Duration, error) {
	f, err := os.Create(filepath.Join(b.folder, "sync"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	start := time.Now()
	for range n {
		if _, err := f.Write(make([]byte, 300)); err != nil {
			return 0, err
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
	}
	return time.Since(start), nil
}

// stepsChild makes this binary the process that carries out steps.
const stepsChild = "run-steps"

// runSteps carries out a plan of steps that do nothing, with a real journal, in a process of its own, as `astern apply` is one. It returns
// how long the engine took, and the most memory that the process had, in MB.
func (b *bench) runSteps(n, parallel int) (took time.Duration, mb float64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, 0, err
	}
	folder, err := os.MkdirTemp(b.folder, "engine-")
	if err != nil {
		return 0, 0, err
	}
	cmd := exec.CommandContext(b.ctx, self, stepsChild, folder, strconv.Itoa(n), strconv.Itoa(parallel))
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("carrying out %d steps: %w", n, err)
	}
	if took, err = time.ParseDuration(string(out)); err != nil {
		return 0, 0, err
	}
	return took, float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1000, nil
}

// runStepsChild carries out as many steps as the second argument says in the state folder that the first names, as many side by side as the
// third says, and prints how long the engine took.
func runStepsChild(args []string) int {
	proc.CollectLate(os.Getenv) // as astern does when it opens a state folder
	ctx := context.Background()
	n, err1 := strconv.Atoi(args[1])
	parallel, err2 := strconv.Atoi(args[2])
	store, err3 := sqlite.Open(ctx, args[0])
	err := errors.Join(err1, err2, err3)
	if err == nil {
		defer store.Close()
		var took time.Duration
		if took, err = carryOut(ctx, store, stepsPlan(n, parallel)); err == nil {
			_, err = fmt.Print(took)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

// carryOut stores, starts and runs the plan and returns how long the engine took.
func carryOut(ctx context.Context, store *sqlite.Store, p astern.Plan) (time.Duration, error) {
	doc, hash, err := planfile.Encode(p)
	if err != nil {
		return 0, err
	}
	if err := store.PutPlan(ctx, hash, doc, time.Now()); err != nil {
		return 0, err
	}
	e, _, err := store.CreateExecution(ctx, astern.Execution{PlanHash: hash, CreatedAt: time.Now(), Addresses: []string{"bench/fleet"}}, 0)
	if err != nil {
		return 0, err
	}
	fence, err := store.Take(ctx, e.ID, proc.Self(), proc.Alive, 0, time.Now())
	if err != nil {
		return 0, err
	}
	eng := engine.Engine{Journal: store, Clock: engine.SystemClock{}, Execution: e.ID, Fence: fence, Plan: p,
		World: engine.World{Actor: nothing{}, Observe: func(_ context.Context, address string, _ []string) (astern.State, error) {
			return astern.State{Address: address}, nil
		}}}
	start := time.Now()
	r, err := eng.Run(ctx)
	if err == nil && r.Outcome != astern.OutcomeDone {
		err = fmt.Errorf("the plan did not end: %+v", r)
	}
	return time.Since(start), err
}

// stepsPlan is a plan of one stage with n members and one step each.
func stepsPlan(n, parallel int) astern.Plan {
	p := astern.Plan{Kind: "Plan", Version: astern.PlanVersion, ID: "bench", System: "bench", Loss: []astern.Loss{}, Facts: []astern.Fact{},
		Moves:     []astern.Move{{Address: "bench/fleet", Kind: "none", From: "v2", To: "v1", Readiness: astern.Ready}},
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond), ExpiresAt: time.Now().UTC().Truncate(time.Millisecond).Add(time.Hour),
		Intent: astern.Intent{Verb: astern.VerbRollback, Addresses: []string{"bench/fleet"}, Percent: 100},
		Asked:  astern.Asked{By: "bench", Known: "login name", Way: "cli"}}
	fleet := astern.Fleet{Address: "bench/fleet"}
	for i := range n {
		fleet.Members = append(fleet.Members, fmt.Sprintf("host-%05d", i))
	}
	p.Fleets = []astern.Fleet{fleet}
	p.Stages = []astern.Stage{{Title: "all", Each: &astern.Each{Address: "bench/fleet", To: n}, Parallel: parallel, OnFailure: astern.OnFailureHold,
		Steps: []astern.Step{{ID: "1.noop", Address: "bench/fleet", Kind: "none", Verb: "noop", Title: "nothing on {member}", Undo: astern.UndoNone,
			Command: "true", Attempts: 1, TimeoutSeconds: 60, HoldSeconds: 60}}}}
	return p
}

// nothing is an actor that does nothing at once.
type nothing struct{}

func (nothing) Before(context.Context, astern.Call) (astern.Image, error) { return nil, nil }

func (nothing) Start(context.Context, astern.Call) astern.Op { return astern.Op{Status: astern.OpDone} }

func (nothing) Find(context.Context, astern.Call) astern.Found {
	return astern.Found{Answer: astern.FoundNo}
}

func (nothing) Poll(_ context.Context, _ astern.Call, op astern.Op) astern.Op { return op }
