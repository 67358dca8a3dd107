package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/config"
	"github.com/astern-dev/astern/internal/pattern"
	"github.com/astern-dev/astern/internal/view"
)

const schemaFile = "astern.schema.json"

// keptSuffix names the file beside astern.yaml that keeps what a search has found so far.
const keptSuffix = ".search"

// telling shows on stderr how far a search is: on a terminal in one line that changes, elsewhere a line a second at most.
// Told ends it.
func (s *session) telling() (tell func(app.Progress), told func()) {
	_, live := s.terminal(s.stderr)
	var last time.Time
	told = func() {
		if live && !last.IsZero() {
			fmt.Fprint(s.stderr, "\r\x1b[K") // as below
		}
	}
	return func(p app.Progress) {
		now := time.Now()
		pause := time.Second
		if live {
			pause = 100 * time.Millisecond
		}
		if p.Waits == "" && now.Sub(last) < pause {
			return
		}
		last = now
		what := fmt.Sprintf("%d found so far, looking for %s at %s (%d)", p.Total, p.Kind, p.Place, p.Found)
		if p.Waits != "" {
			what = fmt.Sprintf("%d found so far, looking for %s at %s: %s", p.Total, p.Kind, p.Place, p.Waits)
		}
		if live {
			fmt.Fprintf(s.stderr, "\r\x1b[K%s", oneLine(what)) // progress that can't be shown stops nothing
			return
		}
		_ = text(s.stderr, what) // the same
	}, told
}

func (s *session) initCommand() *cobra.Command {
	var f changeFlags
	var rebuild bool
	cmd := &cobra.Command{
		Use: "init [PLACE…]", Short: "write astern.yaml, or import what hosts remember", Args: takes(0, -1),
		Long: `Without an astern.yaml: looks at the places (default: this folder) for what can be brought back and writes a commented
astern.yaml and its schema beside it. It never overwrites one, and writes none where nothing is found. A place is a folder, or
a region of AWS: aws:eu-central-1 (aws: is the region of the environment).

What is found in a cloud is kept beside astern.yaml, in astern.yaml.search, until the file is written: a search that was
interrupted, killed or refused goes on from the page it was at when the same command is given again within a day.

With an astern.yaml: imports what the hosts' folders and git tags remember into the ledger, as deployed and unproven.
--rebuild does the same after the state folder was lost, and says how far the hosts remember.

  astern init /srv
  astern init --rebuild`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			_, err := os.Lstat(s.file)
			switch missing := errors.Is(err, fs.ErrNotExist); {
			case missing && rebuild:
				return astern.Errorf(astern.NotFound, "there is no %s to rebuild the state of", s.file).WithHint("write it first: astern init")
			case missing:
				return s.writeConfig(ctx, args, f.dryRun)
			case len(args) > 0:
				return astern.Errorf(astern.Conflict, "%s exists and is never overwritten", s.file).
					WithHint("astern init without places imports what hosts remember; astern init -f OTHER PLACE… writes another file")
			}
			return s.with(ctx, changing(f.dryRun), func(a *app.App) error { return s.importAll(ctx, a, f.dryRun) })
		}),
	}
	cmd.Flags().BoolVar(&rebuild, "rebuild", false, "after a lost state folder: rebuild the ledger as far as the hosts remember")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say what would be written")
	return cmd
}

// imported is the document of an import.
type imported struct {
	Kind    string         `json:"kind"` // always "Imported"
	Version int            `json:"version"`
	DryRun  bool           `json:"dry_run,omitempty"`
	Events  []astern.Event `json:"events"`
	Notes   []string       `json:"notes"`
}

func (s *session) importAll(ctx context.Context, a *app.App, dryRun bool) error {
	es, _, err := s.scope(a)
	if err != nil {
		return err
	}
	r := imported{Kind: "Imported", Version: view.DocumentVersion, DryRun: dryRun}
	for _, e := range es {
		found, err := a.Import(ctx, e)
		if err != nil {
			return err
		}
		r.Events, r.Notes = append(r.Events, found.Events...), append(r.Notes, found.Notes...)
	}
	return s.result(r, func(w io.Writer, _ view.Style) error {
		var lines []string
		if dryRun {
			lines = append(lines, "dry run, nothing was written")
		}
		revisions := map[string][]string{}
		var order []string
		for _, e := range r.Events {
			if e.Kind != astern.EventImported {
				continue
			}
			if revisions[e.Address] == nil {
				order = append(order, e.Address)
			}
			revisions[e.Address] = append(revisions[e.Address], e.Revision)
		}
		for _, address := range order {
			lines = append(lines, fmt.Sprintf("%s: %d revisions as deployed, unproven: %s", address, len(revisions[address]), strings.Join(revisions[address], ", ")))
		}
		return text(w, append(lines, r.Notes...)...)
	})
}

