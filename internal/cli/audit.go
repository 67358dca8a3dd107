package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/audit"
	"github.com/astern-dev/astern/internal/signature"
	"github.com/astern-dev/astern/internal/view"
)

// warnBehind tells that the second place has not got what was recorded.
func (s *session) warnBehind(log *audit.Log) {
	if err := log.Behind(); err != nil {
		s.warn(fmt.Sprintf("the audit log is written, but its checkpoint did not reach the second place: %s", err))
	}
}

// auditLog is the document of `audit`.
type auditLog struct {
	Kind    string         `json:"kind"` // always "AuditLog"
	Version int            `json:"version"`
	Records []audit.Record `json:"records"`
	More    int            `json:"more,omitempty"`
}

func (s *session) audit() *cobra.Command {
	limit := 30
	cmd := group("audit", "show, verify and export who did what", `Shows the audit log, the newest record first: every plan made, approved, rejected, refused, begun, ended, every word of a
person to an execution, every latch and deployment recorded. What can't be recorded there is not done.

  astern audit --limit 50
  astern audit verify
  astern audit export --signed evidence`)
	needOne := cmd.RunE
	cmd.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			return needOne(c, args)
		}
		return s.runs(func(context.Context, []string) error { return s.listAudit(limit) })(c, args)
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how many records; 0 means all")
	cmd.AddCommand(s.auditVerify(), s.auditExport())
	return cmd
}

