package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/config"
	"github.com/astern-dev/astern/internal/config/schemagen"
)

var update = flag.Bool("update", false, "write the golden files")

// testSettings has one field of each sort that a driver's settings may have.
type testSettings struct {
	Root      string            `json:"root"`
	Instances []testInstance    `json:"instances,omitempty" jsonschema:"minItems=1"`
	Parallel  int               `json:"parallel,omitempty" jsonschema:"minimum=1"`
	Keep      *uint8            `json:"keep,omitempty"`
	Ratio     float64           `json:"ratio,omitempty"`
	User      bool              `json:"user,omitempty"`
	Uptime    testDuration      `json:"uptime,omitempty"`
	Since     *time.Time        `json:"since,omitempty"`
	Env       map[string]string `json:"env,omitempty"`
	Token     *astern.Secret    `json:"token,omitempty"`
	Mode      string            `json:"mode,omitempty" jsonschema:"enum=fast,enum=safe"`
	Extra     json.RawMessage   `json:"extra,omitempty"`
	Free      any               `json:"free,omitempty"`
	testUnit
}

type testUnit struct {
	Unit string `json:"unit,omitempty"`
}

type testInstance struct {
	Name string `json:"name"`
	Host string `json:"host,omitempty"`
}

type testDuration time.Duration

func (testDuration) SchemaPattern() string { return config.Duration(0).SchemaPattern() }
func (d *testDuration) UnmarshalText(b []byte) error {
	x, err := time.ParseDuration(string(b))
	*d = testDuration(x)
	return err
}

// testValidator knows the environment's hosts.
type testValidator struct{}

func (testValidator) Validate(c astern.Component) []astern.Problem {
	var s testSettings
	if err := json.Unmarshal(c.Settings, &s); err != nil {
		return []astern.Problem{{What: err.Error()}}
	}
	var out []astern.Problem
	for i, in := range s.Instances {
		if _, ok := c.Host(in.Host); in.Host != "" && !ok {
			path := "instances/" + string(rune('0'+i)) + "/host"
			out = append(out, astern.Problem{Path: path, What: "no host " + in.Host, Hint: "declare it under hosts"})
		}
	}
	return out
}

func testDrivers() []astern.Driver {
	return []astern.Driver{
		{Kind: "test.service", Settings: testSettings{}, Validator: testValidator{}},
		{Kind: "test.bare"},
	}
}

func testSchema(t testing.TB) []byte {
	t.Helper()
	b, err := schemagen.GenerateSchema(testDrivers())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func example(t testing.TB) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/valid.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestValid(t *testing.T) {
	others, err := schemagen.GenerateSchema([]astern.Driver{{Kind: "other.service", Settings: testSettings{}}, {Kind: "other.bare"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, judge := range map[string]func(string, []byte, string, []astern.Driver) (astern.System, error){
		"own schema": config.Judge(testSchema(t)),
		// A schema that does not know the kinds leaves their settings to be checked by type alone.
		"schema of other kinds": config.Judge(others),
		"committed schema":      config.Parse,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := judge("valid.yaml", example(t), "/srv/shop", testDrivers())
			if err != nil {
				t.Fatal(err)
			}
			b, err := json.MarshalIndent(got, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "testdata/valid.json", append(b, '\n'))
			if got.Folder != "/srv/shop" || got.Environments[0].Components[0].Folder != "/srv/shop" {
				t.Error("the folder is lost")
			}
		})
	}
}

// Each testdata/bad-*.yaml has what is printed about it beside it.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad-*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test files", err)
	}
	judge := config.Judge(testSchema(t))
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = judge("astern.yaml", src, "/srv", testDrivers())
			var list *config.Errors
			if !errors.As(err, &list) {
				t.Fatalf("got %v, want problems", err)
			}
			if astern.CodeOf(err) != astern.Invalid {
				t.Errorf("the code is %q", astern.CodeOf(err))
			}
			if strings.Contains(err.Error(), "hunter") {
				t.Errorf("a secret shows:\n%v", err)
			}
			golden(t, strings.TrimSuffix(path, ".yaml")+".golden", []byte(err.Error()+"\n"))
			if want := expectations(src); want != nil && len(want) != len(list.Problems) {
				t.Errorf("%d problems, but %d lines say # bad", len(list.Problems), len(want))
			} else {
				for i, line := range want {
					if list.Problems[i].Line != line {
						t.Errorf("problem %d is in line %d, want %d:\n%v", i, list.Problems[i].Line, line, list.Problems[i])
					}
				}
			}
		})
	}
}

// expectations returns the numbers of the lines that end in "# bad", so that golden files can't bless a wrong line.
func expectations(src []byte) []int {
	var out []int
	for i, l := range strings.Split(string(src), "\n") {
		for range regexp.MustCompile(`# bad\b`).FindAllString(l, -1) {
			out = append(out, i+1)
		}
	}
	return out
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s differs (-want +got); go test ./internal/config -update accepts it:\n%s", path, diff)
	}
}

