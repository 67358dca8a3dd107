package config_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/config"
	"github.com/astern-dev/astern/internal/proof"
)

// sound checks that a document is valid, or that what is wrong with it is told as it should be.
func sound(t *testing.T, src []byte, system astern.System, err error) (valid bool) {
	t.Helper()
	if err == nil {
		if len(system.Environments) == 0 || system.Name == "" {
			t.Errorf("an empty system was accepted: %.300q", src)
		}
		return true
	}
	var list *config.Errors
	if !errors.As(err, &list) || len(list.Problems) == 0 || astern.CodeOf(err) != astern.Invalid {
		t.Fatalf("got %T %v of %.300q", err, err, src)
	}
	for _, p := range list.Problems {
		if p.Line < 0 || p.Line > len(src)+1 || p.What == "" || len(p.What) > 2_000 || strings.ContainsAny(p.Snippet, "\n\x1b\x00") {
			t.Errorf("a broken problem %#v of %.300q", p, src)
		}
	}
	return false
}

// TestEveryPrefix reads every beginning of the example, as a write that was cut off leaves it.
func TestEveryPrefix(t *testing.T) {
	src := example(t)
	judge := config.Judge(testSchema(t))
	for n := range src {
		system, err := judge("astern.yaml", src[:n], "/", testDrivers())
		sound(t, src[:n], system, err)
	}
}

// words are what hostile and careless documents are made of.
var words = []string{"&a ", "*a", "<<: *a\n", "!!binary ", "!x ", "? ", "- ", ": ", "{", "}", "[", "]", ",", "|\n", ">\n", "\t", "\r", "\x00", "\xff", "\xfe\xff", "\ufeff",
	"\u2028", "\u0085", "---\n", "...\n", "%YAML 1.1\n", "#", "\"", "'", "\\", "no", "on", "~", "0777", "0o17", "1_000", "12:30:45", "2026-01-01", ".inf", ".nan", "1e400",
	"-0", "9223372036854775808", "version: 2\n", "version: 1\n", "environments:\n", "kind: jsonexec\n", "{{revision}}", "\x1b[2J", "../..", "$(id)", strings.Repeat("x", 5_000),
	strings.Repeat("[", 200), strings.Repeat("{a: ", 120), strings.Repeat("- ", 150)}

// mutated changes a document at a few random places: bytes, words, lines that are lost, repeated, swapped or moved in.
func mutated(r *rand.Rand, src []byte) []byte {
	for range 1 + r.IntN(4) {
		at := r.IntN(len(src) + 1)
		to := at + r.IntN(min(len(src)-at, 40)+1)
		switch r.IntN(6) {
		case 0:
			src = bytes.Join([][]byte{src[:at], src[to:]}, nil)
		case 1:
			src = bytes.Join([][]byte{src[:at], {byte(r.IntN(256))}, src[to:]}, nil)
		case 2, 3:
			src = bytes.Join([][]byte{src[:at], []byte(words[r.IntN(len(words))]), src[at:]}, nil)
		default:
			lines := bytes.SplitAfter(src, []byte("\n"))
			i, k := r.IntN(len(lines)), r.IntN(len(lines))
			switch r.IntN(4) {
			case 0:
				lines[i] = nil
			case 1:
				lines[i] = bytes.Repeat(lines[i], 2)
			case 2:
				lines[i], lines[k] = lines[k], lines[i]
			default:
				lines[i] = append([]byte(strings.Repeat(" ", r.IntN(5))), lines[i]...)
			}
			src = bytes.Join(lines, nil)
		}
	}
	return src
}

// TestMutatedDocuments reads documents that were changed at random: each is valid or its problems are told; none panics.
func TestMutatedDocuments(t *testing.T) {
	first, count := proof.Seeds(t, 2_000)
	judge := config.Judge(testSchema(t))
	src := example(t)
	valid := 0
	for seed := first; seed < first+count; seed++ {
		doc := mutated(rand.New(rand.NewPCG(seed, 6)), src)
		system, err := judge("astern.yaml", doc, "/", testDrivers())
		if sound(t, doc, system, err) {
			valid++
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	proof.Figures(t, map[string]float64{"documents": float64(count), "still_valid": float64(valid)})
}

// TestNoRegularFile names what is no file with -f: none of it is waited for.
func TestNoRegularFile(t *testing.T) {
	dir := t.TempDir()
	pipe, loop, secret := filepath.Join(dir, "pipe"), filepath.Join(dir, "loop"), filepath.Join(dir, "secret")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Symlink("loop", loop), os.WriteFile(secret, nil, 0)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pipe, loop, dir, "/dev/zero", "/dev/null", secret} {
		if path == secret && os.Geteuid() == 0 {
			continue // root may read it
		}
		if _, err := config.Load(path, testDrivers()); err == nil {
			t.Errorf("%s was read", path)
		}
	}
}

// TestTooManyValues has documents below the limit of bytes that would take gigabytes of memory.
func TestTooManyValues(t *testing.T) {
	for name, c := range map[string]struct{ src, want string }{
		"lists":  {"[" + strings.Repeat("[],", 1_300_000) + "]", "holds more than 200000 keys and values"},
		"keys":   {"a: {" + strings.Repeat("b: [c],", 590_000) + "}", "holds more than 200000 keys and values"},
		"lines":  {strings.Repeat("\n", 4_000_000), "has more than 200000 lines"},
		"dashes": {strings.Repeat("- ", 2_000_000), "holds more than 200000 keys and values"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("astern.yaml", []byte(c.src), "/", testDrivers())
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "divide it") {
				t.Errorf("got %v", err)
			}
		})
	}
}
