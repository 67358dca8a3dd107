package main

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/astern-dev/astern/internal/canary"
)

// Every script's environment holds the secrets of package canary, which must turn up in nothing that the program leaves: not
// in what it prints, and not in a file below the script's folder. Scripts may use them as $NAME and as the files in $CANARIES;
// the script "secrets" puts them into every input that can hold a secret. What lies in emulated accounts are canaries as well: the
// values of secrets, parameters and configurations (the files old and new in $CANARIES), variables of functions and of tasks.

// oldValue and newValue are what is kept in a script's account; variable is what somebody put into a variable of a workload.
var oldValue, newValue, variable = canary.Kept("old"), canary.Kept("new"), canary.Kept("variable")

// placeCanaries gives a script its canaries.
func placeCanaries(env *testscript.Env) error {
	if err := canary.Place(env.WorkDir); err != nil {
		return err
	}
	for name, value := range map[string]string{"old": oldValue, "new": newValue} {
		if err := os.WriteFile(filepath.Join(env.WorkDir, canary.Folder, name), []byte(value), 0o600); err != nil {
			return err
		}
	}
	env.Setenv("CANARIES", filepath.Join(env.WorkDir, canary.Folder))
	for name, value := range canary.Variables() {
		env.Setenv(name, value)
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
	for name, value := range canary.Variables() {
		log = strings.ReplaceAll(log, "\n"+name+"="+value+"\n", "\n"+name+"=…\n")
	}
	for _, leak := range canary.Leaks([]byte(log)) {
		w.Errorf("the program printed %s", leak)
	}
	w.T.Log(log)
}

// search looks through every file that a script leaves.
func (w watched) search(folder string) {
	files, found, err := canary.Search(folder)
	if err != nil {
		w.Errorf("searching %s for canaries: %d files, %v", folder, files, err)
	}
	for _, leak := range found {
		w.Error(leak)
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
