package cli

import (
	"context"
	"io"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/version"
	"github.com/astern-dev/astern/internal/view"
)

// built is what a build of astern is.
type built struct {
	Kind        string `json:"kind"` // always "Version"
	Version     int    `json:"version"`
	Astern      string `json:"astern"`
	Go          string `json:"go"`
	Platform    string `json:"platform"`
	PlanVersion int    `json:"plan_version"`
}

func (s *session) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "print the version", Args: takes(0, 0),
		Long: "Prints the version of astern and of the plan format that it writes and applies.\n\n  astern version -o json",
		RunE: s.runs(func(context.Context, []string) error {
			v := built{"Version", view.DocumentVersion, version.Astern, runtime.Version(), version.Platform, astern.PlanVersion}
			return s.result(v, func(w io.Writer, _ view.Style) error {
				return text(w, version.Text())
			})
		}),
	}
}
