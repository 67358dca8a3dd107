package audit

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/note"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signature"
)

// EvidenceNamespace is what evidence is signed for with SSH keys.
const EvidenceNamespace = "astern-evidence@v1"

// The types of an envelope's payload and of the statement in it (github.com/in-toto/attestation, spec/v1).
const (
	payloadType   = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
	predicateBase = "https://github.com/astern-dev/astern/evidence/"
)

// MaxEvidence is the largest file of evidence, in bytes.
const MaxEvidence = 4 * maxLine

// Statement says of a plan what was done with it; its predicate is the record of the audit log. Types of predicates:
// …/evidence/execution/v1 (the end of an execution), …/approval/v1 (an approval or a rejection), …/refusal/v1.
type Statement struct {
	Type          string    `json:"_type"`
	Subject       []Subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     Record    `json:"predicate"`
}

// Subject is what a statement is about: the plan, by the hash of its file.
type Subject struct {
	Name   string            `json:"name"`
	Digest map[string]string `json:"digest"`
}

// predicateOf returns the type of predicate that a record becomes, "" when it becomes none.
func predicateOf(r Record) string {
	kind := map[What]string{Ended: "execution", Approved: "approval", Rejected: "approval", Refused: "refusal"}[r.What]
	if kind == "" || r.Plan == "" {
		return ""
	}
	return predicateBase + kind + "/v1"
}

// Evidence returns a signed statement (a DSSE envelope) of a record; ok is false for a record that makes none.
func Evidence(ctx context.Context, r Record, key dsse.Signer) (envelope []byte, ok bool, err error) {
	kind := predicateOf(r)
	if kind == "" {
		return nil, false, nil
	}
	body, err := json.Marshal(Statement{Type: statementType, PredicateType: kind, Predicate: r,
		Subject: []Subject{{Name: "plan", Digest: map[string]string{"sha256": r.Plan}}}})
	if err != nil {
		return nil, false, err
	}
	signer, err := dsse.NewEnvelopeSigner(key)
	if err != nil {
		return nil, false, err
	}
	e, err := signer.SignPayload(ctx, payloadType, body)
	if err != nil {
		return nil, false, astern.Errorf(astern.CodeOf(err), "signing the evidence of record %d: %w", r.Seq, err)
	}
	b, err := json.Marshal(e)
	return append(b, '\n'), true, err
}

// VerifyEvidence says whether the envelope counts by the key, and returns what it states. A Refused error says why not.
func VerifyEvidence(ctx context.Context, envelope []byte, key dsse.Verifier) (Statement, error) {
	var s Statement
	var e dsse.Envelope
	if err := json.Unmarshal(envelope, &e); err != nil || e.PayloadType != payloadType || len(envelope) > MaxEvidence {
		return s, astern.Errorf(astern.Refused, "the evidence does not count: it is no envelope of a statement")
	}
	verifier, err := dsse.NewEnvelopeVerifier(key)
	if err != nil {
		return s, err
	}
	_, body, err := verifier.VerifyAndDecode(ctx, &e)
	if k, ok := key.(*sshKey); ok && err != nil && k.why != nil {
		err = k.why // which the library does not hand on
	}
	if err != nil {
		return s, astern.Errorf(astern.Refused, "the evidence does not count: %w", err)
	}
	if err := json.Unmarshal(body, &s); err != nil || s.Type != statementType || s.PredicateType != predicateOf(s.Predicate) ||
		len(s.Subject) != 1 || s.Subject[0].Digest["sha256"] != s.Predicate.Plan {
		return s, astern.Errorf(astern.Refused, "the evidence does not count: it is signed, and no statement that astern makes")
	}
	return s, nil
}

// IsEvidence tells an envelope from a log.
func IsEvidence(b []byte) bool {
	var e dsse.Envelope
	return json.Unmarshal(b, &e) == nil && e.PayloadType != ""
}

// LogSigner returns the key of the state folder's log, to sign evidence with.
func LogSigner(state string) (dsse.Signer, error) {
	l := New(state, Copy{})
	if _, err := PublicKey(state); err != nil {
		return nil, err
	}
	key, err := l.signer()
	if err != nil {
		return nil, err
	}
	return logKey{signer: key}, nil
}

// LogVerifier verifies evidence that was signed with a log's key.
func LogVerifier(public note.Verifier) dsse.Verifier { return logKey{verifier: public} }

type logKey struct {
	signer   note.Signer
	verifier note.Verifier
}

func (k logKey) Sign(_ context.Context, data []byte) ([]byte, error) { return k.signer.Sign(data) }
func (k logKey) KeyID() (string, error)                              { return "", nil } // a hint only, which says nothing
func (k logKey) Public() crypto.PublicKey                            { return nil }
func (k logKey) Verify(_ context.Context, data, sig []byte) error {
	if !k.verifier.Verify(data, sig) {
		return errors.New("its signature is not one of these bytes by the key of the log")
	}
	return nil
}

// SSHSigner signs evidence in the format of ssh-keygen -Y.
func SSHSigner(key ssh.Signer) dsse.Signer { return &sshKey{key: key} }

// SSHVerifier verifies evidence by the allowed signers, as one that the person may give at that time.
func SSHVerifier(allowed signature.Allowed, person string, at time.Time) dsse.Verifier {
	return &sshKey{allowed: allowed, person: person, at: at}
}

type sshKey struct {
	key     ssh.Signer
	allowed signature.Allowed
	person  string
	at      time.Time
	why     error // the reason of the last refusal
}

func (k *sshKey) Sign(_ context.Context, data []byte) ([]byte, error) {
	return signature.Sign(k.key, EvidenceNamespace, data)
}
func (k *sshKey) KeyID() (string, error)   { return "", nil }
func (k *sshKey) Public() crypto.PublicKey { return nil }
func (k *sshKey) Verify(_ context.Context, data, sig []byte) error {
	if !strings.HasPrefix(string(sig), "-----BEGIN SSH SIGNATURE-----") {
		k.why = errors.New("it is not signed with an SSH key")
		return k.why
	}
	k.why = k.allowed.Verify(k.person, EvidenceNamespace, data, sig, k.at)
	return k.why
}
