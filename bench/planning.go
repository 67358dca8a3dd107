package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/astern-dev/astern/internal/planfile"
)

// manyInstances is how many instances a service has whose rollback takes largePlan steps: each is pointed to the other release,
// restarted, and waited for.
const manyInstances = largePlan/3 + 1

// planning measures the very command that plans a rollback of more than 10,000 steps: all instances are looked at, the targets
// found and judged, and the plan is made and written.
func (b *bench) planning() ([]figure, error) {
	dir, err := b.manyInstances()
	if err != nil {
		return nil, err
	}
	for _, args := range []string{"record deploy service v1", "record known-good service v1 --reason bench", "record deploy service v2"} {
		if _, err := b.command(dir, nil, append([]string{b.astern}, strings.Fields(args)...)...); err != nil {
			return nil, err
		}
	}
	plan := filepath.Join(dir, "plan.json")
	took, _, err := b.pair(3, func() (float64, error) {
		return b.command(dir, nil, b.astern, "plan", "rollback", "service", "--to", "v1", "--percent", "100", "--out", plan)
	}, func() (float64, error) { return 0, os.Remove(plan) })
	if err != nil {
		return nil, err
	}
	if _, err := b.command(dir, nil, b.astern, "plan", "rollback", "service", "--to", "v1", "--percent", "100", "--out", plan); err != nil {
		return nil, err
	}
	steps, err := stepsOf(plan)
	if err == nil && steps < largePlan {
		err = fmt.Errorf("the plan has %d steps, want %d", steps, largePlan)
	}
	if err != nil {
		return nil, err
	}
	mb, err := b.applyMany(dir, plan)
	return []figure{{Name: "plan-10000-steps", Value: round(took / 1000), Unit: "s", Goal: 1, OK: took <= 1000},
		{Name: "apply-10000-steps-memory", Value: round(mb), Unit: "MB", Goal: 100, OK: mb <= 100}}, err
}

// applyMany is the very command that carries that plan out, each step by the shell and with a process that is really started. It returns
// the most memory that astern had, in MB.
func (b *bench) applyMany(dir, plan string) (mb float64, err error) {
	defer func() { err = errors.Join(err, stopMany(dir)) }()
	cmd := exec.CommandContext(b.ctx, b.astern, "apply", plan)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("carrying out the rollback of %d instances: %w: %s", manyInstances, err, out[max(0, len(out)-2000):])
	}
	for i := range manyInstances {
		at, err := os.Readlink(filepath.Join(dir, "root/links", manyName(i)))
		if err == nil && filepath.Base(at) != "v1" {
			err = fmt.Errorf("after the rollback %s points to %q", manyName(i), at)
		}
		if err != nil {
			return 0, err
		}
	}
	return float64(cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss) / 1000, nil
}

// stopMany ends the processes that restarts have begun, as far as they are what was begun.
func stopMany(dir string) error {
	var all []error
	for i := range manyInstances {
		b, err := os.ReadFile(filepath.Join(dir, "root/begun", manyName(i)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		pid, err2 := strconv.Atoi(strings.TrimSpace(string(b)))
		if err = errors.Join(err, err2); err == nil {
			if at, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); at == filepath.Join(dir, "root") {
				err = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

// manyName is the name of an instance.
func manyName(i int) string { return fmt.Sprintf("i%05d", i) }

// stepsOf counts the steps of a plan, those of each member.
func stepsOf(file string) (int, error) {
	doc, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	p, _, err := planfile.Decode(doc)
	if err != nil {
		return 0, err
	}
	steps := 0
	for i := range p.Stages {
		lanes, err := p.Lanes(i)
		if err != nil {
			return 0, err
		}
		for _, lane := range lanes {
			steps += len(lane.Steps)
		}
	}
	return steps, nil
}

// manyInstances makes a service whose instances all run v2: to each a file tells the same process, this one, so that looking at them is
// astern's own work and not that of thousands of status commands.
func (b *bench) manyInstances() (string, error) {
	dir := filepath.Join(b.folder, "many")
	for _, folder := range []string{"releases/v1", "releases/v2", "links", "run", "begun"} {
		if err := os.MkdirAll(filepath.Join(dir, "root", folder), 0o700); err != nil {
			return "", err
		}
	}
	for _, v := range []string{"v1", "v2"} {
		if err := os.WriteFile(filepath.Join(dir, "root/releases", v, "serve"), []byte("#!/bin/sh\n# "+v+"\nexec sleep 600\n"), 0o700); err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "root/ctl"), []byte(manyCtl), 0o700); err != nil {
		return "", err
	}
	var config strings.Builder
	config.WriteString(manyYAML)
	for i := range manyInstances {
		name := manyName(i)
		fmt.Fprintf(&config, "            - {name: %s}\n", name)
		if err := os.Symlink("../releases/v2", filepath.Join(dir, "root/links", name)); err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(dir, "root/run", name), []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
			return "", err
		}
	}
	return dir, os.WriteFile(filepath.Join(dir, "astern.yaml"), []byte(config.String()), 0o600)
}

// manyCtl begins an instance. What a file tells before is no process of its own, so nothing is ended.
const manyCtl = `#!/bin/sh
cd "$(dirname "$0")"
setsid "links/$2/serve" </dev/null >/dev/null 2>&1 &
echo $! >"begun/$2"
cp "begun/$2" "run/$2.new"
mv "run/$2.new" "run/$2"
`

const manyYAML = `version: 1
system: bench
environments:
  bench:
    components:
      service:
        kind: host.service
        checks:
          alive: {command: {argv: [test, -s, "root/run/{member}"]}, effects: none, each: true}
        ready: [alive]
        with:
          root: root
          link: links/{instance}
          parallel: 64
          pid_file: run/{instance}
          uptime: 20ms
          commands: {restart: [./ctl, restart, "{instance}"]}
          instances:
`
