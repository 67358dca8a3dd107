package audit_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/audit"
	"github.com/astern-dev/astern/internal/signature"
)

// unpack is another one's reading of DSSE: it writes the bytes that were signed, and the signature, with nothing of ours.
const unpack = `
import base64, json, sys
e = json.load(open(sys.argv[1]))
p = base64.b64decode(e["payload"]); t = e["payloadType"].encode()
open(sys.argv[2], "wb").write(b"DSSEv1 %d %s %d %s" % (len(t), t, len(p), p))
open(sys.argv[3], "wb").write(base64.b64decode(e["signatures"][0]["sig"]))
s = json.loads(p)
print(s["_type"], s["predicateType"], s["subject"][0]["digest"]["sha256"])
`

// needs skips where the machine has not what the evidence is compared with.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("this machine has no %s to compare with", p)
		}
	}
}

func run(t *testing.T, stdin, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// statement makes evidence of a record that ends an execution.
func statement(t *testing.T, key dsse.Signer) []byte {
	t.Helper()
	r := entry(5)
	r.Seq, r.Log = 6, "0123456789abcdef"
	b, ok, err := audit.Evidence(context.Background(), r, key)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	return b
}

// TestEvidenceByOpenSSL has openssl verify what the log's key signed.
func TestEvidenceByOpenSSL(t *testing.T) {
	needs(t, "openssl", "python3")
	b := written(t, 1)
	key, err := audit.LogSigner(b.state)
	must(t, err)
	doc := statement(t, key)
	pem, err := audit.PEM(b.state)
	must(t, err)
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	put(t, in("doc"), doc)
	put(t, in("key.pem"), pem)
	out, err := run(t, unpack, "python3", "-", in("doc"), in("signed"), in("sig"))
	if want := "https://in-toto.io/Statement/v1 https://github.com/astern-dev/astern/evidence/execution/v1 " + strings.Repeat("0", 63) + "5"; err != nil || strings.TrimSpace(out) != want {
		t.Fatalf("%v: %s, want %s", err, out, want)
	}
	verify := []string{"pkeyutl", "-verify", "-pubin", "-inkey", in("key.pem"), "-rawin", "-in", in("signed"), "-sigfile", in("sig")}
	if out, err := run(t, "", "openssl", verify...); err != nil {
		t.Errorf("openssl does not take our evidence: %v\n%s", err, out)
	}
	put(t, in("signed"), append([]byte("x"), contents(t, in("signed"))...))
	if out, err := run(t, "", "openssl", verify...); err == nil {
		t.Errorf("openssl takes other bytes:\n%s", out)
	}
	public, err := audit.ParseKey(pem, "evidence")
	must(t, err)
	if s, err := audit.VerifyEvidence(context.Background(), doc, audit.LogVerifier(public)); err != nil || s.Predicate.Seq != 6 {
		t.Errorf("our own: %+v, %v", s, err)
	}
}

// TestChainByPython follows chain and checkpoint with a few lines that have nothing of ours.
func TestChainByPython(t *testing.T) {
	needs(t, "python3")
	b := written(t, 12)
	const follow = `
import base64, hashlib, json, sys
note = open(sys.argv[2]).read().split("\n")
prev = hashlib.sha256(note[0].encode()).hexdigest()
for n, line in enumerate(open(sys.argv[1], "rb").read().split(b"\n")[:-1], 1):
    r = json.loads(line)
    assert r["seq"] == n and r["prev"] == prev, n
    prev = hashlib.sha256(line).hexdigest()
assert note[1] == str(n) and base64.b64decode(note[2]).hex() == prev, note
print("good")
`
	if out, err := run(t, follow, "python3", "-", b.log(), filepath.Join(b.state, audit.Folder, "checkpoint")); err != nil || out != "good\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// TestEvidenceBySSH has ssh-keygen verify what a person's key signed, and goes through the reasons to refuse it.
func TestEvidenceBySSH(t *testing.T) {
	needs(t, "ssh-keygen", "python3")
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	if out, err := run(t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ana", "-f", in("id")); err != nil {
		t.Fatal(out)
	}
	key, closeKey, err := signature.Key(in("id"), "")
	must(t, err)
	defer closeKey()
	doc := statement(t, audit.SSHSigner(key))
	put(t, in("doc"), doc)
	if out, err := run(t, unpack, "python3", "-", in("doc"), in("signed"), in("sig")); err != nil {
		t.Fatal(out)
	}
	public := strings.Join(strings.Fields(string(contents(t, in("id.pub"))))[:2], " ")
	put(t, in("signers"), []byte("ana "+public+"\n"))
	out, err := run(t, string(contents(t, in("signed"))), "ssh-keygen", "-Y", "verify", "-f", in("signers"), "-I", "ana", "-n", audit.EvidenceNamespace, "-s", in("sig"))
	if err != nil {
		t.Errorf("ssh-keygen does not take our evidence: %v\n%s", err, out)
	}
	verify := func(line, revoked, person string, doc []byte) error {
		allowed, err := signature.ParseAllowed("signers", []byte(line))
		must(t, err)
		allowed, err = allowed.Revoke("revoked", []byte(revoked))
		must(t, err)
		_, err = audit.VerifyEvidence(context.Background(), doc, audit.SSHVerifier(allowed, person, noon))
		return err
	}
	if err := verify("ana "+public, "", "ana", doc); err != nil {
		t.Errorf("our own: %v", err)
	}
	if out, err := run(t, "", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", in("other")); err != nil {
		t.Fatal(out)
	}
	stranger := strings.Join(strings.Fields(string(contents(t, in("other.pub"))))[:2], " ")
	for name, c := range map[string]struct{ line, revoked, person, words string }{
		"expired":           {`ana valid-before="20260101" ` + public, "", "ana", "expired"},
		"not yet":           {`ana valid-after="20270101" ` + public, "", "ana", "valid from"},
		"revoked":           {"ana " + public, public, "ana", "revoked"},
		"another's":         {"bo " + public, "", "ana", "not of ana"},
		"another namespace": {`ana namespaces="astern-plan@v1" ` + public, "", "ana", "astern-plan@v1"},
		"forged":            {"ana " + stranger, "", "ana", "not among the allowed signers"},
		"nobody":            {"", "", "ana", "not among the allowed signers"},
	} {
		err := verify(c.line, c.revoked, c.person, doc)
		if astern.CodeOf(err) != astern.Refused || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestForgedEvidence changes what is stated, who signed, and the form.
func TestForgedEvidence(t *testing.T) {
	b, other := written(t, 1), written(t, 1)
	key, err := audit.LogSigner(b.state)
	must(t, err)
	doc := statement(t, key)
	verify := func(doc []byte, of book) error {
		_, err := audit.VerifyEvidence(context.Background(), doc, audit.LogVerifier(of.key))
		return err
	}
	must(t, verify(doc, b))
	change := func(f func(e map[string]any)) []byte {
		var e map[string]any
		must(t, json.Unmarshal(doc, &e))
		f(e)
		out, err := json.Marshal(e)
		must(t, err)
		return out
	}
	payload := func(from, to string) []byte {
		return change(func(e map[string]any) {
			p, err := base64.StdEncoding.DecodeString(e["payload"].(string))
			must(t, err)
			e["payload"] = base64.StdEncoding.EncodeToString([]byte(strings.Replace(string(p), from, to, 1)))
		})
	}
	for name, forged := range map[string][]byte{
		"another person":  payload(`"by":"ana"`, `"by":"bob"`),
		"another outcome": payload(`"outcome":"done"`, `"outcome":"fine"`),
		"another plan":    payload(`0005"`, `0006"`),
		"unsigned":        change(func(e map[string]any) { e["signatures"] = []any{} }),
		"another type":    change(func(e map[string]any) { e["payloadType"] = "text/plain" }),
		"no JSON":         []byte("{"), "nothing": nil,
	} {
		if err := verify(forged, b); astern.CodeOf(err) != astern.Refused {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verify(doc, other); astern.CodeOf(err) != astern.Refused {
		t.Errorf("another log's key: %v", err)
	}
	for i := range doc {
		forged := append([]byte{}, doc...)
		if forged[i] ^= 4; string(forged) == string(doc) {
			continue
		}
		if s, err := audit.VerifyEvidence(context.Background(), forged, audit.LogVerifier(b.key)); err == nil && (s.Predicate.By != "ana" || s.Predicate.Seq != 6) {
			t.Errorf("byte %d states something else: %+v", i, s)
		}
	}
}
