package secret_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/secret"
)

func TestResolve(t *testing.T) {
	folder, home := t.TempDir(), t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("ASTERN_TEST_TOKEN", "hunter2")
	t.Setenv("ASTERN_TEST_EMPTY", "")
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(folder, "token"), "hunter3\n")
	write(filepath.Join(folder, "crlf"), "hunter4\r\n")
	write(filepath.Join(folder, "two"), "a\n\n")
	write(filepath.Join(folder, "empty"), "\n")
	write(filepath.Join(folder, "huge"), strings.Repeat("x", 1<<20+1))
	write(filepath.Join(home, "token"), "hunter5")

	for _, tt := range []struct {
		name   string
		in     astern.Secret
		want   string
		code   astern.Code
		errHas string
	}{
		{"variable", astern.Secret{Env: "ASTERN_TEST_TOKEN"}, "hunter2", "", ""},
		{"variable not set", astern.Secret{Env: "ASTERN_TEST_ABSENT"}, "", astern.NotFound, "ASTERN_TEST_ABSENT is not set"},
		{"variable empty", astern.Secret{Env: "ASTERN_TEST_EMPTY"}, "", astern.Invalid, "ASTERN_TEST_EMPTY is empty"},
		{"relative file", astern.Secret{File: "token"}, "hunter3", "", ""},
		{"absolute file", astern.Secret{File: filepath.Join(folder, "crlf")}, "hunter4", "", ""},
		{"one newline is cut", astern.Secret{File: "two"}, "a\n", "", ""},
		{"home file", astern.Secret{File: "~/token"}, "hunter5", "", ""},
		{"missing file", astern.Secret{File: "absent"}, "", astern.NotFound, filepath.Join(folder, "absent")},
		{"empty file", astern.Secret{File: "empty"}, "", astern.Invalid, "is empty"},
		{"huge file", astern.Secret{File: "huge"}, "", astern.Invalid, "larger than"},
		{"folder", astern.Secret{File: "."}, "", astern.Invalid, "directory"},
		{"neither", astern.Secret{}, "", astern.Invalid, "neither"},
		{"both", astern.Secret{Env: "ASTERN_TEST_TOKEN", File: "token"}, "", astern.Invalid, "both"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := secret.Resolve(tt.in, folder)
			if got.Reveal() != tt.want || astern.CodeOf(err) != tt.code {
				t.Fatalf("got %d bytes, %v (code %q), want %d bytes, code %q",
					len(got.Reveal()), err, astern.CodeOf(err), len(tt.want), tt.code)
			}
			if err != nil && !strings.Contains(err.Error(), tt.errHas) {
				t.Errorf("error %q does not say %q", err, tt.errHas)
			}
			if s := fmt.Sprintf("%v %+v %s %v", got, got, got, err); strings.Contains(s, "hunter") {
				t.Errorf("the value shows in %q", s)
			}
		})
	}
}
