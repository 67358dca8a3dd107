package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/bench/nobody"
	"github.com/astern-dev/astern/bench/tree"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/planfile"
	"github.com/astern-dev/astern/internal/store/sqlite"
)

// shape is what a site is like.
type shape struct {
	name    string
	deploys bool // astern itself deployed each release; else somebody pointed the link to it and told the ledger
	notes   bool // who built the releases wrote a manifest of each
	url     bool // where the site answers is declared
}

var shapes = []shape{
	{name: "recorded"},
	{name: "deployed", deploys: true},
	{name: "noted", notes: true},
	{name: "answering", deploys: true, url: true},
}

// The releases of each site. Those before the last are targets: all were watched and are known-good.
const current = "v1.2.0"

var proven = []string{"v1.0.0", "v1.1.0"}

// entries are those that are declared.
var entries = []string{"index.html", "docs/index.html"}

const address = "test/site"

// world is one site.
type world struct {
	shape
	slot  string // the disk
	root  string // of the site
	home  string // folder of astern.yaml and the state
	web   *web
	disks bool
	files map[string]map[string][]byte // by release and path: what was built

	at       place  // as it is declared now
	other    string // the target under whose name something else was recorded last
	root0    tree.Tree
	home0    tree.Tree
	declared place
}

// place is what is declared of a site.
type place struct{ root, releases, url, entry string }

// built is what the release holds: names that easily go wrong, folders, an empty file, a large one and many small ones.
func built(rev string) map[string][]byte {
	out := map[string][]byte{}
	add := func(name, text string) { out[name] = []byte(text) }
	add("index.html", "<h1>"+rev+"</h1>\n")
	add("docs/index.html", "<h1>how to use "+rev+"</h1>\n")
	add("assets/app."+strings.ReplaceAll(rev, ".", "")+".js", "let version = '"+rev+"'\n")
	add("assets/logo.svg", strings.Repeat("a line of "+rev+"\n", 2000))
	add("assets/empty", "")
	add("a b/it's \"quoted\" $(touch pwned).txt", rev)
	add(".well-known/ümläut", rev)
	for i := range 12 {
		add(fmt.Sprintf("pages/%d.html", i), fmt.Sprintf("<p>page %d of %s\n", i, rev))
	}
	if rev == current {
		add("about/index.html", rev) // which was a file before
	} else {
		add("about", rev)
	}
	return out
}

// build makes a site with three releases.
func build(ctx context.Context, folder string, slot int, s shape, server *web) (*world, error) {
	disk := filepath.Join(folder, fmt.Sprintf("slot-%d", slot))
	w := &world{shape: s, slot: disk, root: filepath.Join(disk, "site root"), home: filepath.Join(folder, fmt.Sprintf("work/world-%d", slot)),
		web: server, files: map[string]map[string][]byte{}}
	_, err := os.Stat(filepath.Join(folder, "work", nobody.HasDisks))
	w.disks = err == nil
	for _, at := range []string{w.root, w.home} {
		if err := tree.RemoveAll(at); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(at, 0o755); err != nil {
			return nil, err
		}
	}
	w.web.does(w.usual)
	w.declared = place{root: w.root, releases: "releases", entry: entries[1]}
	if s.url {
		w.declared.url = server.server.URL
	}
	if err := w.declare(func(*place) {}); err != nil {
		return nil, err
	}
	for _, rev := range append(slices.Clone(proven), current) {
		w.files[rev] = built(rev)
		if err := w.release(ctx, rev); err != nil {
			return nil, fmt.Errorf("making a world (%s): %s: %w", s.name, rev, err)
		}
	}
	if w.root0, err = tree.Keep(w.root); err == nil {
		w.home0, err = tree.Keep(w.home)
	}
	return w, err
}

// usual is what the web server does where nothing is broken.
func (w *world) usual(h *how) {
	*h = how{folder: filepath.Join(w.root, "current"), header: cached}
}

