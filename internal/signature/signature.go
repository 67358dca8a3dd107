// Package signature signs documents with a person's SSH key and verifies such signatures, in the format of
// `ssh-keygen -Y`: what astern signs OpenSSH verifies, and the other way round.
//
// A signature is made for a namespace, so that one of a plan is none of an approval. Who may sign stands in a file of
// OpenSSH's own form (see ParseAllowed). Every refusal says in words what is wrong.
package signature

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/astern-dev/astern"
)

// PlanNamespace is what plans are signed for.
const PlanNamespace = "astern-plan@v1"

// ApprovalNamespace is what approvals are signed for: the signature of one is none of anything else.
const ApprovalNamespace = "astern-approval@v1"

// MaxSize is the largest signature file, in bytes.
const MaxSize = 64 << 10

// Sign returns the armored signature of a message for a namespace.
func Sign(key ssh.Signer, namespace string, message []byte) ([]byte, error) {
	s, err := sshsig.SignWithRand(bytes.NewReader(message), rand.Reader, key, sshsig.HashSHA512, namespace)
	if err != nil {
		return nil, astern.Errorf(astern.Invalid, "signing with %s: %w", ssh.FingerprintSHA256(key.PublicKey()), err)
	}
	return sshsig.Armor(s), nil
}

// Key reads the key that signs: a private key file, or the public key file of a key that the SSH agent at socket holds
// (SSH_AUTH_SOCK; "" when there is none). The caller closes it after use.
func Key(path, socket string) (key ssh.Signer, closeKey func(), err error) {
	closeKey = func() {}
	doing := "reading the key to sign with"
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, closeKey, &astern.Error{Code: astern.Invalid, Doing: doing, Cause: err}
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey(b); err == nil {
		return fromAgent(public, path, socket)
	}
	key, err = ssh.ParsePrivateKey(b)
	var missing *ssh.PassphraseMissingError
	switch {
	case errors.As(err, &missing):
		return nil, closeKey, astern.Errorf(astern.Denied, "%s: %s has a passphrase", doing, path).
			WithHint("add it to the SSH agent (ssh-add %s) and name its public key file instead", path)
	case err != nil: // the library's words hold nothing of the file
		return nil, closeKey, astern.Errorf(astern.Invalid, "%s: %s is no private key that astern reads: %w", doing, path, err)
	}
	return key, closeKey, nil
}

// fromAgent finds the key in the agent.
func fromAgent(public ssh.PublicKey, path, socket string) (ssh.Signer, func(), error) {
	nothing := func() {}
	fail := func(why string) (ssh.Signer, func(), error) {
		return nil, nothing, astern.Errorf(astern.Denied, "signing with the key of %s: %s", path, why).
			WithHint("start an agent and add the key (eval $(ssh-agent); ssh-add), or name the private key file")
	}
	if socket == "" {
		return fail("this is a public key, and SSH_AUTH_SOCK names no agent that could hold the private one")
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return fail("the SSH agent does not answer")
	}
	signers, err := agent.NewClient(conn).Signers()
	if err == nil {
		for _, s := range signers {
			if bytes.Equal(s.PublicKey().Marshal(), public.Marshal()) {
				return s, func() { conn.Close() }, nil // nothing was written that could be lost
			}
		}
	}
	conn.Close() // the same
	if err != nil {
		return fail("the SSH agent does not list its keys")
	}
	return fail("the SSH agent does not hold it")
}

// refuse makes every refusal of a signature.
func refuse(format string, args ...any) error {
	return astern.Errorf(astern.Refused, "the signature does not count: "+format, args...)
}

// read parses an armored signature.
func read(armored []byte) (*sshsig.Signature, error) {
	if len(armored) > MaxSize {
		return nil, refuse("its file has %d bytes; a signature has at most %d", len(armored), MaxSize)
	}
	s, err := sshsig.Unarmor(armored)
	if err != nil {
		return nil, refuse("its file is no SSH signature: %w", err)
	}
	return s, nil
}

// fits reports whether the signature is one of the message for the namespace, by the key that it names.
func fits(s *sshsig.Signature, namespace string, message []byte) error {
	if s.Namespace != namespace {
		return refuse("it was made for %q, not for %q", s.Namespace, namespace)
	}
	if err := sshsig.Verify(bytes.NewReader(message), s, s.PublicKey, s.HashAlgorithm, namespace); err != nil {
		return refuse("it is not one of these bytes by key %s", name(s.PublicKey))
	}
	return nil
}

func name(key ssh.PublicKey) string {
	return fmt.Sprintf("%s (%s)", ssh.FingerprintSHA256(key), key.Type())
}
