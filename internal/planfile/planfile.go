// Package planfile is the file form of a plan: exactly its canonical JSON (RFC 8785), its hash, its laws, and the
// readable difference of two plans.
//
// A plan's id ends in a seal: NONCE.SEAL, where the seal is taken from the canonical form of the rest. It makes every
// change by hand show when the file is read, also one that leaves canonical JSON behind. It keeps out accidents, not
// forgers: what was approved is the hash, which covers everything.
package planfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/canonical"
	"github.com/astern-dev/astern/internal/pattern"
)

const (
	// MaxSize is the largest plan file, in bytes.
	MaxSize = 64 << 20
	// MaxDepth is how deep lists and objects of a plan file may be nested.
	MaxDepth = 64
)

const hintAnew = "a plan is never edited: make it anew with `astern plan`, with the options that say what should differ"

// Encode returns the plan file and its hash, the lower-case hex SHA-256 of the file. Times are written in UTC and cut to
// milliseconds, absent lists as empty ones, and the id is sealed (see Seal). It returns an Invalid error for what
// canonical JSON can't hold: integers beyond 2^53, text that is not UTF-8, an argument of no type.
func Encode(p astern.Plan) (doc []byte, hash string, err error) {
	p.ID, _ = parted(p.ID)
	bare, err := encode(p)
	if err != nil {
		return nil, "", err
	}
	doc = withID(bare, p.ID+sealOf(bare))
	if err := fitting("plan", doc); err != nil {
		return nil, "", err
	}
	return doc, Hash(doc), nil
}

// fitting refuses what is larger than a plan file may be.
func fitting(what string, doc []byte) error {
	if len(doc) > MaxSize {
		return astern.Errorf(astern.Invalid, "the %s has %d bytes; a plan file has at most %d", what, len(doc), MaxSize)
	}
	return nil
}

// Hash returns the lower-case hex SHA-256 of a plan file.
func Hash(doc []byte) string {
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:])
}

var sealed = pattern.New(`^(.+)(\.[0-9a-f]{16})$`)

// Seal returns the plan with an id that ends in the seal of the rest. An older seal is replaced; sealing twice changes
// nothing.
func Seal(p astern.Plan) (astern.Plan, error) {
	p.ID, _ = parted(p.ID)
	bare, err := encode(p)
	if err != nil {
		return p, err
	}
	p.ID += sealOf(bare)
	return p, nil
}

// parted returns a plan's id without its seal, and the seal with the dot before it: none where the id ends in none.
func parted(id string) (nonce, seal string) {
	if m := sealed.FindStringSubmatch(id); m != nil {
		return m[1], m[2]
	}
	return id, ""
}

// sealOf returns the seal, with the dot before it, of the canonical form of a plan whose id has none.
func sealOf(bare []byte) string {
	return "." + Hash(bare)[:16]
}

// withID returns the canonical form of a plan with another id: what encode returns, without writing all of it anew.
func withID(doc []byte, id string) []byte {
	d := jsontext.NewDecoder(bytes.NewBuffer(doc))
	_, _ = d.ReadToken() // the brace
	name, err := d.ReadToken()
	for err == nil && name.String() != "id" { // encode always writes one
		_ = d.SkipValue()
		name, err = d.ReadToken()
	}
	old, _ := d.ReadValue()
	end := int(d.InputOffset())
	quoted, _ := jsontext.AppendQuote(nil, id)
	return slices.Concat(doc[:end-len(old)], quoted, doc[end:])
}

// encode returns the one form in which the plan is written.
func encode(p astern.Plan) ([]byte, error) {
	fail := func(err error) error {
		return &astern.Error{Code: astern.Invalid, Doing: "writing plan " + p.ID + " as JSON", Cause: err}
	}
	v, bad := tidy(reflect.ValueOf(p))
	if bad != nil {
		return nil, fail(bad)
	}
	doc, err := canonical.JSON(v.Interface())
	if err != nil {
		return nil, fail(err)
	}
	return doc, nil
}

