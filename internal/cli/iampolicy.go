package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/iampolicy"
	"github.com/astern-dev/astern/internal/view"
)

func (s *session) iamPolicy() *cobra.Command {
	var dir string
	only := map[astern.PermissionUse]*bool{}
	cmd := &cobra.Command{
		Use: "iam-policy [COMPONENT…]", Short: "print the IAM policies that astern needs, and no more", Args: takes(0, -1),
		ValidArgsFunction: s.componentArgs,
		Long: `Prints what astern's credentials must be allowed for the components (default: all), as policies that aws iam create-policy
takes: one that only reads (check, targets, plan), and one that recovers. Who recovers needs both. Deleting is in neither:
--pruning prints the policy for pruning old objects of sites, --init that for astern init. Nobody is asked.

One policy holds 6,144 characters; what is larger becomes several. Components of several roles get policies for each.

  astern iam-policy --read-only > read-only.json
  astern iam-policy shop web --dir policies
  aws iam create-policy --policy-name astern-recovery --policy-document file://policies/astern-recovery.json`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			var uses []astern.PermissionUse
			for _, use := range []astern.PermissionUse{astern.UseRead, astern.UseRecover, astern.UsePrune, astern.UseDiscover} {
				if *only[use] {
					uses = append(uses, use)
				}
			}
			if len(uses) == 0 {
				uses = []astern.PermissionUse{astern.UseRead, astern.UseRecover}
			}
			return s.with(ctx, without, func(a *app.App) error { return s.policies(a, args, uses, dir) })
		}),
	}
	for _, f := range []struct {
		use        astern.PermissionUse
		name, what string
	}{{astern.UseRead, "read-only", "the policy that only reads"}, {astern.UseRecover, "recovery", "the policy of the calls that change something"},
		{astern.UsePrune, "pruning", "the policy that deletes what no release needs any more"}, {astern.UseDiscover, "init", "the policy that finds what there is"}} {
		only[f.use] = cmd.Flags().Bool(f.name, false, f.what)
	}
	cmd.Flags().StringVar(&dir, "dir", "", "write each policy into a file of this folder")
	return cmd
}

// policies prints or writes the policies of the components that are named.
func (s *session) policies(a *app.App, names []string, uses []astern.PermissionUse, dir string) error {
	var components []astern.Component
	es, err := a.Environments(s.environment)
	if err != nil {
		return err
	}
	for _, e := range es {
		if len(names) == 0 {
			components = append(components, e.Components...)
		}
	}
	for _, name := range names {
		es, _, err := s.named(a, name)
		if err != nil {
			return err
		}
		for _, e := range es {
			if c, ok := e.Component(short(name)); ok {
				components = append(components, c)
			}
		}
	}
	sets, err := a.Permissions(components, uses)
	if err != nil {
		return err
	}
	for _, set := range sets {
		for _, note := range set.Notes {
			s.warn(set.Whose + ": " + note)
		}
	}
	if dir != "" {
		return s.writePolicies(sets, dir)
	}
	return s.result(map[string]any{"kind": "IAMPolicies", "version": view.DocumentVersion, "sets": sets}, func(w io.Writer, _ view.Style) error {
		several := len(sets) > 1 || len(sets[0].Policies) > 1
		for _, set := range sets {
			for _, p := range set.Policies {
				if several { // one alone is printed as the file that IAM takes
					head := []string{"# " + p.Name + ", for " + set.Whose + ": " + strings.Join(p.Why, "; ")}
					if err := text(w, head...); err != nil {
						return err
					}
				}
				if _, err := w.Write(document(p)); err != nil {
					return fmt.Errorf("writing the output: %w", err)
				}
			}
		}
		return nil
	})
}

// document is a policy as IAM takes it.
func document(p iampolicy.Policy) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(p.Document) // texts always encode
	return b.Bytes()
}

// writePolicies writes each policy into a file of its own.
func (s *session) writePolicies(sets []app.PolicySet, dir string) error {
	d := done{What: "policies written into " + dir}
	for i, set := range sets {
		for _, p := range set.Policies {
			name := p.Name
			if i > 0 { // another role
				name = fmt.Sprintf("%s-of-%d", p.Name, i+1)
			}
			file := filepath.Join(dir, name+".json")
			if err := writeFile(file, document(p), 0o644); err != nil {
				return err
			}
			d.Next = append(d.Next, fmt.Sprintf("aws iam create-policy --policy-name %s --policy-document file://%s    (for %s)", name, file, set.Whose))
		}
	}
	return s.say(d)
}
