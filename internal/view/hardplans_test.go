package view

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/astern-dev/astern"
)

// TestHardPlans prints the five hard plans (and the undo of one) that were written by hand before the drivers of their
// kinds: whatever a plan can say, a person can read, as text and as a runbook.
func TestHardPlans(t *testing.T) {
	files, err := filepath.Glob("../planfile/testdata/plans/*.json")
	if err != nil || len(files) != 6 {
		t.Fatalf("%d plans, %v", len(files), err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			doc, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var p astern.Plan
			if err := json.Unmarshal(doc, &p); err != nil {
				t.Fatal(err)
			}
			st := Style{Width: 100, Now: p.CreatedAt.Add(time.Minute)}
			v := PlanView{Plan: p, Hash: strings.Repeat("0", 64), Next: []string{"astern apply plan.json"}}
			var text, book bytes.Buffer
			if err := Plan(&text, st, v); err != nil {
				t.Fatal(err)
			}
			golden(t, "hard-"+name+".txt", text.Bytes())
			if err := Runbook(&book, st, v); err != nil {
				t.Fatal(err)
			}
			if name == "fleet" { // 300 KB of host names
				if n := bytes.Count(book.Bytes(), []byte("edge-")); n < 9995 {
					t.Errorf("the runbook names %d hosts", n)
				}
				return
			}
			golden(t, "hard-"+name+".md", book.Bytes())
		})
	}
}
