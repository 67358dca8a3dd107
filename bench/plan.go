package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/astern-dev/astern/internal/planfile"
)

// largePlan is how many steps the large plan has.
const largePlan = 10000

// memory carries a plan of 10,000 steps out and reads the largest size of the process from the system.
func (b *bench) memory() ([]figure, error) {
	_, mb, err := b.runSteps(largePlan, 64)
	if err != nil {
		return nil, err
	}
	return []figure{{Name: "run-10000-steps-memory", Value: round(mb), Unit: "MB", Goal: 100, OK: mb <= 100}}, nil
}

// apply compares `astern apply` of a two-stage rollback of four instances with a shell that types the same commands and
// waits for the same health: of a service as it is when it declares nothing else, whose processes must live for a second to count as
// started, and of one that hardly waits for any health, so that what astern itself takes is most of it.
func (b *bench) apply() ([]figure, error) {
	var figures []figure
	for _, of := range []struct {
		name   string
		uptime time.Duration
	}{{"apply", time.Second}, {"apply-hardly-waiting", hardly}} {
		w := applyWorld{b, filepath.Join(b.folder, of.name), of.uptime}
		if err := w.make(); err != nil {
			return nil, err
		}
		defer w.stop()
		ours, theirs, err := b.pair(5, w.byAstern, w.byShell)
		if err != nil {
			return nil, err
		}
		f := compared(of.name, "ms", ours, "a shell with the commands that the plan shows", theirs, 1.05)
		f.OK = f.OK || ours-theirs <= 50
		figures = append(figures, f)
	}
	return figures, nil
}

// hardly is the uptime of a service that hardly waits for its processes.
const hardly = 50 * time.Millisecond

// applyWorld is a service of that many processes, i0 and on, with two releases.
type applyWorld struct {
	*bench
	dir    string
	uptime time.Duration // how long each must live to count as started
}

const processes = 4

const applyYAML = `version: 1
system: bench
environments:
  bench:
    components:
      service:
        kind: host.service
        checks:
          alive: {command: {argv: [root/ctl, status, "{member}"]}, effects: none, each: true, interval: 50ms}
        ready: [alive]
        with:
          root: root
          link: current-{instance}
          instances: [{name: i0}, {name: i1}, {name: i2}, {name: i3}]
          commands: {restart: [./ctl, restart, "{instance}"], status: [./ctl, status, "{instance}"]}
          uptime: `

const applyCtl = `#!/bin/sh
cd "$(dirname "$0")"
pid=run-$2
case $1 in
restart)
	# One that has ended may stay in the table until its parent asks: in a container that can take seconds.
	[ ! -f "$pid" ] || { kill -9 "$(cat "$pid")" 2>/dev/null; while ps -o stat= -p "$(cat "$pid")" | grep -q '^[^Z]'; do sleep 0.01; done; }
	setsid "./current-$2/serve" </dev/null >/dev/null 2>&1 &
	echo $! >"$pid" ;;
status) [ -f "$pid" ] && kill -0 "$(cat "$pid")" 2>/dev/null || exit 3; cat "$pid" ;;
stop) [ ! -f "$pid" ] || kill -9 "$(cat "$pid")" ;;
esac
`

func (w applyWorld) make() error {
	for _, v := range []string{"v1", "v2"} {
		if err := os.MkdirAll(filepath.Join(w.dir, "root/releases", v), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(w.dir, "root/releases", v, "serve"), []byte("#!/bin/sh\n# "+v+"\nexec sleep 600\n"), 0o700); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(w.dir, "root/ctl"), []byte(applyCtl), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(w.dir, "astern.yaml"), []byte(applyYAML+w.uptime.String()+"\n"), 0o600); err != nil {
		return err
	}
	for i := range processes {
		if err := os.Symlink("releases/v2", filepath.Join(w.dir, fmt.Sprintf("root/current-i%d", i))); err != nil {
			return err
		}
		if _, err := w.command(w.dir, nil, "root/ctl", "restart", fmt.Sprintf("i%d", i)); err != nil {
			return err
		}
	}
	for _, args := range []string{"record deploy service v1", "record known-good service v1 --reason bench", "record deploy service v2",
		"record known-good service v2 --reason bench"} {
		if _, err := w.command(w.dir, nil, append([]string{w.astern}, strings.Fields(args)...)...); err != nil {
			return err
		}
	}
	return nil
}

