package hostservice

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
)

// discoverer is the driver's Discoverer.
type discoverer struct{}

// Discover looks at each folder, and at the folders in it, for a release root on this machine: a folder releases, and a
// symbolic link into it.
func (discoverer) Discover(ctx context.Context, places []string) ([]astern.Discovered, error) {
	var out []astern.Discovered
	seen := map[string]bool{}
	for _, place := range places {
		abs, err := filepath.Abs(place)
		if err != nil {
			return nil, astern.Errorf(astern.Invalid, "looking at %s: %w", place, err)
		}
		candidates := []string{abs}
		entries, err := os.ReadDir(abs)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			continue
		case err != nil && len(entries) == 0:
			return nil, astern.Errorf(astern.Invalid, "looking at %s: %w", place, err)
		}
		for _, e := range entries {
			if e.IsDir() {
				candidates = append(candidates, filepath.Join(abs, e.Name()))
			}
		}
		for _, root := range candidates {
			if err := ctx.Err(); err != nil {
				return nil, astern.Errorf(astern.Interrupted, "looking at %s: %w", place, context.Cause(ctx))
			}
			if d, ok := recognize(root); ok && !seen[root] {
				seen[root] = true
				out = append(out, d)
			}
		}
	}
	return out, nil
}

// recognize returns the component whose releases are in root.
func recognize(root string) (astern.Discovered, bool) {
	folders, err := os.ReadDir(filepath.Join(root, "releases"))
	if err != nil {
		return astern.Discovered{}, false
	}
	found := 0
	for _, f := range folders {
		if f.IsDir() && goodRevision(f.Name()) {
			found++
		}
	}
	link := linkInto(root)
	if found == 0 || link == "" {
		return astern.Discovered{}, false
	}
	name := componentName(filepath.Base(root))
	s := Settings{Root: root, Instances: []Instance{{Name: name + "-1"}},
		Commands: &Commands{Start: []string{"./ctl", "start", "{instance}"}, Stop: []string{"./ctl", "stop", "{instance}"},
			Status: []string{"./ctl", "status", "{instance}"}}}
	if link != "current" {
		s.Link = link
	}
	return astern.Discovered{Name: name, Kind: Kind, Settings: s, Guessed: []string{
		"the name " + name + " is that of the folder " + root,
		"one instance on this machine: name those there are, with their hosts and addresses",
		"the commands: write those that start, stop and show an instance, or systemd: {unit: …}",
	}}, true
}

// linkInto returns the name of a symbolic link in root that leads to one of its releases: current before any other.
func linkInto(root string) string {
	entries, err := os.ReadDir(root)
	if err != nil {
		return ""
	}
	name := ""
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink == 0 || !goodBelow(e.Name()) {
			continue
		}
		at := filepath.Join(root, e.Name())
		text, err := os.Readlink(at)
		if err != nil {
			continue
		}
		if seen := readLink(layout{root: root, releases: filepath.Join(root, "releases")}, "", at, text, ""); seen.revision == "" {
			continue
		}
		if name == "" || e.Name() == "current" {
			name = e.Name()
		}
	}
	return name
}

var notInName = pattern.New(`[^a-z0-9-]+`)

// componentName makes a component's name of a folder's.
func componentName(folder string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(folder), "-"), "-")
	if name == "" {
		return "service"
	}
	return name[:min(len(name), 50)]
}
