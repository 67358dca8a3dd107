package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/astern-dev/astern/internal/proof"
)

// codeCommit returns the last commit that changed anything but documents, "+changes" added when the tree has others.
func codeCommit(ctx context.Context) (string, error) {
	paths := []string{"--", ".", ":!docs", ":!*.md"}
	commit, err := exec.CommandContext(ctx, "git", append([]string{"log", "-1", "--format=%h"}, paths...)...).Output()
	if err != nil {
		return "", fmt.Errorf("asking git for the commit: %w", err)
	}
	changed, err := exec.CommandContext(ctx, "git", append([]string{"status", "--porcelain"}, paths...)...).Output()
	if err != nil {
		return "", fmt.Errorf("asking git for changes: %w", err)
	}
	name := strings.TrimSpace(string(commit))
	if len(bytes.TrimSpace(changed)) > 0 {
		name += "+changes"
	}
	return name, nil
}

// build compiles the test of the proof once for all of its chunks.
func build(ctx context.Context, p task) (string, error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", err
	}
	binary, err := filepath.Abs(filepath.Join(folder, p.Name+".test"))
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, "./"+p.Package).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building the tests of %s: %w\n%s", p.Package, err, out)
	}
	return binary, nil
}

// chunk makes the trials from first on and returns their figures. It fails with the output of the test.
func chunk(ctx context.Context, p task, binary string, first uint64) (map[string]float64, error) {
	file, err := os.CreateTemp("", "astern-proof-*.json")
	if err != nil {
		return nil, err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	count := min(p.Chunk, p.Trials-first)
	cmd := exec.CommandContext(ctx, binary, "-test.run=^"+p.Test+"$", "-test.timeout=30m", "-test.v")
	cmd.Dir = p.Package
	cmd.Env = append(os.Environ(),
		proof.FirstVariable+"="+strconv.FormatUint(first, 10),
		proof.CountVariable+"="+strconv.FormatUint(count, 10),
		proof.TrialsVariable+"="+strconv.FormatUint(p.Trials, 10),
		proof.FiguresVariable+"="+file.Name())
	out, err := cmd.CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("trials %d to %d: %w\n%s", first, first+count-1, err, tail(out, 400))
	}
	if !bytes.Contains(out, []byte("--- PASS: "+p.Test+" ")) {
		return nil, fmt.Errorf("trials %d to %d: the test %s did not run\n%s", first, first+count-1, p.Test, tail(out, 20))
	}
	figures := map[string]float64{}
	for lines := json.NewDecoder(file); lines.More(); {
		var more map[string]float64
		if err := lines.Decode(&more); err != nil {
			return nil, fmt.Errorf("reading the figures of %s: %w", p.Name, err)
		}
		merge(figures, more)
	}
	return figures, nil
}

// merge adds figures, as proof.Figures says.
func merge(sum, more map[string]float64) {
	for name, v := range more {
		had, ok := sum[name]
		switch {
		case !ok:
			sum[name] = v
		case strings.HasPrefix(name, "max_"):
			sum[name] = max(had, v)
		case strings.HasPrefix(name, "min_"):
			sum[name] = min(had, v)
		default:
			sum[name] = had + v
		}
	}
}

func tail(out []byte, lines int) string {
	all := strings.Split(strings.TrimSpace(string(out)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
