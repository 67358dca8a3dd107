package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/pattern"
	"github.com/astern-dev/astern/internal/planfile"
)

// applyFlags are those of apply.
type applyFlags struct {
	dryRun, takeOver, breakGlass bool
	trust, reason                string
	approvals                    []string
}

func (s *session) apply() *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use: "apply PLAN", Short: "carry out a plan", Args: takes(1, 1),
		Long: `Carries out exactly the plan: a file, - for standard input, or the hash of a plan in the state folder. It is refused when
the world has changed in what the plan rests on, when it was edited, or when an approval is missing. A plan has one execution: a
second apply shows the first.

Somebody must vouch for the plan: it was made in this state folder, or FILE.sig beside it is the signature of the person who asked
for it, by a key of the allowed_signers in astern.yaml, or you type its hash with --trust.

--approval FILE brings an approval that somebody signed elsewhere (astern approve PLAN --sign KEY --out FILE). --break-glass goes
over missing approvals and freezes, for the roles that the policy lets; it says so loudly and leaves a review to somebody else.

  astern plan rollback shop --to v1.2.2 --out plan.json
  astern apply plan.json
  astern apply plan.json --approval ana.json --approval ben.json`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			given := changeFlags{reason: f.reason}
			if err := given.given(); f.breakGlass && err != nil {
				return err
			}
			return s.with(ctx, changing(f.dryRun), func(a *app.App) error { return s.applyFile(ctx, a, f, args[0]) })
		}),
	}
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "only say whether it could be applied now")
	takesOver(cmd, &f.takeOver)
	addTrust(cmd, &f.trust)
	cmd.Flags().StringArrayVar(&f.approvals, "approval", nil, "file of an approval that was signed elsewhere, with its signature beside it; may be repeated")
	cmd.Flags().BoolVar(&f.breakGlass, "break-glass", false, "go over the policy's head; it needs --reason, and is reviewed by somebody else")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why the glass is broken; it is recorded and shown")
	cmd.Flags().Bool("yes", false, "accepted as everywhere; apply asks nothing, for the plan was read")
	return cmd
}

// applyFile applies the plan with what came beside it.
func (s *session) applyFile(ctx context.Context, a *app.App, f applyFlags, file string) error {
	a.TakeOver = f.takeOver
	if f.breakGlass {
		a.BreakGlass = f.reason
		a.OnOverride = func(o astern.Override) {
			s.warn(fmt.Sprintf("THE GLASS IS BROKEN by %s: %s\n  over: %s\n  somebody else must review it until %s: astern policy review %s --reason …",
				o.By, o.Reason, strings.Join(o.Over, "\n  over: "), o.ReviewDue.Format("2006-01-02 15:04Z"), o.PlanHash[:12]))
		}
	}
	doc, err := s.planDocument(ctx, a, file)
	if err != nil {
		return err
	}
	v, err := vouch(file, f.trust)
	if err != nil {
		return err
	}
	words, err := carried(f.approvals)
	if err != nil {
		return err
	}
	if err := a.Receive(ctx, doc, words); err != nil {
		return err
	}
	if f.dryRun {
		return s.mayApply(ctx, a, doc, v)
	}
	return s.applyPlan(ctx, a, doc, v)
}

// takesOver adds the flag by which a person goes over an execution that has not ended.
func takesOver(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "take-over", false, "although another process or state folder has not ended its execution: that one can't act here any more")
}

// mayApply goes through everything that may refuse the plan.
func (s *session) mayApply(ctx context.Context, a *app.App, doc []byte, v app.Vouch) error {
	e, created, err := a.Apply(ctx, doc, v)
	if err != nil {
		return err
	}
	what := "the plan can be applied now"
	if !created {
		what = "the plan was applied before: " + e.ID
	}
	return s.say(done{What: what, Plan: planfile.Hash(doc), Execution: e.ID, DryRun: true})
}

var hashShape = pattern.New(`^[0-9a-f]{8,64}$`)

// planDocument reads a plan from a file, from standard input, or from the state folder by its hash.
func (s *session) planDocument(ctx context.Context, a *app.App, arg string) ([]byte, error) {
	if arg == "-" {
		return s.fits(readPlan("standard input", s.stdin))
	}
	f, err := os.Open(arg)
	switch {
	case err == nil:
		defer f.Close() // opened for reading only
		return s.fits(readPlan(arg, f))
	case errors.Is(err, fs.ErrNotExist) && hashShape.MatchString(arg):
		return s.fits(a.Store.Plan(ctx, arg))
	case errors.Is(err, fs.ErrNotExist):
		return nil, astern.Errorf(astern.NotFound, "there is no plan file %s", arg).
			WithHint("give a file that astern plan … --out FILE wrote, - for standard input, or a plan's hash")
	}
	return nil, astern.Errorf(astern.Invalid, "reading the plan: %w", err)
}

// fits refuses a plan of another environment than -e names. What is no plan is judged later, with more to say.
func (s *session) fits(doc []byte, err error) ([]byte, error) {
	if err != nil || s.environment == "" {
		return doc, err
	}
	p, _, err := planfile.Decode(doc)
	if err != nil {
		return doc, nil
	}
	for _, address := range p.Addresses() {
		if environment, _, ok := astern.SplitAddress(address); ok && environment != s.environment {
			return nil, astern.Errorf(astern.Refused, "the plan acts on %s, and -e names %s", address, s.environment).
				WithHint("a plan names its environment itself: leave -e out if this is the plan that you mean")
		}
	}
	return doc, nil
}

func readPlan(name string, r io.Reader) ([]byte, error) {
	if f, ok := r.(*os.File); ok { // what a file's size tells need not be read
		if info, err := f.Stat(); err == nil && info.Size() > planfile.MaxSize {
			return nil, astern.Errorf(astern.Invalid, "reading the plan from %s: it has more than %d MB", name, planfile.MaxSize>>20)
		}
	}
	doc, err := io.ReadAll(io.LimitReader(r, planfile.MaxSize+1)) // one more than is allowed shows that it is too large
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "reading the plan from %s: %w", name, err)
	}
	return doc, nil
}

// awaitApproval stores a plan that lacks approvals, so that others can approve it by its hash.
func (s *session) awaitApproval(ctx context.Context, a *app.App, doc []byte, wait *astern.Error) error {
	p, hash, err := planfile.Decode(doc)
	if err != nil {
		return err
	}
	if err := a.Store.PutPlan(ctx, hash, doc, a.Now()); err != nil {
		return fmt.Errorf("storing the plan: %w", err)
	}
	if err := a.KeepReceived(ctx, hash); err != nil {
		return err
	}
	return wait.WithHint("somebody other than %s types: astern approve %s --reason …; then: astern apply %s", p.Asked.By, hash[:12], hash[:12])
}
