package signature_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/signature"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// keygen runs the real ssh-keygen.
func keygen(t *testing.T, stdin []byte, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command("ssh-keygen", args...)
	cmd.Stdin = bytes.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// newKey makes a key pair with ssh-keygen and returns its file and its public line.
func newKey(t *testing.T, kind string, more ...string) (file, public string) {
	t.Helper()
	if _, err := exec.LookPath("ssh-keygen"); err != nil {
		t.Skip("this machine has no ssh-keygen to compare with")
	}
	file = filepath.Join(t.TempDir(), "id")
	if out, err := keygen(t, nil, append([]string{"-q", "-t", kind, "-N", "", "-C", "ana", "-f", file}, more...)...); err != nil {
		t.Fatalf("ssh-keygen: %v\n%s", err, out)
	}
	b, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	return file, strings.TrimSpace(string(b))
}

func allowed(t *testing.T, lines ...string) signature.Allowed {
	t.Helper()
	a, err := signature.ParseAllowed("signers", []byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestBothWays signs here and verifies with the real ssh-keygen, and the other way round.
func TestBothWays(t *testing.T) {
	for _, kind := range [][]string{{"ed25519"}, {"ecdsa"}, {"rsa", "-b", "2048"}} {
		t.Run(kind[0], func(t *testing.T) {
			file, public := newKey(t, kind[0], kind[1:]...)
			message := []byte("{\"kind\":\"Plan\"}")
			key, closeKey, err := signature.Key(file, "")
			if err != nil {
				t.Fatal(err)
			}
			defer closeKey()
			ours, err := signature.Sign(key, signature.PlanNamespace, message)
			if err != nil {
				t.Fatal(err)
			}
			folder := t.TempDir()
			signers, sig, plan := filepath.Join(folder, "signers"), filepath.Join(folder, "sig"), filepath.Join(folder, "plan.json")
			for name, content := range map[string][]byte{signers: []byte("ana " + public + "\n"), sig: ours, plan: message} {
				if err := os.WriteFile(name, content, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			verify := []string{"-Y", "verify", "-f", signers, "-I", "ana", "-n", signature.PlanNamespace, "-s", sig}
			if out, err := keygen(t, message, verify...); err != nil {
				t.Errorf("ssh-keygen does not take our signature: %v\n%s", err, out)
			}
			if out, err := keygen(t, []byte("another"), verify...); err == nil {
				t.Errorf("ssh-keygen takes our signature for another message:\n%s", out)
			}
			if out, err := keygen(t, nil, "-Y", "sign", "-f", file, "-n", signature.PlanNamespace, plan); err != nil {
				t.Fatalf("ssh-keygen -Y sign: %v\n%s", err, out)
			}
			theirs, err := os.ReadFile(plan + ".sig")
			if err != nil {
				t.Fatal(err)
			}
			if err := allowed(t, "ana "+public).Verify("ana", signature.PlanNamespace, message, theirs, noon); err != nil {
				t.Errorf("we do not take ssh-keygen's signature: %v", err)
			}
		})
	}
}

// TestRefusals walks through every reason not to count a signature. The real ssh-keygen must refuse the same, where it
// can be asked.
func TestRefusals(t *testing.T) {
	file, public := newKey(t, "ed25519")
	_, other := newKey(t, "ed25519")
	message := []byte("the plan")
	key, _, err := signature.Key(file, "")
	if err != nil {
		t.Fatal(err)
	}
	good, err := signature.Sign(key, signature.PlanNamespace, message)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := signature.Sign(key, "git", message)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for _, c := range []struct {
		name, signers string
		person        string
		message, sig  []byte
		revoked       string
		want          string // "" when it counts
		alone         bool   // ssh-keygen is not asked
	}{
		{name: "good", signers: "ana " + public, sig: good},
		{name: "one of several people", signers: "bo,ana,cy " + public, sig: good},
		{name: "pattern", signers: "*na " + public, sig: good},
		{name: "quoted", signers: `"bo,ana" ` + public, sig: good},
		{name: "second line of the key", signers: "bo " + public + "\nana " + public, sig: good},
		{name: "namespace listed", signers: `ana namespaces="file,astern-*" ` + public, sig: good},
		{name: "valid", signers: `ana valid-after="20200101Z",valid-before="20991231235959Z" ` + public, sig: good},
		{name: "comment and empty lines", signers: "# people\n\nana " + public, sig: good},
		{name: "no key listed", signers: "# nobody", sig: good, want: "not among the allowed signers"},
		{name: "another key", signers: "ana " + other, sig: good, want: "not among the allowed signers"},
		{name: "another person's key", signers: "bo " + public, sig: good, want: "is that of bo, and not of ana"},
		{name: "excluded person", signers: "*,!ana " + public, sig: good, want: "and not of ana"},
		{name: "a name that only begins so", signers: "ana " + public, person: "ana-maria", sig: good, want: "not of ana-maria"},
		{name: "wrong namespace of the signature", signers: "ana " + public, sig: elsewhere, want: `made for "git", not for "astern-plan@v1"`},
		{name: "namespace not listed", signers: `ana namespaces="git" ` + public, sig: good, want: `may sign for "git" only`},
		{name: "expired", signers: `ana valid-before="20200101Z" ` + public, sig: good, want: "has expired: it was valid until 2020-01-01"},
		{name: "not yet valid", signers: `ana valid-after="20990101Z" ` + public, sig: good, want: "is valid from 2099-01-01"},
		{name: "revoked", signers: "ana " + public, sig: good, revoked: public, want: "is revoked"},
		{name: "another revoked", signers: "ana " + public, sig: good, revoked: "# old\n" + other},
		{name: "authority only", signers: "ana cert-authority " + public, sig: good, want: "not among the allowed signers"},
		{name: "another message", signers: "ana " + public, message: []byte("the plam"), sig: good, want: "is not one of these bytes"},
		{name: "no signature", signers: "ana " + public, sig: []byte("hello"), want: "no SSH signature"},
		{name: "empty signature", signers: "ana " + public, sig: []byte{}, want: "no SSH signature"},
		{name: "cut signature", signers: "ana " + public, sig: good[:len(good)/2], want: "no SSH signature"},
		{name: "huge signature", signers: "ana " + public, sig: bytes.Repeat([]byte("A"), signature.MaxSize+1), want: "at most", alone: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.person == "" {
				c.person = "ana"
			}
			if c.message == nil {
				c.message = message
			}
			a, err := allowed(t, c.signers).Revoke("revoked", []byte(c.revoked))
			if err != nil {
				t.Fatal(err)
			}
			err = a.Verify(c.person, signature.PlanNamespace, c.message, c.sig, time.Now())
			switch {
			case c.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error %v, want one with %q", err, c.want)
			case c.want != "" && astern.CodeOf(err) != astern.Refused:
				t.Errorf("code %s, want refused", astern.CodeOf(err))
			}
			if c.alone {
				return
			}
			place := func(name, content string) string {
				f := filepath.Join(folder, name)
				if err := os.WriteFile(f, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
				return f
			}
			args := []string{"-Y", "verify", "-f", place("signers", c.signers+"\n"), "-I", c.person, "-n", signature.PlanNamespace, "-s", place("sig", string(c.sig))}
			if c.revoked != "" {
				args = append(args, "-r", place("revoked", c.revoked+"\n"))
			}
			out, theirs := keygen(t, c.message, args...)
			if (theirs == nil) != (err == nil) {
				t.Errorf("ssh-keygen judges otherwise: %v\n%s\nwe say: %v", theirs, out, err)
			}
		})
	}
}

// TestEveryBitOfASignature changes each bit of what the armor holds: none counts any more.
func TestEveryBitOfASignature(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	a := allowed(t, "ana "+string(ssh.MarshalAuthorizedKey(key.PublicKey())))
	message := []byte("the plan")
	good, err := signature.Sign(key, signature.PlanNamespace, message)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(good)
	for i := range block.Bytes {
		for bit := range 8 {
			bad := pem.Block{Type: block.Type, Bytes: bytes.Clone(block.Bytes)}
			bad.Bytes[i] ^= 1 << bit
			if a.Verify("ana", signature.PlanNamespace, message, pem.EncodeToMemory(&bad), noon) == nil {
				t.Errorf("it still counts with bit %d of byte %d changed", bit, i)
			}
		}
	}
}

// TestAgent signs with a key that only the agent has, named by its public key file.
func TestAgent(t *testing.T) {
	file, public := newKey(t, "ed25519")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	private, err := ssh.ParseRawPrivateKey(b)
	if err != nil {
		t.Fatal(err)
	}
	ring := agent.NewKeyring()
	if err := ring.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() { // ends with the listener
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(ring, conn) // ends with the connection
			conn.Close()
		}
	}()
	key, closeKey, err := signature.Key(file+".pub", socket)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := signature.Sign(key, signature.PlanNamespace, []byte("plan"))
	if err != nil {
		t.Fatal(err)
	}
	closeKey()
	if err := allowed(t, "ana "+public).Verify("ana", signature.PlanNamespace, []byte("plan"), sig, noon); err != nil {
		t.Error(err)
	}
	stranger, _ := newKey(t, "ed25519")
	for name, socketOf := range map[string]string{stranger + ".pub": socket, file + ".pub": ""} {
		if _, _, err := signature.Key(name, socketOf); astern.CodeOf(err) != astern.Denied || astern.HintOf(err) == "" {
			t.Errorf("key %s with agent %q: %v", name, socketOf, err)
		}
	}
}

// TestKeyWithPassphrase is refused with what helps, and not asked for.
func TestKeyWithPassphrase(t *testing.T) {
	file, _ := newKey(t, "ed25519")
	if out, err := keygen(t, nil, "-q", "-p", "-P", "", "-N", "canary-passphrase", "-f", file); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, _, err := signature.Key(file, "")
	if astern.CodeOf(err) != astern.Denied || !strings.Contains(astern.HintOf(err), "ssh-add") {
		t.Errorf("%v, hint %q", err, astern.HintOf(err))
	}
	for _, content := range []string{"", "hello", "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n"} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := signature.Key(file, ""); astern.CodeOf(err) != astern.Invalid || strings.Contains(fmt.Sprint(err), "canary") {
			t.Errorf("a key file of %q: %v", content, err)
		}
	}
}

// TestSignersFiles that are not understood allow nobody, and say where.
func TestSignersFiles(t *testing.T) {
	_, public := newKey(t, "ed25519")
	for _, text := range []string{
		"ana", public, "ana ssh-ed25519 AAAA", `"ana ` + public, `ana verify-required ` + public, `ana valid-before="tomorrow" ` + public,
		`ana valid-before="20261341" ` + public, `ana namespaces= ` + public, "ana \x00",
	} {
		if _, err := signature.ParseAllowed("signers", []byte("# first\n"+text)); astern.CodeOf(err) != astern.Invalid || !strings.Contains(fmt.Sprint(err), "signers:2:") {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"SSHKRL\n\x00\x00", "hello"} {
		if _, err := allowed(t).Revoke("revoked", []byte(text)); astern.CodeOf(err) != astern.Invalid {
			t.Errorf("revoked %q: %v", text, err)
		}
	}
}

// FuzzParseAllowed: no file of signers makes it fall over.
func FuzzParseAllowed(f *testing.F) {
	f.Add([]byte(`ana,bo namespaces="astern-plan@v1",valid-before="20261231Z" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := signature.ParseAllowed("signers", b)
		if err == nil && a.Verify("ana", signature.PlanNamespace, b, b, noon) == nil {
			t.Error("what is no signature counts")
		}
	})
}
