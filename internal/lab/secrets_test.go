package lab

import (
	"strings"
	"testing"
	"time"
)

// Checked by the AWS CLI: one version has AWSCURRENT, also after it was moved back and a new one was put; versions keep the
// date at which they were made.
func TestSecretVersions(t *testing.T) {
	a := start(t)
	first := a.aws("secretsmanager", "create-secret", "--name", "db", "--secret-string", "one", "--query", "VersionId", "--output", "text")
	put := func(value string) string {
		return a.aws("secretsmanager", "put-secret-value", "--secret-id", "db", "--secret-string", value, "--query", "VersionId", "--output", "text")
	}
	second := put("two")
	a.aws("secretsmanager", "update-secret-version-stage", "--secret-id", "db", "--version-stage", stageCurrent, "--remove-from-version-id", second, "--move-to-version-id", first)
	third := put("three")
	stages := func(version string) string {
		return a.aws("secretsmanager", "describe-secret", "--secret-id", "db", "--query", `VersionIdsToStages."`+version+`"`, "--output", "text")
	}
	if got := stages(third); got != stageCurrent {
		t.Errorf("the third version has %q, want AWSCURRENT alone", got)
	}
	if got := stages(first); got != "AWSPREVIOUS" {
		t.Errorf("the first version has %q, want AWSPREVIOUS alone", got)
	}
	if got := stages(second); strings.Contains(got, "AWS") {
		t.Errorf("the second version has %q, want no label", got)
	}
	dates := func() string {
		return a.aws("secretsmanager", "list-secret-version-ids", "--secret-id", "db", "--include-deprecated", "--query", "sort_by(Versions, &VersionId)[].CreatedDate", "--output", "text")
	}
	// moto stamps whole seconds of the real clock: a list that is a second younger would show it.
	was := dates()
	for began := time.Now().Unix(); time.Now().Unix() < began+1; {
		time.Sleep(20 * time.Millisecond)
	}
	if got := dates(); got != was {
		t.Errorf("the versions were made at %s, and a second later at %s", was, got)
	}
}