// other returns the revision that does not run.
func (w applyWorld) other() (string, error) {
	now, err := os.Readlink(filepath.Join(w.dir, "root/current-i0"))
	if strings.HasSuffix(now, "v1") {
		return "v2", err
	}
	return "v1", err
}

// byAstern applies a plan made before.
func (w applyWorld) byAstern() (float64, error) {
	if err := w.plan(); err != nil {
		return 0, err
	}
	return w.command(w.dir, nil, w.astern, "apply", "plan.json")
}

// plan writes the plan of a rollback in two stages to the revision that does not run.
func (w applyWorld) plan() error {
	to, err := w.other()
	if err != nil {
		return err
	}
	for _, v := range []string{"v1", "v2"} { // the latch of the round before; there is none at first
		if _, err := w.command(w.dir, []int{2}, w.astern, "latch", "release", "service", v, "--reason", "bench"); err != nil {
			return err
		}
	}
	_, err = w.command(w.dir, nil, w.astern, "plan", "rollback", "service", "--to", to, "--percent", "50", "--out", "plan.json")
	return err
}

// byShell has a shell run the commands that the plan shows a person, but those of astern itself, and wait as long as astern does: until
// a process has lived for its uptime, until its check passes, and until the checks of each gate do.
func (w applyWorld) byShell() (float64, error) {
	if err := w.plan(); err != nil {
		return 0, err
	}
	script, err := w.typed(filepath.Join(w.dir, "plan.json"))
	if err != nil {
		return 0, err
	}
	return w.command(w.dir, nil, "sh", "-c", script)
}

// typed returns the script of a plan's commands, which wait for what they have done.
func (w applyWorld) typed(file string) (string, error) {
	doc, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	p, _, err := planfile.Decode(doc)
	if err != nil {
		return "", err
	}
	script, commands := "set -e\n", 0
	for i := range p.Stages {
		lanes, err := p.Lanes(i)
		if err != nil {
			return "", err
		}
		for _, lane := range lanes {
			for _, s := range lane.Steps {
				command := cmp.Or(s.Step.Commands[lane.Member], s.Step.Command)
				command = strings.ReplaceAll(command, "{member}", lane.Member)
				switch {
				case strings.HasPrefix(command, "astern "):
					continue
				case s.Step.Kind == "check":
					command = passes(command)
				case s.Step.Verb == "restart":
					command = fmt.Sprintf("(%s)\nsleep %g", command, w.uptime.Seconds())
				}
				script += command + "\n"
				commands++
			}
		}
		if p.Stages[i].Gate == nil {
			continue
		}
		for _, id := range p.Stages[i].Gate.Checks { // who comes by the gate has seen that they pass
			c, ok := p.Check(id, "")
			if !ok {
				return "", fmt.Errorf("the plan has no check %s, which a gate waits for", id)
			}
			script += passes(strings.Join(c.Command.Argv, " ")) + "\n"
		}
	}
	if want := processes * 3; commands != want {
		return "", fmt.Errorf("the plan shows %d commands, not the swap, restart and check of four members", commands)
	}
	return script, nil
}

// passes is a shell's way to wait until a check passes, as often as the check's interval says.
func passes(command string) string { return "until " + command + " >/dev/null; do sleep 0.05; done" }

func (w applyWorld) stop() {
	for i := range processes {
		_, _ = w.command(w.dir, []int{1}, "root/ctl", "stop", fmt.Sprintf("i%d", i)) // what is gone already is stopped
	}
}
