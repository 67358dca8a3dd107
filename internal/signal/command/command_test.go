package command_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/host"
	"github.com/astern-dev/astern/internal/signal"
	"github.com/astern-dev/astern/internal/signal/command"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func read(t *testing.T, source astern.CommandSource) signal.Answer {
	t.Helper()
	r := command.Reader{Machine: host.Here(), Folder: t.TempDir(), Now: func() time.Time { return noon },
		Secret: func(astern.Secret) (astern.SecretValue, error) { return astern.NewSecretValue("hunter2-hunter2"), nil }}
	ask := signal.Ask{Signal: astern.Signal{Name: "orders", Address: "production/shop", Command: &source},
		Members: []signal.Member{{Name: "a"}, {Name: "b"}}}
	return r.Read(t.Context(), []signal.Ask{ask})[0]
}

func TestReadings(t *testing.T) {
	got := read(t, astern.CommandSource{Argv: []string{"echo", `[{"member":"a","total":7,"bad":1,"at":"2026-11-21T11:59:58Z"},
		{"member":"c","total":1}, {"member":"b","buckets":[{"upper":0.5,"count":3},{"upper":null,"count":4}]}]`}})
	if got.Err != nil || len(got.Readings) != 2 || len(got.Failed) != 0 || len(got.Notes) != 1 {
		t.Fatalf("%+v", got)
	}
	if a := got.Readings[0]; a.Total != 7 || a.Bad != 1 || noon.Sub(a.At) != 2*time.Second {
		t.Errorf("%+v", a)
	}
	if b := got.Readings[1]; b.Total != 4 || !b.At.Equal(noon) {
		t.Errorf("%+v", b)
	}
	if got = read(t, astern.CommandSource{Argv: []string{"echo", `[]`}}); got.Err != nil || got.Failed["a"] == "" {
		t.Errorf("%+v", got)
	}
}

func TestBadOutput(t *testing.T) {
	script := func(text string) []string {
		path := filepath.Join(t.TempDir(), "s")
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		return []string{path}
	}
	for name, c := range map[string]struct {
		argv []string
		says string
	}{
		"not there":         {[]string{"/no/such/program"}, "could not be run"},
		"fails":             {script("echo broken >&2; exit 3"), "exit code 3: broken"},
		"killed":            {script("kill -9 $$"), "exit code 137"},
		"nothing":           {[]string{"true"}, "no list of readings"},
		"null":              {[]string{"echo", "null"}, "no list of readings"},
		"text":              {[]string{"echo", "7 orders"}, "no list of readings"},
		"an object":         {[]string{"echo", "{}"}, "no list of readings"},
		"an unknown key":    {[]string{"echo", `[{"member":"a","totl":1}]`}, "totl"},
		"no total":          {[]string{"echo", `[{"member":"a","bad":1}]`}, "neither a total nor buckets"},
		"no member":         {[]string{"echo", `[{"total":1}]`}, "names no member"},
		"a member twice":    {[]string{"echo", `[{"member":"a","total":1},{"member":"a","total":2}]`}, "second one of its member"},
		"more behind":       {[]string{"echo", `[] []`}, "something follows it"},
		"NaN":               {[]string{"echo", `[{"member":"a","total":NaN}]`}, "no list of readings"},
		"not UTF-8":         {[]string{"printf", `[{"member":"\377","total":1}]`}, "not UTF-8"},
		"a bound of text":   {[]string{"echo", `[{"member":"a","buckets":[{"upper":"+Inf","count":1}]}]`}, "no list of readings"},
		"too much":          {script("head -c 5000000 /dev/zero | tr '\\0' ' '"), "more than 4 MB"},
		"a shell's own way": {[]string{"echo", "$(id)"}, "no list of readings"},
	} {
		t.Run(name, func(t *testing.T) {
			got := read(t, astern.CommandSource{Argv: c.argv})
			if got.Err == nil || !strings.Contains(got.Err.Error(), c.says) || len(got.Readings) > 0 || strings.Contains(got.Err.Error(), "\n") {
				t.Errorf("%v, want %q", got.Err, c.says)
			}
		})
	}
}

// The program gets the secret; whatever it prints, none of it is shown.
func TestSecretOfCommand(t *testing.T) {
	env := map[string]astern.Secret{"TOKEN": {Env: "X"}}
	for _, argv := range [][]string{{"sh", "-c", "echo $TOKEN"}, {"sh", "-c", "echo $TOKEN >&2; exit 1"}} {
		got := read(t, astern.CommandSource{Argv: argv, SecretEnv: env})
		if got.Err == nil || strings.Contains(fmt.Sprintf("%v %+v", got.Err, got), "hunter2") {
			t.Errorf("%+v", got)
		}
	}
	got := read(t, astern.CommandSource{Argv: []string{"sh", "-c", `test "$TOKEN" = hunter2-hunter2 && echo '[{"member":"a","total":1}]'`}, SecretEnv: env})
	if got.Err != nil || len(got.Readings) != 1 {
		t.Errorf("%+v", got)
	}
	if got := read(t, astern.CommandSource{Argv: []string{"sh", "-c", `printf '[{"member":"a","total":%s}]' "${SECRET_OF_ASTERN:-5}"`}}); got.Readings[0].Total != 5 {
		t.Errorf("%+v", got)
	}
}

// A list of empty buckets is no histogram.
func TestEmptyBuckets(t *testing.T) {
	got := read(t, astern.CommandSource{Argv: []string{"echo", `[{"member":"a","total":1,"buckets":[]}]`}})
	if len(got.Readings) != 1 {
		t.Fatalf("%+v", got)
	}
	if why := signal.Invalid(&got.Readings[0], noon, 0); why == "" {
		t.Error("it counts as one that can be read")
	}
}
