package lab

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/astern-dev/astern"
)

// Effect is what a fault does to the connection.
type Effect string

// The effects of a fault, beside the reply that it may put in the place of the account's and the delay before.
const (
	DropRequest Effect = "drop-request" // the connection is closed, nothing happened
	DropReply   Effect = "drop-reply"   // it happened, and the connection is closed instead of the reply
	Truncate    Effect = "truncate"     // it happened, and the connection is closed in the middle of the reply
)

// Fault is a rule on which calls fail, and how.
type Fault struct {
	ID int `json:"id"`
	// Service and Operation are matched; "" matches all.
	Service   string `json:"service,omitempty"`
	Operation string `json:"operation,omitempty"`
	// Nth is the first of the matching calls that is hit, from 1.
	Nth int `json:"nth"`
	// Count is how many calls are hit; 0 for all.
	Count int `json:"count,omitempty"`
	// Probability of each call from the nth on to be hit; 0 for certainly.
	Probability float64 `json:"probability,omitempty"`

	// Status and Code are of the error that is answered instead of calling the account; 0 for none.
	Status  int    `json:"status,omitempty"`
	Code    string `json:"code,omitempty"`
	Message string `json:"message,omitempty"`
	// Delay is waited before the call reaches the account.
	Delay  Span   `json:"delay,omitempty"`
	Effect Effect `json:"effect,omitempty"`
	// Meanwhile is what somebody else does just before the call reaches the account. It may call the account.
	Meanwhile func() `json:"-"`

	Seen int `json:"seen"` // calls that matched
	Hits int `json:"hits"` // of them hit
}

// Span is a duration that reads as "2s" in JSON.
type Span time.Duration

// MarshalText writes the span as Go does.
func (s Span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

// UnmarshalText reads "2s", "1m30s".
func (s *Span) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	*s = Span(d)
	return err
}

// Limits of faults.
const (
	maxFaults = 200
	maxDelay  = 5 * time.Minute
)

// usual are the codes of statuses that AWS answers without saying more.
var usual = map[int]string{403: "AccessDenied", 404: "ResourceNotFoundException", 409: "ConflictException", 412: "PreconditionFailed",
	429: "TooManyRequestsException", 500: "InternalFailure", 502: "BadGateway", 503: "ServiceUnavailable", 504: "GatewayTimeout"}

// checked completes a fault, or says what is wrong with it.
func (f Fault) checked(m *modelSet) (Fault, error) {
	wrong := func(format string, args ...any) (Fault, error) {
		return f, astern.Errorf(astern.Invalid, "a fault "+format, args...)
	}
	if f.Service == "" && f.Operation != "" {
		return wrong("of the operation %s needs the service that has it", strconv.Quote(f.Operation))
	}
	if s := m.byName[f.Service]; f.Service != "" && s == nil {
		return f, astern.Errorf(astern.Invalid, "a fault can't be of the service %s: the lab knows no such one", strconv.Quote(f.Service)).
			WithHint("one of: %s", strings.Join(names(m.byName), ", "))
	} else if f.Operation != "" && s.byName[f.Operation] == nil {
		return wrong("can't be of %s:%s: the service has no such operation", f.Service, strconv.Quote(f.Operation))
	}
	if f.Nth == 0 {
		f.Nth = 1
	}
	if f.Code != "" && f.Status == 0 {
		f.Status = http.StatusBadRequest
	}
	if f.Status != 0 && f.Code == "" {
		f.Code = usual[f.Status]
	}
	if f.Status != 0 && f.Message == "" {
		f.Message = "The lab was told to fail here."
	}
	switch {
	case f.Nth < 1 || f.Count < 0:
		return wrong("can't hit calls before the first, or less than none of them")
	case !(f.Probability >= 0 && f.Probability <= 1):
		return wrong("needs a probability from 0 to 1")
	case f.Status != 0 && (f.Status < 400 || f.Status > 599):
		return wrong("answers a status from 400 to 599, not %d", f.Status)
	case f.Status != 0 && f.Code == "":
		return wrong("with status %d needs a code", f.Status)
	case f.Delay < 0 || time.Duration(f.Delay) > maxDelay:
		return wrong("delays by at most %s", maxDelay)
	case !slices.Contains([]Effect{"", DropRequest, DropReply, Truncate}, f.Effect):
		return wrong("has no effect %s", strconv.Quote(string(f.Effect)))
	case f.Status != 0 && f.Effect != "" && f.Effect != Truncate:
		return wrong("answers an error or drops the connection, not both")
	case f.Status == 0 && f.Effect == "" && f.Delay == 0 && f.Meanwhile == nil:
		return wrong("needs something that happens: a status, a delay, or a connection that breaks")
	}
	f.ID, f.Seen, f.Hits = 0, 0, 0
	return f, nil
}