func (s *session) listAudit(limit int) error {
	if limit < 0 {
		return astern.Errorf(astern.Invalid, "--limit %d is negative", limit).WithHint("0 means all")
	}
	d := auditLog{Kind: "AuditLog", Version: view.DocumentVersion, Records: []audit.Record{}}
	err := audit.Read(s.folder(), func(_ []byte, r audit.Record) error {
		if d.Records = append(d.Records, r); limit > 0 && len(d.Records) > 2*limit { // the last ones are wanted
			d.More += len(d.Records) - limit
			d.Records = append(d.Records[:0], d.Records[len(d.Records)-limit:]...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n := len(d.Records) - limit; limit > 0 && n > 0 {
		d.More, d.Records = d.More+n, d.Records[n:]
	}
	for i, j := 0, len(d.Records)-1; i < j; i, j = i+1, j-1 {
		d.Records[i], d.Records[j] = d.Records[j], d.Records[i]
	}
	return s.result(d, func(w io.Writer, _ view.Style) error {
		lines := make([]string, 0, len(d.Records)+1)
		for _, r := range d.Records {
			lines = append(lines, auditLine(r))
		}
		switch {
		case len(lines) == 0:
			lines = append(lines, "nothing is recorded")
		case d.More > 0:
			lines = append(lines, fmt.Sprintf("%d older ones: --limit 0", d.More))
		}
		return text(w, lines...)
	})
}

// auditLine says a record in one line.
func auditLine(r audit.Record) string {
	parts := []string{fmt.Sprintf("%d  %s  %s  %s", r.Seq, r.At.UTC().Format("2006-01-02 15:04:05Z"), r.By, r.What)}
	add := func(before, what string) {
		if what != "" {
			parts = append(parts, before+what)
		}
	}
	add("", r.Event)
	if r.Of > 0 {
		add("record ", fmt.Sprint(r.Of))
	}
	add("", string(r.Verb))
	add("", strings.Join(r.Addresses, ", "))
	if r.More > 0 {
		add("and ", fmt.Sprintf("%d more", r.More))
	}
	add("", r.Revision)
	add("step ", r.Step)
	add("plan ", r.Plan[:min(12, len(r.Plan))])
	add("", r.Execution)
	add("", r.Incident)
	add("", string(r.Outcome))
	add("reason: ", r.Reason)
	first, _, _ := strings.Cut(r.Text, "\n")
	add("", first)
	return strings.Join(parts, "  ")
}

// auditKeys are the flags that say whom to believe.
type auditKeys struct{ key, checkpoints, signers, revoked, person string }

// auditReport is the document of `audit verify`.
type auditReport struct {
	Kind    string `json:"kind"` // always "AuditReport"
	Version int    `json:"version"`
	audit.Report
}

// evidence is the document of `audit verify` for a signed statement.
type evidence struct {
	Kind      string          `json:"kind"` // always "Evidence"
	Version   int             `json:"version"`
	Statement audit.Statement `json:"statement"`
}

func (s *session) auditVerify() *cobra.Command {
	var k auditKeys
	cmd := &cobra.Command{
		Use: "verify [FILE]", Short: "find any change, cut, reorder or replay of the audit log", Args: takes(0, 1),
		Long: `Verifies the audit log of the state folder, with its checkpoint, those in the second place, and the journals of the executions
that ended; or FILE, which is a copy of a log or a signed statement of an export. It needs no network.

Exit code 3: something was changed; the records are named. 4: nothing was found, but a part could not be proven, because
there is no second place or it has not seen the last records.

  astern audit verify
  astern audit verify log.jsonl --key key.pub --checkpoints second-place/astern-audit-0123456789abcdef.checkpoints
  astern audit verify 17-execution.dsse.json --key key.pem
  astern audit verify 17-execution.dsse.json --allowed-signers signers --by ana`,
		RunE: s.runs(func(ctx context.Context, args []string) error {
			if len(args) == 0 {
				return s.with(ctx, reading, func(a *app.App) error { return s.verifyOwn(ctx, a, k) })
			}
			return s.verifyFile(ctx, args[0], k)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&k.key, "key", "", "file of the log's public key (default: the one beside the log)")
	f.StringVar(&k.checkpoints, "checkpoints", "", "file with checkpoints of the second place (default: what astern.yaml names)")
	f.StringVar(&k.signers, "allowed-signers", "", "file of the SSH keys that may sign evidence")
	f.StringVar(&k.revoked, "revoked-signers", "", "file of the SSH keys whose signatures no longer count")
	f.StringVar(&k.person, "by", "", "who signed the evidence, as the allowed signers name him")
	return cmd
}

// verifyOwn verifies the state folder's log, and the journals that it speaks of.
func (s *session) verifyOwn(ctx context.Context, a *app.App, k auditKeys) error {
	var ends app.Ends
	r, err := audit.VerifyFolder(s.folder(), a.AuditCopy(), audit.Elsewhere{Key: k.key, Checkpoints: k.checkpoints}, ends.Add)
	if err != nil {
		return err
	}
	journals, err := a.JournalsAsEnded(ctx, ends.Records())
	if err != nil {
		return err
	}
	r.Findings = append(r.Findings, journals...)
	return s.verified(r)
}

// verifyFile verifies a copy of a log, or evidence.
func (s *session) verifyFile(ctx context.Context, name string, k auditKeys) error {
	start, err := beginning(name, audit.MaxEvidence)
	if err != nil {
		return err
	}
	if !audit.IsEvidence(start) {
		r, err := audit.VerifyFolder("", audit.Copy{}, audit.Elsewhere{Log: name, Key: k.key, Checkpoints: k.checkpoints}, nil)
		if err != nil {
			return err
		}
		return s.verified(r)
	}
	key, err := s.evidenceKey(k)
	if err != nil {
		return err
	}
	st, err := audit.VerifyEvidence(ctx, start, key)
	if err != nil {
		return err
	}
	d := evidence{Kind: "Evidence", Version: view.DocumentVersion, Statement: st}
	return s.result(d, func(w io.Writer, _ view.Style) error {
		return text(w, "the evidence counts: "+st.PredicateType, "plan  "+st.Predicate.Plan, auditLine(st.Predicate))
	})
}

// evidenceKey returns what verifies evidence: the key of a log, or the allowed signers.
func (s *session) evidenceKey(k auditKeys) (dsse.Verifier, error) {
	switch {
	case (k.key == "") == (k.signers == ""):
		return nil, astern.Errorf(astern.Invalid, "evidence needs somebody to believe: --key FILE or --allowed-signers FILE with --by PERSON")
	case k.key != "":
		b, err := beginning(k.key, signature.MaxSize)
		if err != nil {
			return nil, err
		}
		public, err := audit.ParseKey(b, "evidence") // PEM has no name; that of a log is in its own form
		if err != nil {
			return nil, err
		}
		return audit.LogVerifier(public), nil
	case k.person == "":
		return nil, astern.Errorf(astern.Invalid, "--allowed-signers needs --by PERSON: who is said to have signed")
	}
	b, err := beginning(k.signers, audit.MaxEvidence)
	if err != nil {
		return nil, err
	}
	allowed, err := signature.ParseAllowed(k.signers, b)
	if err == nil && k.revoked != "" {
		if b, err = beginning(k.revoked, audit.MaxEvidence); err == nil {
			allowed, err = allowed.Revoke(k.revoked, b)
		}
	}
	if err != nil {
		return nil, err
	}
	return audit.SSHVerifier(allowed, k.person, time.Now()), nil
}

// beginning reads a file, of one that is larger than most only the beginning.
func beginning(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, &astern.Error{Code: astern.Invalid, Doing: "reading " + name, Cause: err}
	}
	defer f.Close() // opened for reading only
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, &astern.Error{Code: astern.Invalid, Doing: "reading " + name, Cause: err}
	}
	return b, nil
}

// verified shows a report; its error is what the report comes to.
func (s *session) verified(r audit.Report) error {
	d := auditReport{Kind: "AuditReport", Version: view.DocumentVersion, Report: r}
	err := s.result(d, func(w io.Writer, _ view.Style) error {
		lines := []string{fmt.Sprintf("%d records of %s, %d covered by its checkpoint, %d by the second place", r.Records, r.Log, r.Signed, r.Copied)}
		if r.To != nil {
			lines = append(lines, fmt.Sprintf("from %s to %s", r.From.Format(time.RFC3339), r.To.Format(time.RFC3339)), "head  "+r.Head)
		}
		for _, f := range r.Findings {
			line := "changed"
			if f.Record > 0 {
				line += fmt.Sprintf("  record %d", f.Record)
			}
			if f.Line > 0 {
				line += fmt.Sprintf(", line %d", f.Line)
			}
			lines = append(lines, line+"  "+f.What)
			if f.Expected != "" {
				lines = append(lines, "         expected "+f.Expected+", found "+f.Found)
			}
		}
		if r.More > 0 {
			lines = append(lines, fmt.Sprintf("changed  %d more", r.More))
		}
		if r.Torn > 0 {
			lines = append(lines, fmt.Sprintf("torn     %d bytes at the end, of a record that was never acknowledged: nothing was done on it", r.Torn))
		}
		for _, u := range r.Unproven {
			lines = append(lines, "unproven "+u)
		}
		return text(w, lines...)
	})
	switch {
	case err != nil:
		return err
	case len(r.Findings) > 0:
		return astern.Errorf(astern.Refused, "the audit log is not what was written: %d findings", len(r.Findings)+r.More).
			WithHint("keep it as evidence, and compare with a backup; the first finding is where it begins")
	case len(r.Unproven) > 0:
		return astern.Errorf(astern.NotReady, "nothing was found, but not everything could be proven").
			WithHint("audit.copy in astern.yaml names a second place; --checkpoints a file from there")
	}
	return nil
}

func (s *session) auditExport() *cobra.Command {
	var folder, sign string
	cmd := &cobra.Command{
		Use: "export", Short: "print the audit log as JSON lines, or write signed statements", Args: takes(0, 0),
		Long: `Prints the records as they are, one line of JSON each. With --signed, a signed statement (DSSE, in-toto) is written for
each execution that ended, each refusal and each approval of a plan, and the public key beside them as key.pem.

  astern audit export > log.jsonl
  astern audit export --signed evidence
  astern audit export --signed evidence --sign ~/.ssh/id_ed25519`,
		RunE: s.runs(func(ctx context.Context, _ []string) error {
			if folder != "" {
				return s.exportEvidence(ctx, folder, sign)
			}
			if sign != "" {
				return astern.Errorf(astern.Invalid, "--sign needs --signed FOLDER")
			}
			out := bufio.NewWriter(s.stdout)
			err := audit.Read(s.folder(), func(line []byte, _ audit.Record) error {
				_, err := out.Write(append(line, '\n'))
				return err
			})
			if err == nil {
				err = out.Flush()
			}
			return heard(err)
		}),
	}
	cmd.Flags().StringVar(&folder, "signed", "", "new folder for signed statements")
	cmd.Flags().StringVar(&sign, "sign", "", "SSH key that signs them in place of the log's (a private key, or a public one of the agent)")
	return cmd
}

// exportEvidence writes all statements into a new folder.
func (s *session) exportEvidence(ctx context.Context, folder, sign string) error {
	key, public, closeKey, err := s.exportKey(sign)
	if err != nil {
		return err
	}
	defer closeKey()
	if err := os.Mkdir(folder, 0o755); err != nil {
		e := &astern.Error{Code: astern.Invalid, Doing: "making the folder for the evidence", Cause: err}
		if errors.Is(err, os.ErrExist) {
			return e.WithHint("name a new one")
		}
		return e
	}
	if public != nil {
		if err := writeFile(filepath.Join(folder, "key.pem"), public, 0o644); err != nil {
			return err
		}
	}
	n := 0
	err = audit.Read(s.folder(), func(_ []byte, r audit.Record) error {
		b, ok, err := audit.Evidence(ctx, r, key)
		if err != nil || !ok {
			return err
		}
		n++
		return writeFile(filepath.Join(folder, fmt.Sprintf("%d-%s.dsse.json", r.Seq, r.What)), b, 0o644)
	})
	if err != nil {
		return err
	}
	return s.say(done{What: fmt.Sprintf("%d signed statements", n), File: folder})
}

func (s *session) exportKey(sign string) (key dsse.Signer, public []byte, closeKey func(), err error) {
	if sign != "" {
		k, closeKey, err := signature.Key(sign, s.env("SSH_AUTH_SOCK"))
		if err != nil {
			return nil, nil, nil, err
		}
		return audit.SSHSigner(k), nil, closeKey, nil
	}
	if key, err = audit.LogSigner(s.folder()); err == nil {
		public, err = audit.PEM(s.folder())
	}
	return key, public, func() {}, err
}
