package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/examples/webshop/load"
)

// Report is the demo's JSON document.
type Report struct {
	Kind    string  `json:"kind"` // always "Demo"
	Version int     `json:"version"`
	Stories []Story `json:"stories"`
	// LeftOut are the stories that could not be told on this machine.
	LeftOut []LeftOut `json:"left_out,omitempty"`
}

// LeftOut is a story that was not told.
type LeftOut struct {
	Name    string `json:"name"`
	Because string `json:"because"`
}

// stories is how many there are to tell.
const stories = 6

// OK reports whether all stories that could be told were told, and ended well.
func (r Report) OK() bool {
	for _, s := range r.Stories {
		if !s.OK {
			return false
		}
	}
	return len(r.Stories)+len(r.LeftOut) == stories
}

// Story is what was seen of one story.
type Story struct {
	Name string `json:"name"`
	// OK is true when every finding is.
	OK bool `json:"ok"`
	// NoticeSeconds is the time from the first bad instance until the load showed the fault, or astern noticed it.
	NoticeSeconds float64 `json:"notice_seconds"`
	// Incident is what astern did by itself, where it watched.
	Incident *Incident `json:"incident,omitempty"`
	// Phases are those that astern measured.
	Phases astern.Phases `json:"phases"`
	// TotalSeconds is the time from the first bad instance until astern had proven the recovery.
	TotalSeconds float64 `json:"total_seconds"`
	// Requests are those of that time.
	Requests load.Figures `json:"requests"`
	// FailedPercent is the failed share of requests before the fault, while it lasted unnoticed, and after the recovery.
	FailedPercent Shares `json:"failed_percent"`
	// Stages are the requests part by part, in the order of the story.
	Stages   []Stage   `json:"stages"`
	Findings []Finding `json:"findings"`
}

// Incident is one that astern opened by itself. Times are seconds after the fault began; zero is never.
type Incident struct {
	ID             string  `json:"id"`
	NoticedSeconds float64 `json:"noticed_seconds"`
	PlannedSeconds float64 `json:"planned_seconds,omitempty"`
	// FirstStepSeconds is when the first step of the execution began: how long after the decision astern acts.
	FirstStepSeconds float64 `json:"first_step_seconds,omitempty"`
	FirstBackSeconds float64 `json:"first_back_seconds,omitempty"`
	AllBackSeconds   float64 `json:"all_back_seconds,omitempty"`
	ProvenSeconds    float64 `json:"proven_seconds,omitempty"`
	ResolvedSeconds  float64 `json:"resolved_seconds,omitempty"`
	// Because is astern's reason for what it did, or did not do.
	Because string `json:"because"`
	// Report is the file of its report.
	Report string `json:"report,omitempty"`
}

// Shares is a share before, during and after a fault, 0 to 100.
type Shares struct {
	Before float64 `json:"before"`
	During float64 `json:"during"`
	After  float64 `json:"after"`
}

// Stage is the load during one part of a story.
type Stage struct {
	What     string       `json:"what"`
	Seconds  float64      `json:"seconds"`
	Requests load.Figures `json:"requests"`
	from, to time.Time
}

// Finding is one thing that had to be so, and what was seen.
type Finding struct {
	What string `json:"what"`
	OK   bool   `json:"ok"`
	Saw  string `json:"saw"`
	// command is true when it is about a command's exit code.
	command bool
}

// WriteJSON writes the report as one line of JSON.
func (r Report) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(r) }

// WriteTable writes the report for a person.
func (r Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w)
	fmt.Fprintln(t, "story\tok\tnotice\tdecide\tapprove\texecute\tsettle\tprove\tfault to proven\trequests\tfailed\tbefore\tduring\tafter\t")
	for _, s := range r.Stories {
		fmt.Fprintf(t, "%s\t%s\t", s.Name, yesNo(s.OK))
		p := s.Phases
		for _, v := range []float64{s.NoticeSeconds, p.DecideSeconds, p.ApproveSeconds, p.ExecuteSeconds, p.SettleSeconds, p.ProveSeconds, s.TotalSeconds} {
			fmt.Fprintf(t, "%.1f s\t", v)
		}
		f := s.FailedPercent
		fmt.Fprintf(t, "%d\t%d\t%.1f %%\t%.1f %%\t%.1f %%\t\n", s.Requests.Total, s.Requests.Failed, f.Before, f.During, f.After)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nThe last three columns are the share of requests that failed.")
	for _, l := range r.LeftOut {
		fmt.Fprintf(w, "\nThe story %s was left out: %s\n", l.Name, l.Because)
	}
	for _, s := range r.Stories {
		if err := s.writeDetails(w); err != nil {
			return err
		}
	}
	return nil
}

// writeDetails writes the load part by part, and what was found; commands that exited as they should are only counted.
func (s Story) writeDetails(w io.Writer) error {
	fmt.Fprintf(w, "\n%s\n", s.Name)
	if in := s.Incident; in != nil {
		fmt.Fprintf(w, "  %s\n  %d of %d requests failed from the fault to its end\n", in, s.Requests.Failed, s.Requests.Total)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, g := range s.Stages {
		fmt.Fprintf(t, "  %s\t%5.1f s\t%5d requests\t%4d lost\t%5.1f %%\t%4d slow\n", g.What, g.Seconds, g.Requests.Total,
			g.Requests.Failed, g.Requests.FailedPercent(), g.Requests.Slow)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	commands := 0
	for _, f := range s.Findings {
		if f.command && f.OK {
			commands++
			continue
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", yesNo(f.OK), f.What, f.Saw)
	}
	fmt.Fprintf(t, "  yes\t%d astern commands exited with the code that they should\n", commands)
	return t.Flush()
}

// String lists the times, and where the report is.
func (in Incident) String() string {
	text := in.ID + ": the fault began at 0.0 s"
	for _, t := range []struct {
		what    string
		seconds float64
	}{{"noticed", in.NoticedSeconds}, {"planned", in.PlannedSeconds}, {"first step", in.FirstStepSeconds}, {"first instance back", in.FirstBackSeconds},
		{"all back", in.AllBackSeconds}, {"proven", in.ProvenSeconds}, {"over by the signals", in.ResolvedSeconds}} {
		if t.seconds > 0 {
			text += fmt.Sprintf(", %s %.1f s", t.what, t.seconds)
		}
	}
	if in.Report != "" {
		text += "; report: " + in.Report
	}
	return text
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}
