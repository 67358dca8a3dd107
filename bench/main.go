// Bench measures astern against something real that runs beside it in the same run, and prints one line of JSON for each
// figure: name, value, unit, what it is compared against, ratio, goal, and whether the goal is met. A ratio travels from
// machine to machine; a value alone does not. It exits with 0 also when a goal is missed: a figure is no test.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// figure is one line of the output. Value and Against are in Unit; Ratio is Value divided by Against.
type figure struct {
	Name    string  `json:"name"`
	Value   float64 `json:"value"`
	Unit    string  `json:"unit"`
	Against string  `json:"against,omitempty"`
	Other   float64 `json:"other,omitempty"`
	Ratio   float64 `json:"ratio,omitempty"`
	Goal    float64 `json:"goal"`
	OK      bool    `json:"ok"`
}

// bench is what every measurement shares.
type bench struct {
	ctx    context.Context
	astern string // the binary
	folder string // scratch
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == stepsChild {
		os.Exit(runStepsChild(os.Args[2:]))
	}
	binary := flag.String("astern", "bin/astern", "the binary to measure")
	only := flag.String("only", "", "run only the measurement of that name")
	flag.Parse()
	if err := run(*binary, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(binary, only string) error {
	abs, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp("", "astern-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	b := &bench{ctx: context.Background(), astern: abs, folder: folder}
	for _, m := range []struct {
		name    string
		measure func() ([]figure, error)
	}{
		{"version", b.version}, {"size", b.size}, {"check", b.check}, {"engine", b.engine}, {"plan", b.planning}, {"memory", b.memory}, {"apply", b.apply}, {"react", b.react}, {"watch", b.watch}, {"cloud", b.cloud},
	} {
		if only != "" && only != m.name {
			continue
		}
		figures, err := m.measure()
		if err != nil {
			return fmt.Errorf("measuring %s: %w", m.name, err)
		}
		for _, f := range figures {
			line, err := json.Marshal(f)
			if err != nil {
				return err
			}
			fmt.Println(string(line))
		}
	}
	return nil
}

// compared makes a figure from a value and its peer's.
func compared(name, unit string, value float64, against string, other, goal float64) figure {
	ratio := value / other
	return figure{name, round(value), unit, against, round(other), round(ratio), goal, ratio <= goal}
}

func round(v float64) float64 {
	return float64(int64(v*1000+0.5)) / 1000
}

// command runs a program in the folder and returns how long it took, in milliseconds. Exit codes in allow are no error.
func (b *bench) command(dir string, allow []int, argv ...string) (float64, error) {
	cmd := exec.CommandContext(b.ctx, argv[0], argv[1:]...)
	cmd.Dir = dir
	start := time.Now()
	out, err := cmd.CombinedOutput()
	took := float64(time.Since(start).Microseconds()) / 1000
	if err != nil && (cmd.ProcessState == nil || !slices.Contains(allow, cmd.ProcessState.ExitCode())) {
		return 0, fmt.Errorf("%v: %w: %s", argv, err, out)
	}
	return took, nil
}

// pair times two commands by turns, so that what else the machine does meets both, and returns the median of each, in
// milliseconds. The first round only warms up.
func (b *bench) pair(rounds int, one, other func() (float64, error)) (float64, float64, error) {
	var a, c []float64
	for range rounds + 1 {
		for _, m := range []struct {
			f   func() (float64, error)
			out *[]float64
		}{{one, &a}, {other, &c}} {
			took, err := m.f()
			if err != nil {
				return 0, 0, err
			}
			*m.out = append(*m.out, took)
		}
	}
	return median(a[1:]), median(c[1:]), nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return s[len(s)/2]
}

// version compares the start of astern with that of a program that only says hello: of `astern version`, which is answered
// before the program is made ready, and of a command that is not and does next to nothing.
func (b *bench) version() ([]figure, error) {
	hello := filepath.Join(b.folder, "hello.go")
	source := "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println(\"hello\") }\n"
	if err := os.WriteFile(hello, []byte(source), 0o600); err != nil {
		return nil, err
	}
	binary := filepath.Join(b.folder, "hello")
	if _, err := b.command(b.folder, nil, "go", "build", "-trimpath", "-o", binary, hello); err != nil {
		return nil, err
	}
	// Both as they are installed: a file that the linker has just written lies in small pieces in the memory of the system,
	// and starts more slowly than its copy.
	astern, copied := filepath.Join(b.folder, "astern-copy"), filepath.Join(b.folder, "hello-copy")
	for to, from := range map[string]string{astern: b.astern, copied: binary} {
		if _, err := b.command(b.folder, nil, "cp", from, to); err != nil {
			return nil, err
		}
	}
	var out []figure
	for _, f := range []struct{ name, command string }{{"version", "version"}, {"start", "help"}} {
		ours, theirs, err := b.pair(200,
			func() (float64, error) { return b.command(b.folder, nil, astern, f.command) },
			func() (float64, error) { return b.command(b.folder, nil, copied) })
		if err != nil {
			return nil, err
		}
		out = append(out, compared(f.name, "ms", ours, "a Go hello-world", theirs, 2))
	}
	return out, nil
}

// size is that of the binary.
func (b *bench) size() ([]figure, error) {
	info, err := os.Stat(b.astern)
	if err != nil {
		return nil, err
	}
	mb := float64(info.Size()) / 1e6
	return []figure{{Name: "binary", Value: round(mb), Unit: "MB", Goal: 40, OK: mb <= 40}}, nil
}
