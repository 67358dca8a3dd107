// Command demo-check reads what `make demo JSON=1` printed, finds the JSON document that stands last in it, and exits 1
// unless all stories are there, ended well, and were measured.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
)

type demo struct {
	Kind    string
	Version int
	Stories []story
}

type story struct {
	Name     string
	OK       bool
	Phases   map[string]float64
	Requests struct{ Total, Failed int64 }
	Incident *incident
}

type incident struct {
	ID             string
	NoticedSeconds float64 `json:"noticed_seconds"`
	ProvenSeconds  float64 `json:"proven_seconds"`
	Because        string
}

// wanted are the stories, whether astern carries something out in them, whether it watches, and whether customers are counted.
// None may be left out.
var wanted = []struct {
	name                     string
	carries, watching, count bool
}{{"bad-release", true, false, true}, {"whole-system", true, false, true}, {"aws-release", true, false, false}, {"auto-rollback", true, true, true},
	{"flag-off", true, true, true}, {"not-ours", false, true, true}}

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = check(os.Stdout, text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo-check:", err)
		os.Exit(1)
	}
}

func check(w io.Writer, text []byte) error {
	d, err := last(text)
	if err != nil {
		return err
	}
	if d.Kind != "Demo" || d.Version != 1 {
		return fmt.Errorf("the document is %q version %d, not \"Demo\" version 1", d.Kind, d.Version)
	}
	for _, want := range wanted {
		name := want.name
		i := slices.IndexFunc(d.Stories, func(s story) bool { return s.Name == name })
		if i < 0 {
			return fmt.Errorf("the story %s is missing", name)
		}
		s := d.Stories[i]
		total := 0.0
		for _, seconds := range s.Phases {
			total += seconds
		}
		switch {
		case !s.OK:
			return fmt.Errorf("the story %s did not end well", name)
		case want.carries != (total > 0):
			return fmt.Errorf("the story %s has phases of %.1f s", name, total)
		case want.watching && (s.Incident == nil || s.Incident.ID == "" || s.Incident.NoticedSeconds <= 0 || s.Incident.Because == ""):
			return fmt.Errorf("the story %s tells of no incident that astern noticed", name)
		case want.watching && want.carries && s.Incident.ProvenSeconds < s.Incident.NoticedSeconds:
			return fmt.Errorf("the incident of the story %s was proven to be over before it was noticed", name)
		case want.count && s.Requests.Total <= 0 || s.Requests.Failed < 0 || s.Requests.Failed > s.Requests.Total:
			return fmt.Errorf("the story %s counts %d of %d requests as failed", name, s.Requests.Failed, s.Requests.Total)
		}
		fmt.Fprintf(w, "demo %-13s ok  %5.1fs  %d of %d requests failed\n", name, total, s.Requests.Failed, s.Requests.Total)
	}
	return nil
}

// last returns the JSON document that starts at the beginning of a line and ends with the text.
func last(text []byte) (demo, error) {
	text = bytes.TrimSpace(text)
	for end := len(text); end > 0; {
		start := bytes.LastIndexByte(text[:end], '\n') + 1
		if text[start] == '{' {
			var d demo
			if json.Unmarshal(text[start:], &d) == nil {
				return d, nil
			}
		}
		end = start - 1
	}
	return demo{}, fmt.Errorf("no JSON document stands last in the %d bytes that were printed", len(text))
}
