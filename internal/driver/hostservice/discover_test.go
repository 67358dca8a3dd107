package hostservice

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Several links side by side are those of several instances.
func TestDiscoverInstances(t *testing.T) {
	for _, c := range []struct {
		links     string // those that lead to a release
		link      string
		instances string
	}{
		{"current", "", "shop-1"},
		{"current previous", "", "shop-1"},
		{"live", "live", "shop-1"},
		{"current-a current-b", "current-{instance}", "a b"},
		{"current-shop-1 current-shop-2", "current-{instance}", "shop-1 shop-2"},
		{"shop.a shop.b shop.bc", "shop.{instance}", "a b bc"},
		{"current current-a current-b", "", "shop-1"},
		{"blue green", "blue", "shop-1"},
		{"currenta currentb", "currenta", "shop-1"},
	} {
		root := filepath.Join(t.TempDir(), "shop")
		if err := os.MkdirAll(filepath.Join(root, "releases", "v1"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, l := range append(strings.Fields(c.links), "elsewhere-a") {
			to := filepath.Join("releases", "v1")
			if l == "elsewhere-a" {
				to = "/tmp"
			}
			if err := os.Symlink(to, filepath.Join(root, l)); err != nil {
				t.Fatal(err)
			}
		}
		found, err := discoverer{}.Discover(t.Context(), []string{root})
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %+v, %v", c.links, found, err)
		}
		s := found[0].Settings.(Settings)
		var names []string
		for _, in := range s.Instances {
			names = append(names, in.Name)
		}
		if s.Link != c.link || strings.Join(names, " ") != c.instances {
			t.Errorf("%s: link %q of %q", c.links, s.Link, names)
		}
		if many := slices.ContainsFunc(found[0].Guessed, func(g string) bool { return strings.Contains(g, "one for each link") }); many != (len(names) > 1) {
			t.Errorf("%s: guessed %q", c.links, found[0].Guessed)
		}
	}
}
