package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/view"
)

// exported is everything that the state folder holds.
type exported struct {
	Kind       string              `json:"kind"` // always "Export"
	Version    int                 `json:"version"`
	System     string              `json:"system"`
	At         time.Time           `json:"at"`
	Events     []astern.Event      `json:"events"`
	Executions []exportedExecution `json:"executions"`
}

type exportedExecution struct {
	Execution astern.Execution  `json:"execution"`
	Plan      json.RawMessage   `json:"plan"` // exactly the plan file
	Records   []astern.Record   `json:"records"`
	Approvals []astern.Approval `json:"approvals"`
}

func (s *session) export() *cobra.Command {
	return &cobra.Command{
		Use: "export", Short: "print the whole ledger and all executions as one JSON document", Args: takes(0, 0),
		Long: `Prints everything that the state folder holds as one JSON document: the ledger, and each execution with its plan,
journal and approvals.

  astern export > state.json`,
		RunE: s.runs(func(ctx context.Context, _ []string) error {
			return s.with(ctx, reading, func(a *app.App) error { return s.exportAll(ctx, a) })
		}),
	}
}

// exportAll writes the document piece by piece: a state folder may hold more than fits into memory.
func (s *session) exportAll(ctx context.Context, a *app.App) error {
	if s.output == "yaml" {
		return s.exportWhole(ctx, a)
	}
	head, err := view.Indented(exported{Kind: "Export", Version: view.DocumentVersion, System: a.System.Name, At: a.Now()})
	if err != nil {
		return err
	}
	before, ok := bytes.CutSuffix(head, []byte(",\n  \"events\": [],\n  \"executions\": []\n}\n"))
	if !ok {
		return astern.Errorf(astern.Internal, "the head of the export is not what it should be").WithHint("this is a bug of astern: please report it")
	}
	out := bufio.NewWriterSize(s.stdout, 64<<10)
	l := &lister{w: out}
	l.text(string(before))
	l.open("events")
	events, err := a.Store.Events(ctx, "", 0)
	if err != nil {
		return err
	}
	for _, e := range events {
		l.item(e)
	}
	l.close()
	l.open("executions")
	all, err := a.Store.Executions(ctx, 0, false)
	if err != nil {
		return err
	}
	for _, e := range all {
		one, err := exportOf(ctx, a, e)
		if err != nil {
			return err
		}
		if l.item(one); l.err != nil {
			break
		}
	}
	l.close()
	l.text("\n}\n")
	if l.err == nil {
		l.err = out.Flush()
	}
	if heard(l.err) != nil {
		return fmt.Errorf("writing the output: %w", l.err)
	}
	return nil
}

// exportWhole writes the document at once, as YAML.
func (s *session) exportWhole(ctx context.Context, a *app.App) (err error) {
	x := exported{Kind: "Export", Version: view.DocumentVersion, System: a.System.Name, At: a.Now()}
	if x.Events, err = a.Store.Events(ctx, "", 0); err != nil {
		return err
	}
	all, err := a.Store.Executions(ctx, 0, false)
	if err != nil {
		return err
	}
	for _, e := range all {
		one, err := exportOf(ctx, a, e)
		if err != nil {
			return err
		}
		x.Executions = append(x.Executions, one)
	}
	return s.result(x, func(io.Writer, view.Style) error { return nil })
}

// exportOf reads all that there is of an execution.
func exportOf(ctx context.Context, a *app.App, e astern.Execution) (one exportedExecution, err error) {
	one.Execution = e
	if one.Plan, err = a.Store.Plan(ctx, e.PlanHash); err != nil {
		return one, err
	}
	if one.Records, err = a.Store.Read(ctx, e.ID, 0); err != nil {
		return one, err
	}
	one.Approvals, err = a.Store.Approvals(ctx, e.PlanHash)
	return one, err
}

// lister writes lists of a JSON document item by item. After an error it writes nothing more.
type lister struct {
	w     io.Writer
	items int
	err   error
}

func (l *lister) text(text string) {
	if l.err == nil {
		_, l.err = io.WriteString(l.w, text)
	}
}

func (l *lister) open(name string) {
	l.items = 0
	l.text(",\n  \"" + name + "\": [")
}

func (l *lister) item(v any) {
	if l.err != nil {
		return
	}
	doc, err := view.Indented(v)
	if err != nil {
		l.err = err
		return
	}
	if l.items > 0 {
		l.text(",")
	}
	l.items++
	l.text("\n    " + strings.ReplaceAll(strings.TrimSuffix(string(doc), "\n"), "\n", "\n    ")) // no text of JSON holds a line break
}

func (l *lister) close() {
	if l.items > 0 {
		l.text("\n  ")
	}
	l.text("]")
}
