package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/astern-dev/astern/internal/proof"
)

// Caps of what one command may take on a hostile file. The one of time is generous: a busy machine stays below it. The race
// detector takes some of its own for each byte. What it really took is printed.
const (
	mostMemory = 100 << 20 * detectorFactor
	mostTime   = 60 * time.Second
)

// hostileFile is a file that takes a careless reader far more than its size: a head, a text again and again, and a tail. It is
// written as a stream, for Linux counts what this process took as taken by those that it starts.
type hostileFile struct {
	head, again string
	times       int
	tail        string
}

var hostileFiles = map[string]hostileFile{
	"nothing":          {},
	"half":             {head: `{"kind":"Plan","version":1,"stages":[{"title":"x","ste`},
	"deep lists":       {"", "[", 3 << 20, ""},
	"deep objects":     {"", `{"a":`, 700_000, ""},
	"many lists":       {"[", "[],", 1_300_000, "[]]"},
	"many numbers":     {`{"kind":"Plan","stages":[`, "0,", 1_900_000, "0]}"},
	"many keys":        {"a: {", "b: [c],", 63_000, "}"},
	"one text":         {`{"kind":"`, "x", 3 << 20, `"}`},
	"one number":       {`{"version":1`, "0", 200 << 10, "}"},
	"not UTF-8":        {"", "a: \xff\xfe\x00\n", 100_000, ""},
	"controls":         {"", "\x1b[2J\x1b]0;owned\x07\n", 10_000, ""},
	"alias bomb":       {"a: &a [x,x,x,x,x,x,x,x,x]\n", "b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n", 9, ""},
	"five megabytes":   {"", "# a line\n", 5 << 20 / 9, ""},
	"eighty megabytes": {`{"kind":"Plan","reason":"`, "x", 80 << 20, `"}`},
}

func (h hostileFile) write(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriter(f)
	w.WriteString(h.head)
	for range h.times {
		w.WriteString(h.again)
	}
	w.WriteString(h.tail)
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestHostileFilesAreBounded gives hostile files to the program, as astern.yaml, as a plan and as a signature, and hostile texts
// to what writes into the ledger: each is refused with a clear word, in bounded memory and time, and nothing is changed.
func TestHostileFilesAreBounded(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(filepath.Join(folder, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("good.yaml", hostileSystem)
	write("svc/releases/v1/run", "x")
	_, _, least, _ := bounded(t, folder, "help")
	figures := map[string]float64{"help_megabytes": megabytes(least)}
	for name, content := range hostileFiles {
		content.write(t, filepath.Join(folder, "hostile"))
		for what, args := range map[string][]string{
			"yaml": {"validate", "-f", "hostile"}, "plan": {"apply", "hostile", "-f", "good.yaml", "--yes"},
			"approval": {"approve", "hostile", "-f", "good.yaml", "--reason", "x"}, "check": {"check", "-f", "hostile"},
		} {
			if (what == "approval" || what == "check") && name != "half" {
				continue // these read as the others do
			}
			code, says, memory, took := bounded(t, folder, args...)
			if code != 2 && code != 3 {
				t.Errorf("%s as %s: exit code %d: %.300q", name, what, code, says)
			}
			judgeBounds(t, name+" as "+what, says, memory, took)
			t.Logf("%s as %s: exit code %d, %.0f MB, %s", name, what, code, megabytes(memory), took.Round(time.Millisecond))
			figures["max_"+what+"_megabytes"] = max(figures["max_"+what+"_megabytes"], megabytes(memory))
			figures["max_"+what+"_seconds"] = max(figures["max_"+what+"_seconds"], took.Seconds())
		}
	}
	for _, text := range []string{strings.Repeat("x", 100_000), "\xff\xfe", "a\nb", "\x1b[2J", strings.Repeat("[", 50_000), "../../x"} {
		for _, args := range [][]string{{"record", "deploy", "svc", text, "--reason", "x"}, {"record", "deploy", text, "v1"}, {"latch", "add", "svc", text, "--reason", "x"},
			{"record", "known-good", "svc", text}, {"may", "deploy", "svc", text}} {
			code, says, memory, took := bounded(t, folder, append(args, "-f", "good.yaml")...)
			if code == 0 {
				t.Errorf("%.80q was taken: %.300q", args, says)
			}
			judgeBounds(t, args[0], says, memory, took)
		}
	}
	if code, says, _, _ := bounded(t, folder, "ledger", "-f", "good.yaml", "-o", "json"); code != 0 || strings.Contains(says, `"revision"`) {
		t.Errorf("the ledger holds something (%d): %.500s", code, says)
	}
	proof.Figures(t, figures)
}

func megabytes(bytes int64) float64 { return float64(bytes >> 20) }

// judgeBounds judges what a refusal said and took.
func judgeBounds(t *testing.T, what, says string, memory int64, took time.Duration) {
	t.Helper()
	if memory > mostMemory || took > mostTime {
		t.Errorf("%s took %d MB and %s", what, memory>>20, took)
	}
	if strings.TrimSpace(says) == "" || len(says) > 512<<10 || !utf8.ValidString(says) || strings.ContainsAny(says, "\x1b\a\x00") ||
		strings.Contains(says, "goroutine ") {
		t.Errorf("%s says %d bytes: %.500q", what, len(says), says)
	}
}

// bounded runs the program and returns its exit code, all that it said, and the most memory and the time that it took.
func bounded(t *testing.T, folder string, args ...string) (code int, says string, memory int64, took time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), mostTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "astern", args...)
	var out bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = folder, &out, &out
	cmd.Env = append(os.Environ(), "HOME="+folder, "GORACE=atexit_sleep_ms=0")
	began := time.Now()
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	memory = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss
	if memory < 1<<30 { // Linux counts in kilobytes, macOS in bytes
		memory <<= 10
	}
	return cmd.ProcessState.ExitCode(), out.String(), memory, time.Since(began)
}
