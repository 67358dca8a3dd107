package cli

import (
	"context"
	"encoding/json"
	"io"
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

func (s *session) exportAll(ctx context.Context, a *app.App) error {
	x := exported{Kind: "Export", Version: view.DocumentVersion, System: a.System.Name, At: a.Now()}
	var err error
	if x.Events, err = a.Store.Events(ctx, "", 0); err != nil {
		return err
	}
	all, err := a.Store.Executions(ctx, 0, false)
	if err != nil {
		return err
	}
	for _, e := range all {
		one := exportedExecution{Execution: e}
		if one.Plan, err = a.Store.Plan(ctx, e.PlanHash); err != nil {
			return err
		}
		if one.Records, err = a.Store.Read(ctx, e.ID, 0); err != nil {
			return err
		}
		if one.Approvals, err = a.Store.Approvals(ctx, e.PlanHash); err != nil {
			return err
		}
		x.Executions = append(x.Executions, one)
	}
	return s.result(x, func(w io.Writer, _ view.Style) error { return view.JSON(w, x) })
}
