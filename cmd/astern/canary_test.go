package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// Canaries are secret values that every script's environment holds, and that must turn up in nothing that the program
// leaves: not in what it prints, and not in a file below the script's folder. Scripts may use them as $NAME and as the
// files in $CANARIES; the script "secrets" puts them into every input that can hold a secret.
var canaries = map[string]string{
	"PROBE_TOKEN":           "cnryPr0beT0ken7Wq4Zx",
	"KEY_PASSPHRASE":        "cnryPassphr4se9Lm2Rt",
	"AWS_SECRET_ACCESS_KEY": "cnryAwsSecret5Hj8Kp3",
	"PGPASSWORD":            "cnryPgPassw0rd6Vb1Nc",
	"DRIVER_SECRET":         "cnryDriver2Secret8Yd",
}

// canaryFiles are secrets in files: the folder's name, the files and what they hold.
const canaryFolder = ".canaries"

var canaryFiles = map[string]string{"token": "cnryFileT0ken3Gf6Sq", "header": "Bearer cnryBearerT0ken1Mz7"}

// placeCanaries gives a script its canaries.
func placeCanaries(env *testscript.Env) error {
	folder := filepath.Join(env.WorkDir, canaryFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	env.Setenv("CANARIES", folder)
	for name, value := range canaries {
		env.Setenv(name, value)
	}
	for name, value := range canaryFiles {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(value+"\n"), 0o600); err != nil {
			return err
		}
	}
	t, ok := env.T().(watched)
	if !ok {
		return fmt.Errorf("the script runs without the search for canaries: its T is a %T", env.T())
	}
	env.Defer(func() { t.search(env.WorkDir) })
	return nil
}

// watched is a test whose log and files are searched for canaries.
type watched struct{ *testing.T }

// Run runs a script.
func (w watched) Run(name string, f func(testscript.T)) {
	w.T.Run(name, func(t *testing.T) { f(watched{t}) })
}

// Verbose makes testscript keep everything that the commands of a script print.
func (watched) Verbose() bool { return true }

// Log searches the log of a script. What testscript says of the environment itself is not the program's.
func (w watched) Log(args ...any) {
	w.Helper()
	log := fmt.Sprint(args...)
	for name, value := range canaries {
		log = strings.ReplaceAll(log, "\n"+name+"="+value+"\n", "\n"+name+"=…\n")
	}
	for _, leak := range leaks([]byte(log)) {
		w.Errorf("the program printed %s", leak)
	}
	w.T.Log(log)
}

// search looks through every file that a script leaves.
func (w watched) search(folder string) {
	files := 0
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !d.Type().IsRegular() {
			if d != nil && d.IsDir() && d.Name() == canaryFolder {
				return fs.SkipDir
			}
			return nil // what can't be read here, nobody else reads either
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		files++
		for _, leak := range leaks(content) {
			w.Errorf("%s holds %s", strings.TrimPrefix(path, folder), leak)
		}
		return nil
	})
	if err != nil || files == 0 {
		w.Errorf("searching %s for canaries: %d files, %v", folder, files, err)
	}
}

// leaks returns the canaries that content holds, in any of the forms in which they might be written.
func leaks(content []byte) (found []string) {
	all := map[string]string{}
	for name, value := range canaries {
		all[name] = value
	}
	for name, value := range canaryFiles {
		all["file "+name] = strings.TrimPrefix(value, "Bearer ")
	}
	lower := bytes.ToLower(content)
	for name, value := range all {
		if bytes.Contains(lower, []byte(strings.ToLower(value))) {
			found = append(found, name)
		}
		if bytes.Contains(lower, []byte(hex.EncodeToString([]byte(value)))) {
			found = append(found, name+" in hex")
		}
		for shift := range 3 { // base64 has three forms, by what stands before; the letters at both ends mix with it
			for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				form := e.EncodeToString([]byte(strings.Repeat("x", shift) + value))
				if bytes.Contains(content, []byte(form[4:len(form)-4])) {
					found = append(found, name+" in base64")
				}
			}
		}
	}
	return found
}

// TestLeaks: the search finds a canary in each form, and nothing where there is none.
func TestLeaks(t *testing.T) {
	value := canaries["PGPASSWORD"]
	for _, text := range []string{value, "x" + value + "y", strings.ToUpper(value), hex.EncodeToString([]byte("a" + value)),
		base64.StdEncoding.EncodeToString([]byte("user:" + value)), base64.URLEncoding.EncodeToString([]byte("ab" + value + "c")), base64.StdEncoding.EncodeToString([]byte(value))} {
		if got := leaks([]byte("{" + text + "}")); len(got) == 0 || !strings.HasPrefix(got[0], "PGPASSWORD") {
			t.Errorf("%q: found %q", text, got)
		}
	}
	if got := leaks([]byte("cnry <secret> " + value[:len(value)-1])); len(got) > 0 {
		t.Errorf("found %q where there is nothing", got)
	}
}

// mirror is an HTTP service for scripts that gives back, as an error, everything that it was sent: the worst that a
// probed service can do with a secret. It writes its address to the file in its argument, and runs until it is killed.
func mirror() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(os.Args[1]+".tmp", []byte(listener.Addr().String()), 0o600); err != nil {
		panic(err)
	}
	if err := os.Rename(os.Args[1]+".tmp", os.Args[1]); err != nil {
		panic(err)
	}
	panic(http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		dump, _ := httputil.DumpRequest(r, true) // a request that was parsed can be written
		switch r.URL.Path {
		case "/slow":
			<-r.Context().Done()
		case "/redirect":
			w.Header().Set("Location", "http://127.0.0.1:1/"+r.Header.Get("X-Token"))
			w.WriteHeader(http.StatusFound)
		case "/fine":
			fmt.Fprintf(w, `{"seen": %q}`, dump)
		default:
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write(dump) // whoever hung up has seen enough
		}
	})))
}
