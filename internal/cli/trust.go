package cli

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/app"
	"github.com/astern-dev/astern/internal/policy"
	"github.com/astern-dev/astern/internal/signature"
)

// signatureEnds is added to the name of a plan file for that of its signature, as ssh-keygen does.
const signatureEnds = ".sig"

// addTrust adds the flag by which a person vouches for a plan.
func addTrust(cmd *cobra.Command, trust *string) {
	cmd.Flags().StringVar(trust, "trust", "", "vouch for a plan made elsewhere: its hash, or at least 12 digits of it")
}

// vouch collects what speaks for a plan: the word of the person, and the signature beside its file.
func vouch(file, trust string) (app.Vouch, error) {
	v := app.Vouch{Trust: trust, File: file}
	if file == "-" {
		return v, nil
	}
	sig, err := beside(file)
	v.Signature = sig
	return v, err
}

// beside reads the signature beside a file; nil when there is none.
func beside(file string) ([]byte, error) {
	b, err := bounded(file+signatureEnds, signature.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "reading the signature of the plan: %w", err)
	}
	return b, nil
}

// bounded reads a file, and one byte more than it may have.
func bounded(file string, most int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() // opened for reading only
	return io.ReadAll(io.LimitReader(f, most+1))
}

// carried reads approval files with the signatures beside them.
func carried(files []string) ([]app.CarriedApproval, error) {
	var out []app.CarriedApproval
	for _, file := range files {
		c := app.CarriedApproval{File: file}
		var err error
		if c.Document, err = bounded(file, policy.MaxApproval); err == nil {
			c.Signature, err = beside(file)
		}
		if err != nil {
			return nil, astern.Errorf(astern.Invalid, "reading an approval: %w", err).WithHint("astern approve PLAN --sign KEY --out FILE writes FILE and FILE%s", signatureEnds)
		}
		out = append(out, c)
	}
	return out, nil
}

// signer reads the key that the plan is to be signed with, before the plan is made. What it returns gives no signature when
// none is asked for.
func (s *session) signer(f *askFlags) (sign func([]byte) ([]byte, error), closeKey func(), err error) {
	if f.sign == "" {
		return func([]byte) ([]byte, error) { return nil, nil }, func() {}, nil
	}
	if f.out == "" {
		return nil, nil, astern.Errorf(astern.Invalid, "--sign needs --out FILE: the signature is written to FILE%s beside it", signatureEnds)
	}
	key, closeKey, err := signature.Key(f.sign, s.env("SSH_AUTH_SOCK"))
	if err != nil {
		return nil, nil, err
	}
	return func(doc []byte) ([]byte, error) { return signature.Sign(key, signature.PlanNamespace, doc) }, closeKey, nil
}