// writeConfig discovers components and writes astern.yaml and its schema.
func (s *session) writeConfig(ctx context.Context, places []string, dryRun bool) error {
	if len(places) == 0 {
		places = []string{"."}
	}
	for _, p := range places {
		if strings.HasPrefix(p, app.CloudPlace) {
			continue
		}
		if _, err := os.Stat(p); err != nil {
			return astern.Errorf(astern.NotFound, "looking at %s: %w", p, err)
		}
	}
	tell, told := s.telling()
	search := app.Search{Places: places, Now: time.Now, Tell: tell}
	if !dryRun {
		search.Kept = s.file + keptSuffix
	}
	result, err := app.Discover(ctx, search)
	told()
	if s.warn(result.Notes...); err != nil {
		return err
	}
	found := result.Found
	if len(found) == 0 {
		if err := os.Remove(search.Kept); search.Kept != "" && err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.warn("the search is over, and what it kept could not be removed: " + err.Error())
		}
		return s.foundNothing(places)
	}
	abs, err := filepath.Abs(s.file)
	if err != nil {
		return astern.Errorf(astern.Invalid, "finding %s: %w", s.file, err)
	}
	content, err := declaration(nameOf(filepath.Base(filepath.Dir(abs)), "system"), found)
	if err != nil {
		return err
	}
	if dryRun {
		if _, err := s.stdout.Write(content); heard(err) != nil {
			return fmt.Errorf("writing the output: %w", err)
		}
		return nil
	}
	beside := filepath.Join(filepath.Dir(s.file), schemaFile)
	if _, err := os.Lstat(beside); errors.Is(err, fs.ErrNotExist) {
		if err := writeFile(beside, config.Schema(), 0o644); err != nil {
			return err
		}
	}
	if err := writeFile(s.file, content, 0o644); err != nil {
		return err
	}
	if err := os.Remove(search.Kept); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.warn("the search is over, and what it kept could not be removed: " + err.Error())
	}
	if _, err := config.Parse(s.file, content, filepath.Dir(abs), app.Drivers(nil, nil)); err != nil {
		s.warn(fmt.Sprintf("%s needs your hand before it is valid:\n%v", s.file, err))
	}
	return s.say(done{What: fmt.Sprintf("%s written, components found: %d; look at every line that says guessed", s.file, len(found)), File: s.file,
		Next: []string{"astern validate", "astern init    (imports what the hosts remember)", "astern check"}})
}

// foundNothing says where else to look. A file that declares nothing would be in the way of the next search.
func (s *session) foundNothing(places []string) error {
	hint := "name the folder that holds releases and the link to one of them: astern init /srv/shop"
	cloud := slices.ContainsFunc(places, func(p string) bool { return strings.HasPrefix(p, app.CloudPlace) })
	if region := cmp.Or(s.env("AWS_REGION"), s.env("AWS_DEFAULT_REGION")); !cloud && app.Region(region) {
		hint = "astern init " + app.CloudPlace + region + " looks there; or " + hint
	} else if cloud || s.env("AWS_ACCESS_KEY_ID")+s.env("AWS_PROFILE") != "" {
		hint = "name the region where it is: astern init " + app.CloudPlace + "eu-central-1; or " + hint
	}
	return astern.Errorf(astern.NotReady, "nothing was found in %s, and nothing was written", oneLine(strings.Join(places, ", "))).WithHint("%s", hint)
}

var notInName = pattern.New(`[^a-z0-9]+`)

// nameOf makes a valid name of a text.
func nameOf(text, otherwise string) string {
	n := strings.Trim(notInName.ReplaceAllString(strings.ToLower(text), "-"), "-")
	if n == "" {
		return otherwise
	}
	return strings.TrimRight(n[:min(len(n), 63)], "-")
}

const configHead = `# yaml-language-server: $schema=` + schemaFile + `
# What astern brings back. Written by astern init: look at every line that says guessed, then run astern validate.
version: 1
# guessed: the name of this folder
system: %s
environments:
  # guessed: rename it, or add others beside it
  production:
    # How long a new or restored revision is watched before it counts as known-good, and who must approve.
    policy: {watch: 30m, approvals: 0, approvals_on_loss: 1}
    components:
`

// declaration writes an astern.yaml that declares what was found.
func declaration(system string, found []astern.Discovered) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, configHead, system)
	used := map[string]bool{}
	for _, d := range found {
		name := nameOf(d.Name, "service")
		for n := 2; used[name]; n++ {
			name = fmt.Sprintf("%s-%d", nameOf(d.Name, "service"), n)
		}
		used[name] = true
		for _, g := range d.Guessed {
			fmt.Fprintf(&b, "      # guessed: %s\n", oneLine(g))
		}
		fmt.Fprintf(&b, "      %s:\n        kind: %s\n", name, d.Kind)
		b.WriteString("        # How long going back may take, and how much of the newest data may be lost.\n        objectives: {rto: 5m, rpo: 0s}\n")
		if err := settings(&b, d.Settings); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// settings writes the kind's own part below `with`.
func settings(b *bytes.Buffer, v any) error {
	doc, err := json.Marshal(v)
	if err != nil {
		return astern.Errorf(astern.Internal, "writing what was found: %w", err)
	}
	var out bytes.Buffer
	if err := view.YAML(&out, json.RawMessage(doc)); err != nil {
		return err
	}
	b.WriteString("        with:\n")
	for line := range strings.Lines(out.String()) {
		b.WriteString("          " + line)
	}
	return nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
