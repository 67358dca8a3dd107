package rastup

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/astern-dev/astern/internal/cli"
)

// validated demands that `astern validate` passes.
func validated(t *testing.T, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "astern.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var out, complaints bytes.Buffer
	code := cli.Program{}.Main(t.Context(), []string{"validate", "-f", file}, nil, &out, &complaints, func(string) string { return "" })
	if code != 0 || !strings.Contains(out.String(), "is valid: system rastup, environments: 2, components: 10") {
		t.Errorf("exit code %d: %s%s", code, out.String(), complaints.String())
	}
}

func TestDeclarationIsValid(t *testing.T) {
	validated(t, Declaration)
	for _, kind := range []string{"aws.ecs", "aws.lambda", "aws.s3site", "aws.appconfig", "aws.secret", "aws.ssm"} {
		if !strings.Contains(Declaration, "kind: "+kind+"\n") {
			t.Errorf("no component is of the kind %s", kind)
		}
	}
}

// In the lab nothing is asked of the real system, and the person who plays is on call.
func TestDeclarationForTheLab(t *testing.T) {
	l := Lab{URL: "http://127.0.0.1:4566", Distribution: "E2QWRUHEXAMPLE", Login: "mia"}
	text, err := l.Declaration()
	if err != nil {
		t.Fatal(err)
	}
	validated(t, text)
	for _, want := range []string{"edge: http://127.0.0.1:4566/_edge/E2QWRUHEXAMPLE\n", "distribution: E2QWRUHEXAMPLE\n", `logins: ["mia"]`,
		`AWS_ENDPOINT_URL: "http://127.0.0.1:4566", AWS_ACCESS_KEY_ID`, "audit: {copy: " + AuditCopy + "}"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q", want)
		}
	}
	for _, line := range strings.Split(text, "\n") {
		if code, _, _ := strings.Cut(line, " #"); strings.Contains(code, "rastup.com") || strings.Contains(code, "npm") || strings.Contains(code, "E1234567890ABC") {
			t.Errorf("the real system is asked: %s", line)
		}
	}
}
