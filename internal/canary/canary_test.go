package canary_test

import (
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/astern-dev/astern/internal/canary"
)

// TestLeaks: the search finds a canary in each form, and nothing where there is none.
func TestLeaks(t *testing.T) {
	value := canary.Variables()["PGPASSWORD"]
	for _, text := range []string{value, "x" + value + "y", strings.ToUpper(value), hex.EncodeToString([]byte("a" + value)),
		base64.StdEncoding.EncodeToString([]byte("user:" + value)), base64.URLEncoding.EncodeToString([]byte("ab" + value + "c")), base64.StdEncoding.EncodeToString([]byte(value))} {
		if got := canary.Leaks([]byte("{" + text + "}")); len(got) == 0 || !strings.HasPrefix(got[0], "PGPASSWORD") {
			t.Errorf("%q: found %q", text, got)
		}
	}
	if got := canary.Leaks([]byte("cnry <secret> " + value[:len(value)-1])); len(got) > 0 {
		t.Errorf("found %q where there is nothing", got)
	}
}

// TestKept: each thing has a secret of its own, and any of them is found by its beginning and by its end.
func TestKept(t *testing.T) {
	one, two := canary.Kept("one"), canary.Kept("two")
	if one == two || one != canary.Kept("one") {
		t.Errorf("%q and %q", one, two)
	}
	for _, value := range []string{one, two, one[:len(one)/2], one[len(one)/2:]} {
		for _, text := range []string{value, strings.ToLower(value), hex.EncodeToString([]byte(value)), base64.StdEncoding.EncodeToString([]byte("a" + value))} {
			if got := canary.Leaks([]byte("{" + text + "}")); len(got) == 0 || !strings.HasPrefix(got[0], "a kept secret") {
				t.Errorf("%q: found %q", text, got)
			}
		}
	}
}

// TestSearch: what is placed is passed over, what leaked is found wherever it lies, and a search of nothing proves nothing.
func TestSearch(t *testing.T) {
	dir := t.TempDir()
	if err := canary.Place(dir); err != nil {
		t.Fatal(err)
	}
	if _, _, err := canary.Search(dir); err == nil {
		t.Error("a search of no file proves something")
	}
	for name, text := range map[string]string{"a/b/log": "x" + strings.TrimPrefix(canary.Files()["header"], "Bearer "), "a/fine": "nothing"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	files, found, err := canary.Search(dir)
	if err != nil || files != 2 || !slices.Equal(found, []string{"/a/b/log holds file header"}) {
		t.Errorf("%d files, %q, %v", files, found, err)
	}
}
