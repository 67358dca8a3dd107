package lab

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Entry is one call in the journal.
type Entry struct {
	Seq       int64     `json:"seq"`
	Time      time.Time `json:"time"` // by the lab's clock
	Service   string    `json:"service"`
	Operation string    `json:"operation"`
	Region    string    `json:"region"`
	Account   string    `json:"account"`
	AccessKey string    `json:"access_key,omitempty"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Status    int       `json:"status"` // 0 when a fault took the connection before anything happened
	Error     string    `json:"error,omitempty"`
	Message   string    `json:"message,omitempty"`
	// Fault is the number of the rule that hit the call, Effect what it did to the connection.
	Fault    int     `json:"fault,omitempty"`
	Effect   Effect  `json:"effect,omitempty"`
	Millis   float64 `json:"ms"`
	ReadOnly bool    `json:"read_only"`
	// Parameters are the input without what is secret in it. Where it is large, large values are left out.
	Parameters map[string]any `json:"parameters,omitempty"`

	source, agent string
	at            int64 // its place in the journal; calls end in another order than they begin
}

// Limits of the journal in memory; its file has everything.
const (
	maxEntries    = 50_000
	maxParameters = 8 << 10
	maxParameter  = 512
)

// journal is all calls, oldest first.
type journal struct {
	mu      sync.Mutex
	entries []Entry
	added   int64
	file    io.Writer
	failed  error // of writing the file; the calls go on
}

func (j *journal) add(e Entry) {
	line, err := json.Marshal(e)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.entries) >= maxEntries { // a tenth at once, so that it is not moved at each call
		j.entries = append(j.entries[:0:0], j.entries[maxEntries/10:]...)
	}
	j.added++
	e.at = j.added
	j.entries = append(j.entries, e)
	if err == nil && j.file != nil && j.failed == nil {
		_, j.failed = j.file.Write(append(line, '\n'))
	}
}

func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = nil
}

// all returns the entries, oldest first. They must not be changed.
func (j *journal) all() []Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.entries[:len(j.entries):len(j.entries)]
}

// Calls returns the journal's calls that match, oldest first; "" matches all.
func (l *Lab) Calls(service, operation string, after int64) []Entry {
	out := []Entry{}
	for _, e := range l.journal.all() {
		if e.Seq > after && (service == "" || service == e.Service) && (operation == "" || operation == e.Operation) {
			out = append(out, e)
		}
	}
	return out
}

func entryOf(c *Call, reply Reply, r *http.Request, hit *Fault, reached bool, took time.Duration) Entry {
	e := Entry{Seq: c.Seq, Time: c.Time.UTC(), Service: c.Service, Operation: c.Operation, Region: c.Region, Account: c.Account,
		AccessKey: c.AccessKey, Method: c.Method, Path: c.Path, Millis: float64(took.Microseconds()) / 1000,
		ReadOnly: readOnly(c.Operation), Parameters: parameters(c), agent: r.UserAgent()}
	e.source, _, _ = strings.Cut(r.RemoteAddr, ":")
	if hit != nil {
		e.Fault, e.Effect = hit.ID, hit.Effect
	}
	if !reached {
		return e
	}
	e.Status = reply.Status
	if reply.Status >= 400 {
		e.Error, e.Message = refused(c.protocol, reply)
	}
	return e
}

// readOnly tells operations that change nothing, by the words that AWS begins their names with.
func readOnly(operation string) bool {
	for _, word := range []string{"Get", "List", "Describe", "Head", "Lookup", "BatchGet", "BatchCheck", "Query", "Scan", "Filter", "Search",
		"Validate", "Simulate", "Estimate", "Detect", "Test", "Preview", "Select"} {
		if strings.HasPrefix(operation, word) {
			return true
		}
	}
	return false
}

// hidden are members that hold what nobody must read later, or whole archives. CloudTrail leaves them out too.
var hidden = map[string]bool{"secretstring": true, "secretbinary": true, "zipfile": true, "environment": true, "environmentvariables": true,
	"password": true, "masteruserpassword": true, "newpassword": true, "oldpassword": true, "clientrequesttokensecret": true,
	"ssecustomerkey": true, "copysourcessecustomerkey": true, "secretaccesskey": true, "webidentitytoken": true, "samlassertion": true,
	"tokencode": true, "payload": true, "plaintext": true, "parametervalue": true, "logevents": true, "configurationtoken": true, "content": true}

const omitted = "HIDDEN_DUE_TO_SECURITY_REASONS" // as CloudTrail writes it

// parameters are the input as it may be shown.
func parameters(c *Call) map[string]any {
	out := map[string]any{}
	size := 0
	for name, v := range c.Input {
		bare, _, _ := strings.Cut(strings.ToLower(name), ".")
		last := strings.ToLower(name[strings.LastIndexByte(name, '.')+1:]) // of what the query protocol flattens
		if hidden[bare] || hidden[last] || c.Service == "ssm" && bare == "value" {
			out[name] = omitted
			continue
		}
		v = shown(v, 0)
		b, err := json.Marshal(v)
		if size += len(b); err != nil || size > maxParameters && len(b) > maxParameter {
			v = "left out: too large"
		}
		out[name] = v
	}
	return out
}

// shown is a value without what is secret below it.
func shown(v any, depth int) any {
	switch v := v.(type) {
	case map[string]any:
		if depth > 20 {
			return "left out: too deep"
		}
		out := make(map[string]any, len(v))
		for name, inner := range v {
			if hidden[strings.ToLower(name)] {
				out[name] = omitted
			} else {
				out[name] = shown(inner, depth+1)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = shown(inner, depth+1)
		}
		return out
	}
	return v
}
