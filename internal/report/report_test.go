package report_test

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/astern-dev/astern"
	"github.com/astern-dev/astern/internal/report"
	"github.com/astern-dev/astern/internal/view"
)

var update = flag.Bool("update", false, "write the golden files")

var start = time.Date(2026, 3, 1, 3, 7, 0, 0, time.UTC)

const hostile = "</td><script>alert(1)</script>|\x1b[2J\n# `x` [a](javascript:b)"

// incidentOf is an incident in all of whose texts stands s.
func incidentOf(s string) astern.Incident {
	at := func(m int) time.Time { return start.Add(time.Duration(m) * time.Minute) }
	resolved, due, done := at(5), at(65), at(10)
	v := func(f float64) *float64 { return &f }
	return astern.Incident{ID: "inc-1", Title: "errors " + s, Addresses: []string{"production/shop"}, Severity: "SEV-2", Owner: "ana" + s, OpenedBy: "watch",
		BeganAt: start, OpenedAt: at(1), ResolvedAt: &resolved, Cause: &astern.Cause{Address: "production/shop", Revision: "v2" + s, At: start, By: "ci"},
		Decisions: []astern.Decision{{Act: astern.ActAutomatic, Way: "shop back to v1" + s, Because: "4.1 % of 1,204 requests fail" + s, Against: []string{"v0: its schema is gone" + s}},
			{Act: astern.ActHold, Because: "no data"}},
		Logs:       &astern.FailureLog{Group: "/aws/lambda/shop" + s, Since: start, Lines: []astern.LogLine{{At: at(1), Text: "[ERROR] no price" + s}, {At: at(2), Text: "Task timed out after 3.00 seconds" + s}}},
		Executions: []string{"ex-1"}, Cost: astern.Cost{Requests: 1204, Users: 310, Share: 4.1, Unknown: "orders" + s},
		Series: []astern.Series{{Name: "errors" + s, Unit: "%", Margin: 0.5, Points: []astern.Point{{At: start, Candidate: v(4), Control: v(0.3)}, {At: at(1), Candidate: v(4.2), Control: v(0.3)}}}},
		Tasks: []astern.Task{{Item: "channel", List: "1h", Owner: "ana", DueAt: &due, DoneAt: &done, By: "bob" + s}, {Item: "ticket", List: "1h", DueAt: &due},
			{Item: "lessons", List: "24h"}},
		Timeline: []astern.TimelineEntry{{At: at(1), Kind: astern.IncidentOpened, By: "watch", Text: "opened: errors" + s}, {At: at(2), Kind: astern.IncidentActed, Text: "ex-1: done"}}}
}

func written(t *testing.T, in astern.Incident) map[string]string {
	t.Helper()
	now := start.Add(2 * time.Hour)
	var md, page bytes.Buffer
	if err := report.Markdown(&md, in, now, view.EscapeMarkdown); err != nil {
		t.Fatal(err)
	}
	if err := report.HTML(&page, in, now); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"report.md": md.String(), "report.html": page.String()}
}

func TestReport(t *testing.T) {
	for name, got := range written(t, incidentOf("")) {
		golden := "testdata/" + name
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// TestHostileTexts: whatever a name holds, the page has no more tags than without it, and Markdown no HTML and no more lines.
func TestHostileTexts(t *testing.T) {
	plain, odd := written(t, incidentOf("")), written(t, incidentOf(hostile))
	for _, tag := range []string{"<", "<script", "</td>", "<a "} {
		if a, b := strings.Count(plain["report.html"], tag), strings.Count(odd["report.html"], tag); a != b {
			t.Errorf("the page has %d of %q, with hostile texts %d", a, tag, b)
		}
	}
	if strings.ContainsAny(odd["report.md"], "<>\x1b") {
		t.Error("the Markdown holds HTML or control characters")
	}
	if a, b := strings.Count(plain["report.md"], "\n"), strings.Count(odd["report.md"], "\n"); a != b {
		t.Errorf("the Markdown has %d lines, with hostile texts %d", a, b)
	}
}

// TestHoles: an incident of which little is known.
func TestHoles(t *testing.T) {
	for name, got := range written(t, astern.Incident{ID: "inc-1", BeganAt: start, OpenedAt: start, Tasks: []astern.Task{{Item: "x", List: "1h"}}}) {
		for _, want := range []string{"lasts", "not judged", "nobody", "not known", "due when it is resolved"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s does not say %q", name, want)
			}
		}
		if strings.Contains(got, "Decisions") || strings.Contains(got, "Signals") {
			t.Errorf("%s has an empty part", name)
		}
	}
}
