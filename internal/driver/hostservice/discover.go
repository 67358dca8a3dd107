package hostservice

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
	links := linksInto(root)
	if found == 0 || len(links) == 0 {
		return astern.Discovered{}, false
	}
	name := componentName(filepath.Base(root))
	link, instances := perInstance(links, name)
	s := Settings{Root: root, Instances: instances,
		Commands: &Commands{Start: []string{"./ctl", "start", "{instance}"}, Stop: []string{"./ctl", "stop", "{instance}"},
			Status: []string{"./ctl", "status", "{instance}"}}}
	if link != "current" {
		s.Link = link
	}
	many := "one instance on this machine: name those there are, with their hosts and addresses"
	if len(instances) > 1 {
		many = fmt.Sprintf("%d instances on this machine, one for each link: write their hosts and addresses", len(instances))
	}
	return astern.Discovered{Name: name, Kind: Kind, Settings: s, Guessed: []string{
		"the name " + name + " is that of the folder " + root,
		many,
		"the commands: write those that start, stop and show an instance, or systemd: {unit: …}",
	}}, true
}

// perInstance reads one link for several instances out of those there are: current-a and current-b are current-{instance}. Where
// there is a link current, or links have no such thing in common, there is one instance.
func perInstance(links []string, component string) (link string, instances []Instance) {
	alone := []Instance{{Name: component + "-1"}}
	if slices.Contains(links, "current") {
		return "current", alone
	}
	same := links[0]
	for _, l := range links[1:] {
		for !strings.HasPrefix(l, same) {
			same = same[:len(same)-1]
		}
	}
	if rest, ok := strings.CutPrefix(same, "current"); ok && rest != "" { // current-shop-1 and current-shop-2 are of shop-1 and shop-2
		same = same[:len("current")+1]
	}
	same = same[:strings.LastIndexAny(same, "-_.@")+1] // what instances are called begins after it
	if len(links) < 2 || same == "" {
		return links[0], alone
	}
	for _, l := range links {
		name := l[len(same):]
		if !goodName(name) {
			return links[0], alone
		}
		instances = append(instances, Instance{Name: name})
	}
	return same + "{instance}", instances
}

// linksInto returns the names of the symbolic links in root that lead to one of its releases.
func linksInto(root string) []string {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink == 0 || !goodBelow(e.Name()) {
			continue
		}
		at := filepath.Join(root, e.Name())
		text, err := os.Readlink(at)
		if err != nil {
			continue
		}
		if seen := readLink(layout{root: root, releases: filepath.Join(root, "releases")}, "", at, text, ""); seen.revision != "" {
			out = append(out, e.Name())
		}
	}
	return out
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