// faults are the rules in force.
type faults struct {
	mu     sync.Mutex
	rules  []*Fault
	last   int
	random *rand.Rand
}

func (f *faults) reset(seed uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules, f.last, f.random = nil, 0, rand.New(rand.NewPCG(seed, seed))
}

// AddFault puts a rule in force and returns it with its number.
func (l *Lab) AddFault(f Fault) (Fault, error) {
	f, err := f.checked(l.models)
	if err != nil {
		return f, err
	}
	l.faults.mu.Lock()
	defer l.faults.mu.Unlock()
	if len(l.faults.rules) >= maxFaults {
		return f, astern.Errorf(astern.Refused, "there are %d faults already", maxFaults).WithHint("astern lab fault clear")
	}
	l.faults.last++
	f.ID = l.faults.last
	l.faults.rules = append(l.faults.rules, &f)
	return f, nil
}

// Faults returns the rules in force, in the order in which they were added.
func (l *Lab) Faults() []Fault {
	l.faults.mu.Lock()
	defer l.faults.mu.Unlock()
	out := []Fault{}
	for _, f := range l.faults.rules {
		out = append(out, *f)
	}
	return out
}

// ClearFaults takes all rules away. What is left to chance goes on where it was.
func (l *Lab) ClearFaults() {
	l.faults.mu.Lock()
	defer l.faults.mu.Unlock()
	l.faults.rules = nil
}

// pick returns the first rule that hits a call, or nil. All rules that match count it.
func (f *faults) pick(c *Call) (hit *Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		if r.Service != "" && r.Service != c.Service || r.Operation != "" && r.Operation != c.Operation {
			continue
		}
		r.Seen++
		if hit != nil || r.Seen < r.Nth || r.Count > 0 && r.Hits >= r.Count || r.Probability > 0 && f.random.Float64() >= r.Probability {
			continue
		}
		r.Hits++
		is := *r
		hit = &is
	}
	return hit
}

// wait waits as long as the fault says. It answers false when the client has gone away meanwhile.
func (f *Fault) wait(ctx context.Context) bool {
	if f == nil || f.Delay == 0 {
		return true
	}
	t := time.NewTimer(time.Duration(f.Delay))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// deliver sends the reply, or what the fault leaves of it.
func (f *Fault) deliver(w http.ResponseWriter, r *http.Request, reply Reply) {
	switch {
	case reply.Status == 0, f != nil && f.Effect == DropReply:
		panic(http.ErrAbortHandler) // closes the connection and says nothing
	case f != nil && f.Effect == Truncate:
		for name, values := range reply.Header {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Length", strconv.Itoa(max(len(reply.Body), 1)))
		w.WriteHeader(reply.Status)
		_, _ = w.Write(reply.Body[:len(reply.Body)/2]) // who no longer listens gets nothing
		_ = http.NewResponseController(w).Flush()      // the same
		panic(http.ErrAbortHandler)
	}
	write(w, r, reply)
}
