package view

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/astern-dev/astern"
)

func TestCommonCause(t *testing.T) {
	t.Parallel()
	none := "there are no credentials on this machine"
	for name, c := range map[string]struct {
		components [][]string
		cause      string
		of         int
	}{
		"none":            {nil, "", 0},
		"one component":   {[][]string{{"reading a: " + none, "reading b: " + none}}, "", 0},
		"two":             {[][]string{{"reading a: " + none}, {"", "asking: for b: " + none}}, none, 2},
		"the longest":     {[][]string{{"a: asking the account: " + none}, {"b: asking the account: " + none}}, "asking the account: " + none, 2},
		"that of most":    {[][]string{{"a: x: " + none}, {"b: x: " + none}, {"c: " + none}}, none, 3},
		"too short":       {[][]string{{"a: no answer"}, {"b: no answer"}}, "", 0},
		"nothing before":  {[][]string{{none}, {none}}, "", 0},
		"different words": {[][]string{{"a: release folder on web-1 is gone"}, {"b: release folder on web-2 is gone"}}, "", 0},
	} {
		if cause, of := commonCause(c.components); cause != c.cause || of != c.of {
			t.Errorf("%s: %q of %d, want %q of %d", name, cause, of, c.cause, c.of)
		}
	}
	if got := withoutCause([]string{"reading a: " + none, none, "b"}, none); !slices.Equal(got, []string{"reading a (as above)", none, "b"}) {
		t.Errorf("%q", got)
	}
}

// TestCauseIsSaidOnce looks at status and check of components that one cause makes unknown.
func TestCauseIsSaidOnce(t *testing.T) {
	t.Parallel()
	why := "what runs now: reading %s: there are no credentials on this machine"
	var s StatusReport
	var r CheckReport
	for _, name := range []string{"orders", "web", "site"} {
		line := strings.ReplaceAll(why, "%s", name)
		s.Components = append(s.Components, ComponentStatus{Address: "production/" + name, Unknown: []string{line}})
		r.Components = append(r.Components, ComponentCheck{Address: "production/" + name, Findings: []string{line}, Verdict: astern.Unknown})
	}
	for name, write := range map[string]func(*bytes.Buffer, Style) error{
		"status": func(b *bytes.Buffer, st Style) error { return Status(b, st, s) },
		"check":  func(b *bytes.Buffer, st Style) error { return Check(b, st, r) },
	} {
		var b bytes.Buffer
		if err := write(&b, Style{Width: 200}); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		if n := strings.Count(text, "there are no credentials"); n != 1 || !strings.Contains(text, "3 of 3 components: there are no credentials") {
			t.Errorf("%s says it %d times:\n%s", name, n, text)
		}
		if !strings.Contains(text, "reading site (as above)") {
			t.Errorf("%s does not say what could not be read:\n%s", name, text)
		}
	}
	if r.Components[0].Findings[0] != strings.ReplaceAll(why, "%s", "orders") {
		t.Error("the report itself was changed")
	}
}
