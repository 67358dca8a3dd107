package lab

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/astern-dev/astern"
)

// adminPath is where the lab itself is asked. No bucket can have such a name.
const adminPath = "/_lab/"

// Status is what the lab says of itself.
type Status struct {
	PID     int       `json:"pid"`
	Began   time.Time `json:"began,omitzero"`
	Now     time.Time `json:"now"`   // by its clock
	Ahead   Span      `json:"ahead"` // of the real time
	Seed    uint64    `json:"seed"`
	Calls   int64     `json:"calls"`
	Faults  int       `json:"faults"`
	Judging bool      `json:"judging"`           // calls are held to policies
	Journal string    `json:"journal,omitempty"` // what is wrong with its file
}

// Status says how the lab is.
func (l *Lab) Status() Status {
	now := time.Now()
	s := Status{PID: os.Getpid(), Now: l.when(now).UTC(), Seed: l.seed, Calls: l.sequence.Load(), Faults: len(l.Faults()), Judging: l.judging.Load()}
	s.Ahead = Span(l.when(now).Sub(now))
	l.journal.mu.Lock()
	defer l.journal.mu.Unlock()
	if l.journal.failed != nil {
		s.Journal = l.journal.failed.Error()
	}
	return s
}

// admin answers what the lab itself is asked, in JSON. What changes something must say that it is JSON, which no page in
// a browser can do without being asked whether it may.
func (l *Lab) admin(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Header.Get("Content-Type") != "application/json" {
		say(w, nil, astern.Errorf(astern.Invalid, "the lab wants application/json"))
		return
	}
	what := r.Method + " " + strings.TrimPrefix(r.URL.Path, adminPath)
	switch what {
	case "GET status":
		say(w, l.Status(), nil)
	case "GET calls":
		q := r.URL.Query()
		after, err := strconv.ParseInt("0"+q.Get("after"), 10, 64)
		say(w, l.Calls(q.Get("service"), q.Get("operation"), after), err)
	case "GET faults":
		say(w, l.Faults(), nil)
	case "POST faults":
		var f Fault
		err := hear(w, r, &f)
		if err == nil {
			f, err = l.AddFault(f)
		}
		say(w, f, err)
	case "DELETE faults":
		l.ClearFaults()
		say(w, l.Faults(), nil)
	case "POST clock":
		var by struct {
			Step Span `json:"step"`
		}
		err := hear(w, r, &by)
		if err == nil {
			_, err = l.Step(r.Context(), time.Duration(by.Step))
		}
		say(w, l.Status(), err)
	case "POST access":
		var to struct {
			Judge bool `json:"judge"`
		}
		err := hear(w, r, &to)
		if err == nil {
			l.HoldToPolicies(to.Judge)
		}
		say(w, l.Status(), err)
	case "POST expire":
		gone, err := l.Expire(r.Context())
		gone = append(gone, l.expireImages(r.Context(), l.Now())...)
		say(w, gone, err)
	case "POST reset":
		err := l.Reset(r.Context())
		say(w, l.Status(), err)
	default:
		say(w, nil, astern.Errorf(astern.NotFound, "the lab can't be asked %s", strconv.Quote(what)))
	}
}

// hear reads what was asked.
func hear(w http.ResponseWriter, r *http.Request, into any) error {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return astern.Errorf(astern.Invalid, "reading what the lab is asked: %w", err)
	}
	return nil
}

// complaint is an error of the lab on its way to the command line.
type complaint struct {
	Code    astern.Code `json:"code"`
	Message string      `json:"message"`
	Hint    string      `json:"hint,omitempty"`
}

// say answers with a value or with an error.
func say(w http.ResponseWriter, v any, err error) {
	status := http.StatusOK
	if err != nil {
		status = http.StatusBadRequest
		c := complaint{Code: astern.CodeOf(err), Message: err.Error()}
		var own *astern.Error
		if errors.As(err, &own) {
			c.Hint = own.Hint
		}
		v = c
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // who no longer listens gets nothing
}
