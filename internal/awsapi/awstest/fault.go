package awstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Fault is what happens to calls.
type Fault struct {
	// Operation is the call ("UpdateAlias"), and About a text in its path or body: a name that only this test uses.
	Operation, About string
	// Times is how many calls it is for; 0 means all.
	Times int
	// Status, Code and Message are an error that is answered in place of moto, in the words of the cloud.
	Status        int
	Code, Message string
	// LoseReply cuts the connection after moto has done what was asked, LoseRequest before.
	LoseReply, LoseRequest bool
	// Before is called before the call goes on: somebody else, in between.
	Before func()

	hits int
}

// Inject puts a fault in force until the test ends. Tests inject faults on names of their own.
func (a *Account) Inject(t testing.TB, f Fault) {
	t.Helper()
	if f.About == "" {
		t.Fatal("a fault is about a name of the test")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	p := &f
	a.faults = append(a.faults, p)
	t.Cleanup(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.faults = slices.DeleteFunc(a.faults, func(x *Fault) bool { return x == p })
	})
}

// pick notes the call and returns the fault that is for it.
func (a *Account) pick(op string, r *http.Request, body []byte) *Fault {
	a.mu.Lock()
	defer a.mu.Unlock()
	text := r.URL.Path + " " + string(body)
	a.calls = append(a.calls, op+" "+text)
	for _, f := range a.faults {
		if f.Operation == op && strings.Contains(text, f.About) && (f.Times == 0 || f.hits < f.Times) {
			f.hits++
			return f
		}
	}
	return nil
}

// Calls returns how many calls of the operation were about the name.
func (a *Account) Calls(op, about string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, c := range a.calls {
		if name, text, _ := strings.Cut(c, " "); name == op && strings.Contains(text, about) {
			n++
		}
	}
	return n
}

// answer writes an error as the service of the request does.
func (f *Fault) answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Amzn-Requestid", "11111111-2222-3333-4444-555555555555")
	w.Header().Set("X-Amz-Request-Id", "11111111-2222-3333-4444-555555555555")
	switch {
	case r.Header.Get("X-Amz-Target") != "" || strings.Contains(r.URL.Path, "/functions/") || strings.Contains(r.URL.Path, "/layers/"):
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("X-Amzn-Errortype", f.Code)
		w.WriteHeader(f.Status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": f.Code, "message": f.Message, "Message": f.Message})
	case r.Method == http.MethodPost:
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(f.Status)
		fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>11111111-2222-3333-4444-555555555555</RequestId></ErrorResponse>`, f.Code, f.Message)
	default:
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(f.Status)
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>`, f.Code, f.Message)
	}
}
