package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// answered serves one event by the runtime interface and returns how and what the function answers.
func answered(t *testing.T, mapping, event string) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "mapping.json"), []byte(mapping), 0o644); err != nil {
		t.Fatal(err)
	}
	calls, got := 0, ""
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodGet && calls == 0:
			calls++
			w.Header().Set("Lambda-Runtime-Aws-Request-Id", "id-1")
			_, _ = io.WriteString(w, event)
		case r.Method == http.MethodPost:
			body, _ := io.ReadAll(r.Body)
			got = r.URL.Path + " " + string(body)
		default:
			panic(http.ErrAbortHandler) // the runtime ends
		}
	}))
	defer api.Close()
	if err := serve(api.URL, folder); err == nil || calls > 0 && !strings.Contains(err.Error(), "waiting for a call") {
		t.Errorf("it ended with %v", err)
	}
	return got
}

func TestIndexer(t *testing.T) {
	const good = `{"version":"v1","id":"id","title":"title"}`
	for _, c := range []struct{ name, mapping, event, want string }{
		{"two documents", good, `{"documents":[{"id":"7","title":"House DJ"},{"id":"8","title":"Wedding dj"}]}`,
			`/invocation/id-1/response {"version":"v1","indexed":2,"words":{"dj":["7","8"],"house":["7"],"wedding":["8"]}}`},
		{"none", good, `{}`, `/invocation/id-1/response {"version":"v1"}`},
		{"the field of no document", `{"version":"v2","id":"id","title":"headline"}`, `{"documents":[{"id":"7","title":"House DJ"}]}`,
			`/invocation/id-1/error {"errorType":"BadDocument","errorMessage":"document 1 has no field \"id\" or \"headline\""}`},
		{"no JSON", good, `[`, `/invocation/id-1/error {"errorType":"BadEvent","errorMessage":"the event is no list of documents: unexpected end of JSON input"}`},
		{"no mapping", `{`, `{}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := answered(t, c.mapping, c.event); got != c.want {
				t.Errorf("got %s\nwant %s", got, c.want)
			}
		})
	}
}
