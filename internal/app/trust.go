package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"strconv"
	"strings"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/pattern"
	"github.com/astern-dev/astern/internal/signature"
)

// Vouch is what speaks for a plan that this state folder did not make.
type Vouch struct {
	// Trust is the plan's hash, or how it begins, as a person typed it; "" when nobody did.
	Trust string
	// Signature is the armored signature that lies beside the plan; nil when there is none.
	Signature []byte
	// File is how the command line named the plan, for hints.
	File string
}

// minTrust is how many digits of its hash a person must type to trust a plan: 48 bits, so that nobody makes another plan
// that begins alike.
const minTrust = 12

var trustShape = pattern.New(`^[0-9a-f]{12,64}$`)

// trusted refuses a plan that nobody vouches for: neither was it made (or trusted before) in this state folder, nor is
// it signed with a known key for the person who asked, nor did a person type its hash.
func (a *App) trusted(ctx context.Context, p astern.Plan, hash string, doc []byte, v Vouch) error {
	if v.Trust != "" {
		return typed(hash, v.Trust)
	}
	_, err := a.Store.Plan(ctx, hash)
	if err == nil {
		return nil
	}
	if astern.CodeOf(err) != astern.NotFound {
		return fmt.Errorf("asking whether this state folder made the plan: %w", err)
	}
	why := errors.New("it is not signed")
	if v.Signature != nil {
		if why = a.signed(p, doc, v); why == nil {
			return nil
		}
		if astern.CodeOf(why) != astern.Refused {
			return why
		}
	}
	name := cmp.Or(v.File, "PLAN")
	return astern.Errorf(astern.Refused, "nobody vouches for plan %s: this state folder did not make it, and %w\n"+
		"it says that %q (known by %s, way %s) asked for it at %s\nit would %s",
		hash, why, p.Asked.By, p.Asked.Known, p.Asked.Way, p.Asked.At.UTC().Format("2006-01-02 15:04:05Z"), would(p)).
		WithHint("ask who made %s for its hash; if it is this one, add --trust %s", name, hash[:minTrust])
}

// typed compares what a person typed with the plan's hash.
func typed(hash, trust string) error {
	trust = strings.ToLower(trust)
	switch {
	case !trustShape.MatchString(trust):
		return astern.Errorf(astern.Invalid, "--trust %q is no hash of a plan", trust).
			WithHint("give the whole hash of the plan, or at least its first %d digits", minTrust)
	case !strings.HasPrefix(hash, trust):
		return astern.Errorf(astern.Refused, "--trust %s is another plan's: the hash of this one is %s", trust, hash).
			WithHint("it is not the plan that you were told of, or it was changed since")
	}
	return nil
}

// signed verifies the signature beside a plan: it counts for the person who, as the plan says, asked for it.
func (a *App) signed(p astern.Plan, doc []byte, v Vouch) error {
	if a.System.AllowedSigners == "" {
		return astern.Errorf(astern.Refused, "it is signed, but astern.yaml names no allowed_signers to know the key by")
	}
	keys, err := a.signers()
	if err != nil {
		return err
	}
	return keys.Verify(p.Asked.By, signature.PlanNamespace, doc, v.Signature, a.Now())
}

// maxSigners bounds the files of signers, in bytes.
const maxSigners = 4 << 20

// readBeside reads a file that astern.yaml names. A list that can't be read allows nobody.
func (a *App) readBeside(what, name string) ([]byte, error) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(a.System.Folder, name)
	}
	f, err := os.Open(name)
	if err != nil {
		code := astern.Invalid
		if errors.Is(err, fs.ErrPermission) {
			code = astern.Denied
		}
		return nil, &astern.Error{Code: code, Doing: "reading the " + what, Cause: err}
	}
	defer f.Close() // opened for reading only
	b, err := io.ReadAll(io.LimitReader(f, maxSigners+1))
	if err != nil {
		return nil, &astern.Error{Code: astern.Invalid, Doing: "reading the " + what, Cause: err}
	}
	if len(b) > maxSigners {
		return nil, astern.Errorf(astern.Invalid, "reading the %s: %s is larger than %d MiB", what, name, maxSigners>>20)
	}
	return b, nil
}

// would says in a line what a plan does.
func would(p astern.Plan) string {
	const most = 3
	var moves []string
	for i, m := range p.Moves {
		if i == most {
			moves = append(moves, fmt.Sprintf("%d more", len(p.Moves)-most))
			break
		}
		moves = append(moves, fmt.Sprintf("%s from %q to %q", m.Address, m.From, m.To))
	}
	steps := 0
	for _, st := range p.Stages {
		steps += len(st.Steps)
	}
	loss := "nothing"
	var lost []string
	for _, l := range p.Loss {
		count := strconv.FormatInt(l.Count, 10)
		if l.Unknown != "" {
			count = "uncounted"
		}
		lost = append(lost, count+" "+l.Unit+" of "+l.Address)
	}
	if len(lost) > 0 {
		loss = strings.Join(lost, ", ")
	}
	return fmt.Sprintf("%s %s: %d stages, %d steps, loses %s", p.Intent.Verb, strings.Join(moves, ", "), len(p.Stages), steps, loss)
}