// release writes a release and has it served, as the shape has it.
func (w *world) release(ctx context.Context, rev string) error {
	for name, text := range w.files[rev] {
		if err := write(filepath.Join(w.root, "releases", rev, name), text); err != nil {
			return err
		}
	}
	if w.notes {
		if err := write(filepath.Join(w.root, "manifests", rev+".json"), manifest(rev, w.files[rev])); err != nil {
			return err
		}
	}
	if !w.deploys {
		if err := relink(filepath.Join(w.root, "current"), "releases/"+rev); err != nil {
			return err
		}
	}
	a, done, err := w.open(ctx)
	if err != nil {
		return err
	}
	r := app.Record{Environment: "test", Component: "site", Revision: rev, Reason: "it ran for a year"}
	if w.deploys {
		var p app.Planned
		if p, err = a.Plan(ctx, app.Ask{Verb: astern.VerbDeploy, Environment: "test", Components: []string{"site"}, Revision: rev, Percent: 100, Way: "cli"}); err == nil {
			err = carryOut(ctx, a, p.Doc)
		}
	} else {
		_, _, err = a.RecordDeploy(ctx, r)
	}
	if err == nil {
		_, err = a.RecordKnownGood(ctx, r)
	}
	return errors.Join(err, done())
}

// restore puts everything back as it was after the deployments.
func (w *world) restore() error {
	w.other = ""
	w.web.does(w.usual)
	w.at = w.declared
	entries, err := os.ReadDir(w.slot)
	if err != nil {
		return err
	}
	for _, e := range entries { // what fills the disk, and what was moved out of the site
		if at := filepath.Join(w.slot, e.Name()); at != w.root {
			if err := tree.RemoveAll(at); err != nil {
				return err
			}
		}
	}
	if err := tree.MakeFolder(w.root, 0o755); err != nil {
		return err
	}
	return errors.Join(w.root0.Repair(w.root), w.home0.Repair(w.home))
}

// open opens astern on the world.
func (w *world) open(ctx context.Context) (*app.App, func() error, error) {
	store, err := sqlite.Open(ctx, filepath.Join(w.home, ".astern"))
	if err != nil {
		return nil, nil, err
	}
	a, err := app.Open(filepath.Join(w.home, "astern.yaml"), store)
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return a, func() error { return errors.Join(a.Close(), store.Close()) }, nil
}

// carryOut applies a plan and runs it to its end. An execution that holds is an error.
func carryOut(ctx context.Context, a *app.App, doc []byte) error {
	_, hash, err := planfile.Decode(doc)
	if err != nil {
		return err
	}
	e, _, err := a.Apply(ctx, doc, app.Vouch{Trust: hash})
	if err != nil {
		return err
	}
	r, _, err := a.Run(ctx, e.ID, nil)
	if err == nil && r.Outcome != astern.OutcomeDone {
		err = astern.Errorf(astern.Refused, "it ends %q and holds because of %v", r.Outcome, r.Holds)
	}
	return err
}

// declare writes astern.yaml, with something changed of what is declared.
func (w *world) declare(change func(p *place)) error {
	w.at = w.declared
	change(&w.at)
	with := map[string]any{"root": w.at.root, "releases": w.at.releases, "entries": []string{entries[0], w.at.entry}}
	if w.at.url != "" {
		with["url"], with["cache_control"] = w.at.url, cached
	}
	text, err := json.Marshal(map[string]any{"version": 1, "system": "truth", "environments": map[string]any{"test": map[string]any{
		"policy": map[string]any{"watch": "0s"}, "components": map[string]any{"site": map[string]any{"kind": "site.dir", "with": with}}}}}) // which is YAML as well
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.home, "astern.yaml"), text, 0o600)
}

// manifest says what a release holds, in the form that the driver documents; it is written here once more, so that whoever
// builds releases need not be astern.
func manifest(rev string, files map[string][]byte) []byte {
	type file struct {
		Path   string `json:"path"`
		Size   int    `json:"size"`
		SHA256 string `json:"sha256"`
	}
	m := struct {
		Kind     string `json:"kind"`
		Version  int    `json:"version"`
		Revision string `json:"revision"`
		Hash     string `json:"hash"`
		Files    []file `json:"files"`
	}{Kind: "SiteManifest", Version: 1, Revision: rev}
	var lines bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sum := sha256.Sum256(files[name])
		f := file{name, len(files[name]), hex.EncodeToString(sum[:])}
		m.Files = append(m.Files, f)
		fmt.Fprintf(&lines, "%s %d %s\n", f.SHA256, f.Size, f.Path)
	}
	sum := sha256.Sum256(lines.Bytes())
	m.Hash = "sha256:" + hex.EncodeToString(sum[:])
	text, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		panic(err) // texts and numbers always encode
	}
	return append(text, '\n')
}

func write(at string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	return os.WriteFile(at, text, 0o644)
}

// relink has a link lead elsewhere, whatever it was.
func relink(at, to string) error {
	if err := os.RemoveAll(at); err != nil {
		return err
	}
	return os.Symlink(to, at)
}
