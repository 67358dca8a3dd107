package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// targets is how many releases the measured service has.
const targets = 1000

// check compares `astern check --full` of 1,000 local targets, in a state folder that no check was in before, with `sha256sum` of the same files, and `astern check` on
// the unchanged tree with `git status`.
func (b *bench) check() ([]figure, error) {
	dir, err := b.service("check", targets)
	if err != nil {
		return nil, err
	}
	root := filepath.Join(dir, "root")
	for _, argv := range [][]string{{"git", "init", "-q"}, {"git", "add", "-A"},
		{"git", "-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "-qm", "all"}} {
		if _, err := b.command(root, nil, argv...); err != nil {
			return nil, err
		}
	}
	// A recorded deployment makes the state folder, in which what was read is kept: a new one, for the first check of all.
	fresh := func() error {
		if err := os.RemoveAll(filepath.Join(dir, ".astern")); err != nil {
			return err
		}
		for _, rev := range []string{"v1.0.0", "v1.0.1"} {
			if _, err := b.command(dir, nil, b.astern, "record", "deploy", "service", rev); err != nil {
				return err
			}
		}
		return nil
	}
	asternCheck := func(args ...string) func() (float64, error) {
		return func() (float64, error) {
			return b.command(dir, []int{4}, append([]string{b.astern, "check"}, args...)...)
		}
	}
	full, sums, err := b.pair(9, func() (float64, error) {
		if err := fresh(); err != nil {
			return 0, err
		}
		return asternCheck("--full")()
	}, func() (float64, error) {
		return b.command(root, nil, "sh", "-c", "find releases -type f -print0 | xargs -0 sha256sum")
	})
	if err != nil {
		return nil, err
	}
	again, status, err := b.pair(25, asternCheck(), func() (float64, error) { return b.command(root, nil, "git", "status", "--short") })
	if err != nil {
		return nil, err
	}
	return []figure{
		compared("check-full", "ms", full, "sha256sum of the same files", sums, 1.2),
		compared("check-again", "ms", again, "git status on the same tree", status, 2),
	}, nil
}

// service makes a system of one service with that many releases of four files, whose one instance is never started.
func (b *bench) service(name string, releases int) (string, error) {
	dir := filepath.Join(b.folder, name)
	for n := range releases {
		for file := range 4 {
			path := filepath.Join(dir, "root", "releases", fmt.Sprintf("v1.0.%d", n), fmt.Sprintf("file-%d", file))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				return "", err
			}
			text := strings.Repeat(fmt.Sprintf("release %d file %d\n", n, file), 400)
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				return "", err
			}
		}
	}
	if err := os.Symlink("releases/v1.0.0", filepath.Join(dir, "root", "current")); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "astern.yaml"), []byte(serviceYAML), 0o600)
}

const serviceYAML = `version: 1
system: bench
environments:
  bench:
    components:
      service:
        kind: host.service
        with:
          root: root
          instances: [{name: one}]
          commands: {start: ["true"], stop: ["true"], status: [sh, -c, "exit 3"]}
`
