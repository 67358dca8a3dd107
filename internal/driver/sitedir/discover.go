package sitedir

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
)

// discoverer is the driver's Discoverer.
type discoverer struct{}

// mostPlaces is how many folders of one place are looked at.
const mostPlaces = 10_000

var notInName = pattern.New(`[^a-z0-9-]+`)

// Discover looks at each folder, and at the folders in it, for the root of a site on this machine: a folder releases of
// which some have an index.html, and a link current into it.
func (discoverer) Discover(ctx context.Context, places []string) ([]astern.Discovered, error) {
	var out []astern.Discovered
	seen := map[string]bool{}
	for _, at := range places {
		abs, err := filepath.Abs(at)
		if err != nil {
			return nil, astern.Errorf(astern.Invalid, "looking at %s: %w", at, err)
		}
		candidates := []string{abs}
		entries, _ := os.ReadDir(abs) // a place that can't be read has nothing to show
		for _, e := range entries[:min(len(entries), mostPlaces)] {
			if e.IsDir() {
				candidates = append(candidates, filepath.Join(abs, e.Name()))
			}
		}
		for _, root := range candidates {
			if ctx.Err() != nil {
				return nil, astern.Errorf(astern.Interrupted, "looking at %s: %w", at, context.Cause(ctx))
			}
			if !seen[root] && isSite(root) {
				seen[root] = true
				out = append(out, discovered(root))
			}
		}
	}
	return out, nil
}

// isSite reports whether the folder is the root of a site.
func isSite(root string) bool {
	p := place{releases: "releases"}
	text, err := os.Readlink(filepath.Join(root, "current"))
	if err != nil {
		return false
	}
	if filepath.IsAbs(text) {
		text, _ = filepath.Rel(root, text) // what is elsewhere is no release
	}
	if revisionAt(p, filepath.ToSlash(filepath.Clean(text))) == "" {
		return false
	}
	found, err := filepath.Glob(filepath.Join(strings.NewReplacer(`*`, `\*`, `?`, `\?`, `[`, `\[`, `\`, `\\`).Replace(root), "releases", "*", "index.html"))
	return err == nil && len(found) > 0
}

// discovered is the declaration of a site.
func discovered(root string) astern.Discovered {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(filepath.Base(root)), "-"), "-")
	if name == "" {
		name = "site"
	}
	return astern.Discovered{Name: name[:min(len(name), 50)], Kind: Kind, Settings: Settings{Root: root}, Guessed: []string{
		"the name " + name + " is that of the folder " + root,
		"that it is a site: its releases have an index.html; where processes run from them, declare kind host.service instead",
		"index.html as the only entry point: name those that visitors ask for first",
		"no url: with one, each switch is proven by what the site answers",
	}}
}
