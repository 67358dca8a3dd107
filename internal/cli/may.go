package cli

import (
	"context"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/view"
)

func (s *session) mayGroup() *cobra.Command {
	cmd := group("may", "ask before a change", `Answers a question of CI before it changes something. Exit code 0: it may; 4: a component would lose its last way back.

  astern may deploy shop v1.2.3 && ./deploy.sh v1.2.3
  astern may delete s3://builds/shop/v1.2.1.zip && aws s3 rm s3://builds/shop/v1.2.1.zip
  astern may rule s3://builds lifecycle.json && aws s3api put-bucket-lifecycle-configuration …`)
	cmd.AddCommand(s.mayDeploy(), s.mayFollow(), s.mayDelete(), s.mayRule())
	return cmd
}

func (s *session) mayDeploy() *cobra.Command {
	return &cobra.Command{
		Use: "deploy COMPONENT REVISION", Short: "say whether a revision may be deployed", Args: takes(2, 2),
		ValidArgsFunction: s.revisionArgs,
		Long: `Exit code 0: it may. 3: the revision is latched. 4: the deployment would remove the last way back.

  astern may deploy shop v1.2.3 && ./deploy.sh v1.2.3`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			return s.with(ctx, reading, func(a *app.App) error {
				why, err := a.MayDeploy(ctx, app.Record{Environment: s.environment, Component: args[0], Revision: args[1]})
				return s.answers([]string{why}, err)
			})
		}),
	}
}

func (s *session) mayFollow() *cobra.Command {
	return &cobra.Command{
		Use: "follow COMPONENT REVISION", Short: "say whether a revision is proven in another environment", Args: takes(2, 2),
		ValidArgsFunction: s.revisionArgs,
		Long: `COMPONENT is that of the other environment. Exit code 0: the last that happened to it was that it was taken to the revision and
validated, within the last hour. 4: it was not.

  astern may follow staging/shop v1.2.3 && ./deploy.sh production v1.2.3`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			return s.with(ctx, reading, func(a *app.App) error {
				why, err := a.MayFollow(ctx, s.environment, args[0], args[1])
				return s.answers([]string{why}, err)
			})
		}),
	}
}

func (s *session) mayDelete() *cobra.Command {
	return &cobra.Command{
		Use: "delete RESOURCE", Short: "say whether something may be deleted", Args: takes(1, 1),
		Long: `RESOURCE is what the ways back rest on: an ARN (of a function or a version of it, a secret, a parameter, a task definition),
REGISTRY/REPOSITORY@DIGEST, s3://BUCKET/KEY, the path of a file on a host, or a folder or prefix, which ends with a slash.
Exit code 0: it may. 4: a component runs on it, or would lose its last way back.

  astern may delete arn:aws:lambda:eu-central-1:123456789012:function:orders:41
  astern may delete s3://builds/shop/
  astern may delete /srv/shop/releases/v1.2.1/`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			return s.with(ctx, reading, func(a *app.App) error {
				es, _, err := s.scope(a)
				if err != nil {
					return err
				}
				return s.answers(a.MayDelete(ctx, es, args[0]))
			})
		}),
	}
}

func (s *session) mayRule() *cobra.Command {
	return &cobra.Command{
		Use: "rule PLACE FILE", Short: "say whether a rule that deletes things may be put in force", Args: takes(2, 2),
		Long: `PLACE is s3://BUCKET, and FILE the lifecycle rules as aws s3api put-bucket-lifecycle-configuration takes them; or the ARN of a
repository, and FILE the text that aws ecr put-lifecycle-policy takes (- reads them from the standard input). The rules are run forward in time over what is there; nothing is changed. Exit code 0: they may. 4: the last way
back of a component would go by them, with the day, and what would keep it.

  astern may rule s3://builds lifecycle.json
  astern may rule arn:aws:ecr:eu-central-1:123456789012:repository/api policy.json`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			doc, err := readRules(args[1])
			if err != nil {
				return err
			}
			return s.with(ctx, reading, func(a *app.App) error {
				es, _, err := s.scope(a)
				if err != nil {
					return err
				}
				return s.answers(a.MayRule(ctx, es, args[0], doc))
			})
		}),
	}
}

// answer is that it may; that it may not is an error, with its code.
type answer struct {
	Kind    string   `json:"kind"` // always "Answer"
	Version int      `json:"version"`
	May     bool     `json:"may"`
	Because []string `json:"because"`
}

// answers says why it may.
func (s *session) answers(because []string, err error) error {
	if err != nil {
		return err
	}
	a := answer{Kind: "Answer", Version: view.DocumentVersion, May: true, Because: because}
	return s.result(a, func(w io.Writer, _ view.Style) error { return text(w, because...) })
}

// maxRules bounds a file of rules, in bytes: S3 takes 1,000 rules.
const maxRules = 4 << 20

func readRules(path string) ([]byte, error) {
	in := io.Reader(os.Stdin)
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, astern.Errorf(astern.NotFound, "reading the rules: %w", err)
		}
		defer f.Close()
		in = f
	}
	doc, err := io.ReadAll(io.LimitReader(in, maxRules+1))
	if err == nil && len(doc) > maxRules {
		err = astern.Errorf(astern.Invalid, "there are more than %d bytes", maxRules)
	}
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "reading the rules from %s: %w", path, err)
	}
	return doc, nil
}