// Decode reads a plan file and returns the plan and its hash. The bytes must be exactly the canonical form of a sealed
// plan that keeps the laws (see Validate). It returns an Invalid error for what is no plan or breaks a law, and a
// Refused error, with the first difference, for a plan that was edited or made by a newer astern. With the error of an
// edited plan it returns the plan as far as it could be read, so that the caller can show the Differences.
func Decode(doc []byte) (astern.Plan, string, error) {
	if err := header(doc); err != nil {
		return astern.Plan{}, "", err
	}
	var p astern.Plan
	if err := json.Unmarshal(doc, &p); err != nil {
		return astern.Plan{}, "", notAPlan(err, doc)
	}
	again, err := encode(p)
	if err != nil {
		return astern.Plan{}, "", err
	}
	if !bytes.Equal(again, doc) {
		return p, "", astern.Errorf(astern.Refused, "the plan was edited: %s", firstDifference(doc, again)).WithHint(hintAnew)
	}
	nonce, seal := parted(p.ID)
	if seal == "" {
		return p, "", astern.Errorf(astern.Refused, "the plan was edited: $.id says %q, which ends in no seal", show(p.ID)).WithHint(hintAnew)
	}
	if fits := sealOf(withID(doc, nonce)); seal != fits {
		return p, "", astern.Errorf(astern.Refused, "the plan was edited: its content no longer fits the seal in $.id (says %q, the content makes it %q)",
			show(p.ID), show(nonce+fits)).WithHint(hintAnew)
	}
	if errs := Validate(p); len(errs) > 0 {
		return astern.Plan{}, "", &astern.Error{Code: astern.Invalid, Doing: "reading plan " + p.ID, Cause: errors.Join(errs...), Hint: hintAnew}
	}
	return p, Hash(doc), nil
}

// header refuses what can't be a plan that this program reads, before anything is built from it.
func header(doc []byte) error {
	if err := fitting("file", doc); err != nil {
		return err
	}
	if d := depth(doc); d > MaxDepth {
		return astern.Errorf(astern.Invalid, "lists and objects are nested more than %d deep: this is no plan", MaxDepth)
	}
	var head struct {
		Kind    string      `json:"kind"`
		Version json.Number `json:"version"`
	}
	if err := json.Unmarshal(doc, &head); err != nil {
		return notAPlan(err, doc)
	}
	if head.Kind != "Plan" {
		return astern.Errorf(astern.Invalid, "the file is no plan: its kind is %q, not %q", show(head.Kind), "Plan").
			WithHint("give a file that `astern plan … --out FILE` wrote")
	}
	switch version, err := head.Version.Int64(); {
	case err != nil || version < 1:
		return astern.Errorf(astern.Invalid, "the plan's version is %q, not a whole number from 1 on", show(head.Version.String()))
	case version > astern.PlanVersion:
		return astern.Errorf(astern.Refused, "the plan was made by a newer astern: its version is %d, this astern reads %d", version, astern.PlanVersion).
			WithHint("apply it with the astern that made it, or make the plan anew with this one")
	}
	return nil
}

// depth returns how deep brackets nest, a little more than MaxDepth at most. It needs no valid JSON.
func depth(doc []byte) int {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(doc) && deepest <= MaxDepth; i++ {
		switch c := doc[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}', c == ']':
			depth--
		}
	}
	return deepest
}

// notAPlan says where the JSON is wrong.
func notAPlan(err error, doc []byte) error {
	var syntax *json.SyntaxError
	var wrong *json.UnmarshalTypeError
	switch {
	case len(bytes.TrimSpace(doc)) == 0:
		err = errors.New("the file is empty")
	case errors.As(err, &syntax):
		line := 1 + bytes.Count(doc[:min(int(syntax.Offset), len(doc))], []byte("\n"))
		err = fmt.Errorf("line %d, byte %d is not JSON: %w", line, syntax.Offset, err)
	case errors.As(err, &wrong):
		err = fmt.Errorf("$.%s is a %s where a plan has a %s", wrong.Field, wrong.Value, wrong.Type)
	}
	return &astern.Error{Code: astern.Invalid, Doing: "reading a plan", Cause: err, Hint: hintAnew}
}
