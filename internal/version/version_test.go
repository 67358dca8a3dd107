package version

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func TestAnswered(t *testing.T) {
	for name, c := range map[string]struct {
		args, env []string
		want      bool
	}{
		"the version":             {args: []string{"astern", "version"}, env: []string{"HOME=/root", "XASTERN_=1"}, want: true},
		"nothing":                 {args: []string{"astern"}},
		"no name of a program":    {},
		"another command":         {args: []string{"astern", "validate"}},
		"in another shape":        {args: []string{"astern", "version", "-o", "json"}},
		"a flag before":           {args: []string{"astern", "-o", "version"}},
		"a variable says a shape": {args: []string{"astern", "version"}, env: []string{"HOME=/root", "ASTERN_OUTPUT=json"}},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := os.Create(filepath.Join(t.TempDir(), "out"))
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			code, says := -1, ""
			got := answered(c.args, c.env, out.Write, func(to int) { code = to })
			if c.want {
				says = "astern dev (" + runtime.Version() + ", " + Platform + ")\n"
			}
			text, err := os.ReadFile(out.Name())
			if got != c.want || err != nil || string(text) != says || (code == 0) != c.want {
				t.Errorf("answered: %t, code %d, %q, %v", got, code, text, err)
			}
		})
	}
}

func TestNotAnsweredWhereItCantBeWritten(t *testing.T) {
	out, err := os.Open(os.DevNull) // for reading
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if answered([]string{"astern", "version"}, nil, out.Write, func(int) { t.Error("it ended the program") }) {
		t.Error("answered")
	}
}
