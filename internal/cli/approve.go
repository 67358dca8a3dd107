package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/signature"
)

// wordFlags are those of approve and reject.
type wordFlags struct {
	changeFlags
	trust, sign, out string
}

func (s *session) approve() *cobra.Command {
	return s.word("approve", "approve a plan that somebody else asked for", "looked at it with Ana", false)
}

func (s *session) reject() *cobra.Command {
	return s.word("reject", "reject a plan, for good", "the database is being migrated", true)
}

// word makes the command by which a person says approve or reject of a plan.
func (s *session) word(verdict, short, reason string, must bool) *cobra.Command {
	var f wordFlags
	cmd := &cobra.Command{
		Use: verdict + " PLAN", Short: short, Args: takes(1, 1),
		Long: fmt.Sprintf(`Records your word on a plan: a file, - for standard input, or the hash of a plan in the state folder. One person has one
word on each plan; your name is that of your login. As for apply, somebody must vouch for a plan that was made elsewhere.

With --sign your word is signed with your SSH key, and your name is the one that allowed_signers gives the key. --out FILE writes
it with its signature (FILE.sig), to be carried to whoever applies the plan: astern apply PLAN --approval FILE. Anybody can verify
it: ssh-keygen -Y verify -f SIGNERS -I NAME -n %s -s FILE.sig < FILE.

  astern %s plan.json --reason '%s'
  astern %[2]s plan.json --reason '%[3]s' --sign ~/.ssh/id_ed25519 --out ana.json`, signature.ApprovalNamespace, verdict, reason),
		RunE: s.runs(func(ctx context.Context, args []string) error {
			if err := f.given(); must && err != nil {
				return err
			}
			if f.out != "" && f.sign == "" {
				return astern.Errorf(astern.Invalid, "--out needs --sign KEY: only a signed word can be carried")
			}
			return s.with(ctx, changing(f.dryRun), func(a *app.App) error { return s.recordWord(ctx, a, verdict, f, args[0]) })
		}),
	}
	f.add(cmd, must)
	addTrust(cmd, &f.trust)
	cmd.Flags().StringVar(&f.sign, "sign", "", "sign with this SSH key: a private key file, or the public one of a key in the agent")
	cmd.Flags().StringVar(&f.out, "out", "", "write the signed word to this file, and its signature beside it")
	return cmd
}

// recordWord records one word on a plan.
func (s *session) recordWord(ctx context.Context, a *app.App, verdict string, f wordFlags, plan string) error {
	doc, err := s.planDocument(ctx, a, plan)
	if err != nil {
		return err
	}
	v, err := vouch(plan, f.trust)
	if err != nil {
		return err
	}
	d := done{DryRun: f.dryRun, File: f.out}
	who := a.By
	if f.sign == "" {
		d.Plan, err = a.Approve(ctx, doc, verdict, f.reason, v)
	} else {
		var word astern.Approval
		if word, err = s.signWord(ctx, a, doc, verdict, f, v); err == nil {
			d.Plan, who = word.PlanHash, word.By+" (signed)"
		}
	}
	if err != nil {
		return err
	}
	d.What = fmt.Sprintf("%s: %s says %s", d.Plan, who, verdict)
	switch {
	case f.out != "":
		d.Next = []string{"astern apply PLAN --approval " + f.out + "    (with " + f.out + signatureEnds + " beside it)"}
	case verdict == "approve":
		d.Next = []string{"astern apply " + d.Plan[:12]}
	}
	return s.say(d)
}

// signWord signs a word on a plan, and writes it where it is to be carried from.
func (s *session) signWord(ctx context.Context, a *app.App, doc []byte, verdict string, f wordFlags, v app.Vouch) (astern.Approval, error) {
	key, closeKey, err := signature.Key(f.sign, s.env("SSH_AUTH_SOCK"))
	if err != nil {
		return astern.Approval{}, err
	}
	defer closeKey()
	word, err := a.ApproveSigned(ctx, doc, verdict, f.reason, v, key)
	if err != nil || f.out == "" || f.dryRun {
		return word, err
	}
	return word, writeFiles(0o600, written{f.out + signatureEnds, word.Signature}, written{f.out, word.Document})
}
