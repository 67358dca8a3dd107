package drivertest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// Programs has every shell that this process starts note its arguments, for World.Asked: drivers run their fixed scripts by
// `sh -c SCRIPT astern ARGUMENTS`. It changes PATH until the test ends.
func Programs(t *testing.T) func(t testing.TB) []Asked {
	t.Helper()
	real, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	bin, noted := t.TempDir(), t.TempDir()
	text := fmt.Sprintf("#!%s\nprintf '%%s\\0' \"$#\" \"$@\" >>'%s'/$$\nexec %s \"$@\"\n", real, noted, real)
	if err := os.WriteFile(filepath.Join(bin, "sh"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	return func(t testing.TB) []Asked {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(noted, "*"))
		if err != nil {
			t.Fatal(err)
		}
		var out []Asked
		for _, name := range files {
			all, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
			out = append(out, programsIn(t, all)...)
		}
		return out
	}
}

// programsIn reads what shells of one process number have noted: how many arguments there are, and each of them.
func programsIn(t testing.TB, all []byte) (out []Asked) {
	t.Helper()
	words := bytes.Split(all, []byte{0})
	words = words[:len(words)-1]
	for len(words) > 0 {
		n, err := strconv.Atoi(string(words[0]))
		if err != nil || n >= len(words) {
			t.Fatalf("what a shell noted can't be read: %.200q", all)
		}
		var args []string
		for _, w := range words[1 : n+1] {
			args = append(args, string(w))
		}
		words = words[n+1:]
		script := min(len(args), 3) // -c, the script, its name
		out = append(out, Asked{Shape: fmt.Sprintf("sh %q", args[:script]), Data: slices.Clone(args[script:])})
	}
	return out
}
