package cli

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/view"
)

// replayFlags are what is judged again, and by what.
type replayFlags struct {
	policy  string
	signals string
	shadow  bool
	since   string
}

func (s *session) replayCommand() *cobra.Command {
	f := replayFlags{since: "7d"}
	cmd := &cobra.Command{
		Use: "replay [INCIDENT]", Short: "judge the past again: what another policy would have done, and saved or lost", Args: takes(0, 1),
		Long: `Judges decisions of the past again and shows what would have been decided beside what was: when, and how many failed requests
that would have saved or lost, with what is not known. It changes nothing.

  INCIDENT         each decision of an incident, by the policy of another astern.yaml
  --signals FILE   a recording that astern watch --record made: each fault in it
  --shadow         all decisions in shadow mode as if they had been acted on, and whether people did the same later

--policy takes a whole astern.yaml, of which only the environments' policies count: copy yours, change the policy, compare.
Without it the present one judges.

  astern replay inc-3 --policy bolder.yaml
  astern replay --signals monday.jsonl --policy bolder.yaml -o json
  astern replay --shadow --since 30d`,
		RunE: s.runs(func(ctx context.Context, args []string) error { return s.replay(ctx, f, args) }),
	}
	cmd.Flags().StringVar(&f.policy, "policy", "", "another astern.yaml whose policies judge (default: the present one)")
	cmd.Flags().StringVar(&f.signals, "signals", "", "recording of astern watch --record")
	cmd.Flags().BoolVar(&f.shadow, "shadow", false, "all decisions in shadow mode")
	cmd.Flags().StringVar(&f.since, "since", f.since, "with --shadow: since when, as 7d or a time")
	return cmd
}

func (s *session) replay(ctx context.Context, f replayFlags, args []string) error {
	what := len(args)
	for _, given := range []bool{f.signals != "", f.shadow} {
		if given {
			what++
		}
	}
	if what != 1 {
		return astern.Errorf(astern.Invalid, "astern replay takes one of: an incident, --signals FILE, --shadow").WithHint("astern incidents lists incidents")
	}
	if len(args) == 1 && !isIncident(args[0]) {
		return astern.Errorf(astern.Invalid, "%q is no incident", args[0]).WithHint("as in inc-3; astern incidents lists them; a recording is given with --signals")
	}
	m := reading
	if f.signals != "" {
		m = without
	}
	return s.with(ctx, m, func(a *app.App) error {
		policies, name := app.PoliciesOf(a.System), s.file
		if f.policy != "" {
			other, err := app.Open(f.policy, nil)
			if err != nil {
				return err
			}
			policies, name = app.PoliciesOf(other.System), f.policy
			if err := other.Close(); err != nil {
				return err
			}
		}
		r, err := s.replayed(ctx, a, f, args, policies)
		if err != nil {
			return err
		}
		r.Policy = name
		doc := view.ReplayReport{Replay: r}
		return s.result(doc, rendered(view.Replay, doc))
	})
}

func (s *session) replayed(ctx context.Context, a *app.App, f replayFlags, args []string, policies app.Policies) (r astern.Replay, err error) {
	switch {
	case f.shadow:
		since, err := sinceOf(f.since, time.Now())
		if err != nil {
			return r, err
		}
		return a.ReplayShadow(ctx, since, policies)
	case f.signals == "":
		return a.ReplayIncident(ctx, args[0], policies)
	}
	file, err := os.Open(f.signals)
	if err != nil {
		return r, &astern.Error{Code: astern.Invalid, Doing: "opening the recording " + f.signals, Cause: err}
	}
	defer func() { _ = file.Close() }() // it was only read
	return a.ReplaySignals(f.signals, file, policies)
}

// sinceOf reads a moment, or how long ago it was.
func sinceOf(text string, now time.Time) (time.Time, error) {
	if d, err := parseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return parseTime(text, now)
}