func TestNotText(t *testing.T) {
	deep := strings.Repeat("[", 101) + strings.Repeat("]", 101)
	for _, tt := range []struct{ name, src, want string }{
		{"empty", "", "astern.yaml: the file is empty"},
		{"comment only", "# nothing\n", "astern.yaml: the file is empty"},
		{"empty document", "---\n", "astern.yaml:2:1: the document is empty"},
		{"a list", "- a\n", "astern.yaml:1:1: the document must be a mapping, but is a list"},
		{"UTF-16 little", "\xff\xfev\x00", "astern.yaml: the file is UTF-16\n      save it as UTF-8"},
		{"UTF-16 big", "\xfe\xff\x00v", "astern.yaml: the file is UTF-16"},
		{"NUL", "version: 1\nsys\x00tem: a\n", "astern.yaml:2:4: a NUL byte"},
		{"control", "version: 1\na: \x1b[31m\n", "astern.yaml:2:4: the control character 0x1b"},
		{"Latin-1", "a: caf\xe9\n", "astern.yaml:1:7: the byte 0xe9 is not UTF-8"},
		{"large", strings.Repeat("#", 4<<20+1), "astern.yaml: the file is larger than 4 MiB"},
		{"deep", "a: " + deep, "nested deeper than 100 levels"},
		{"tab", "a:\n\tb: 1\n", "a tab can't indent; use spaces"},
		{"second document", "version: 1\n---\nversion: 1\n", "astern.yaml:2:1: a second document begins here"},
		{"second document malformed", "version: 1\n---\n[\n", "not YAML"},
		{"alias of itself", "a: &x [*x]\n", "the alias *x contains itself"},
		{"unknown alias", "a: *x\n", "unknown anchor"},
		{"alias bomb", bomb(), "aliases expand to more than 100000 values"},
		{"newer", "version: 2\nsistem: x\n", "made for a newer astern: its version is 2, this astern reads 1"},
		{"syntax hides secrets", "passphrase: \"hunter2\n", "passphrase:<secret>"},
		{"syntax", "a: b: c\n", `a value that holds ": " must stand in "quotes"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := config.Parse("astern.yaml", []byte(tt.src), "/", testDrivers())
			var list *config.Errors
			if !errors.As(err, &list) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
			if alone := strings.HasPrefix(tt.want, "astern.yaml"); alone && tt.name != "second document" && list != nil && len(list.Problems) != 1 {
				t.Errorf("more than one problem:\n%v", err)
			}
		})
	}
}

func bomb() string {
	s := "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
	for i := '1'; i <= '9'; i++ {
		last := "*a" + string(i-1)
		s += "a" + string(i) + ": &a" + string(i) + " [" + strings.Repeat(last+", ", 9) + last + "]\n"
	}
	return s
}

func TestAcceptedForms(t *testing.T) {
	crlf := strings.ReplaceAll(string(example(t)), "\n", "\r\n")
	for name, src := range map[string]string{"byte order mark": "\xef\xbb\xbf" + string(example(t)), "CRLF": crlf} {
		t.Run(name, func(t *testing.T) {
			if _, err := config.Parse("astern.yaml", []byte(src), "/", testDrivers()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "astern.yaml")
	if err := os.WriteFile(path, example(t), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	system, err := config.Load("astern.yaml", testDrivers())
	if err != nil {
		t.Fatal(err)
	}
	if system.Folder != dir {
		t.Errorf("the folder is %q, want %q", system.Folder, dir)
	}
	_, err = config.Load("absent.yaml", testDrivers())
	if astern.CodeOf(err) != astern.NotFound || astern.HintOf(err) == "" || !strings.Contains(err.Error(), "absent.yaml") {
		t.Errorf("absent file: %v (%s)", err, astern.CodeOf(err))
	}
	if _, err = config.Load(dir, testDrivers()); astern.CodeOf(err) != astern.Invalid {
		t.Errorf("folder: %v", err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("#"), 5<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = config.Load(path, testDrivers()); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("large file: %v", err)
	}
}

func TestManyProblems(t *testing.T) {
	src := "version: 1\n"
	for i := range 3000 {
		src += "k" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i/676)) + ": 1\n"
	}
	_, err := config.Parse("astern.yaml", []byte(src), "/", testDrivers())
	var list *config.Errors
	if !errors.As(err, &list) || !list.More || len(list.Problems) > 1000 {
		t.Fatalf("more %v, %d problems", list.More, len(list.Problems))
	}
	if !strings.Contains(err.Error(), "the rest is not shown") {
		t.Error("the text does not say that there are more")
	}
}

func TestDuration(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "500ms": 500 * time.Millisecond, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute,
		"90d": 90 * 24 * time.Hour, "1.5s": 1500 * time.Millisecond, "1d12h": 36 * time.Hour,
	} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(in)); err != nil || time.Duration(d) != want {
			t.Errorf("%s: got %v, %v", in, time.Duration(d), err)
		}
		b, err := d.MarshalText()
		var again config.Duration
		if err2 := again.UnmarshalText(b); err != nil || err2 != nil || again != d {
			t.Errorf("%s: %s is read as %v, %v", in, b, again, err2)
		}
	}
	for _, in := range []string{"", "5", "-5m", "5 m", "m", "5M", "1e3s", ".5s", "99999999999999d", "5m ", "5µs"} {
		var d config.Duration
		if err := d.UnmarshalText([]byte(in)); err == nil {
			t.Errorf("%q is read as %v", in, time.Duration(d))
		}
	}
}
