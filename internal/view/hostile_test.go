package view

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"

	"github.com/astern-dev/astern"
)

// evil holds what a value could do to a terminal, a table and a Markdown page: a screen that is cleared, colours, a
// forged line, C1 controls, text turned round, invalid UTF-8, markup, and a fence that ends a block of code.
const evil = "x\x1b[2J\x1b[31m\nerror: forged\r\t\u009b2J\u202egnp\u2028\xff|<img src=x onerror=alert(1)>`~~~```\n````\n# forged\n[a](javascript:b)**&amp;"

// poison puts evil into every string of a value, and 2 into its numbers.
func poison(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(evil)
	case reflect.Int, reflect.Int64:
		if v.Int() == 0 {
			v.SetInt(2)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(now))
			return
		}
		if v.Type() == reflect.TypeFor[astern.Arg]() {
			v.Set(reflect.ValueOf(astern.Text(evil)))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				poison(v.Field(i), depth)
			}
		}
	case reflect.Pointer:
		if depth > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			poison(v.Elem(), depth-1)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 || depth == 0 {
			return
		}
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		for i := range v.Len() {
			poison(v.Index(i), depth)
		}
	case reflect.Map:
		if depth > 0 {
			val := reflect.New(v.Type().Elem()).Elem()
			poison(val, depth-1)
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(reflect.ValueOf(evil).Convert(v.Type().Key()), val)
		}
	}
}

func poisoned[T any](v T) T {
	poison(reflect.ValueOf(&v).Elem(), 6)
	return v
}

// poisonedPlan keeps what makes the stages expand.
func poisonedPlan() PlanView {
	v := poisoned(PlanView{Plan: shopPlan()})
	for i := range v.Plan.Stages {
		v.Plan.Stages[i].Each = &astern.Each{Address: evil, From: 0, To: 1}
		for k := range v.Plan.Stages[i].Steps {
			v.Plan.Stages[i].Steps[k].Undo = astern.UndoImpossible
		}
	}
	return v
}

func TestHostileValues(t *testing.T) {
	exec := poisoned(executionView())
	exec.Plan = poisonedPlan().Plan
	for i, k := range []astern.RecordKind{astern.RecordTaken, astern.RecordIntent, astern.RecordRefused, astern.RecordOp, astern.RecordRound,
		astern.RecordEnded, astern.RecordSkipped, astern.RecordTicked, astern.RecordPaused, evil} {
		exec.Records[i].Kind = k
	}
	for i := range exec.Steps {
		exec.Steps[i].Stage = 1
		exec.Steps[i].Status = []StepStatus{StepFailed, StepRunning, StepRetrying, StepUnsure, evil}[i%5]
	}
	outputs := map[string]func(*bytes.Buffer, Style) error{
		"targets":    func(b *bytes.Buffer, st Style) error { return Targets(b, st, poisoned(targetsReport())) },
		"check":      func(b *bytes.Buffer, st Style) error { return Check(b, st, poisoned(checkReport())) },
		"plan":       func(b *bytes.Buffer, st Style) error { return Plan(b, st, poisonedPlan()) },
		"execution":  func(b *bytes.Buffer, st Style) error { return Execution(b, st, exec) },
		"executions": func(b *bytes.Buffer, st Style) error { return Executions(b, st, poisoned(ExecutionsReport{})) },
		"status":     func(b *bytes.Buffer, st Style) error { return Status(b, st, poisoned(statusReport())) },
		"history":    func(b *bytes.Buffer, st Style) error { return History(b, st, poisoned(HistoryReport{})) },
		"ledger":     func(b *bytes.Buffer, st Style) error { return Ledger(b, st, poisoned(LedgerReport{})) },
		"release":    func(b *bytes.Buffer, st Style) error { return Release(b, st, poisoned(ReleaseReport{})) },
		"latches":    func(b *bytes.Buffer, st Style) error { return Latches(b, st, poisoned(LatchesReport{})) },
		"replay":     func(b *bytes.Buffer, st Style) error { return Replay(b, st, poisoned(replayReport())) },
		"kinds":      func(b *bytes.Buffer, st Style) error { return Kinds(b, st, poisoned(KindsReport{})) },
		"runbook":    func(b *bytes.Buffer, st Style) error { return Runbook(b, st, poisonedPlan()) },
	}
	for name, render := range outputs {
		for _, st := range []Style{{Now: now}, {Now: now, Color: true, Verbose: true, Width: 60}, {Now: now, Width: 1}} {
			t.Run(fmt.Sprintf("%s/%d", name, st.Width), func(t *testing.T) {
				var b bytes.Buffer
				if err := render(&b, st); err != nil {
					t.Fatal(err)
				}
				harmless(t, b.String())
				if !strings.Contains(b.String(), "x") {
					t.Error("nothing of the value is shown")
				}
				if name == "runbook" {
					harmlessMarkdown(t, b.String())
				}
			})
		}
	}
}

// harmless fails when the output holds a character that a terminal obeys, other than line ends and the theme's colours,
// or a line that a value forged.
func harmless(t *testing.T, out string) {
	t.Helper()
	out = strings.ReplaceAll(out, "\x1b[0m", "")
	for _, code := range theme {
		out = strings.ReplaceAll(out, "\x1b["+code+"m", "")
	}
	for l := range strings.SplitSeq(out, "\n") {
		for _, r := range l {
			if !unicode.IsPrint(r) {
				t.Fatalf("character %U in %q", r, l)
			}
		}
		if strings.HasPrefix(l, "error: forged") || strings.HasPrefix(l, "# forged") {
			t.Errorf("a value forged the line %q", l)
		}
	}
}

// harmlessMarkdown fails when markup of a value is live outside code.
func harmlessMarkdown(t *testing.T, out string) {
	t.Helper()
	fence := ""
	for l := range strings.SplitSeq(out, "\n") {
		in := strings.TrimSpace(l)
		ticks := in[:len(in)-len(strings.TrimLeft(in, "`"))]
		switch {
		case fence == "" && len(ticks) >= 3 && strings.TrimLeft(in, "`") == "sh":
			fence = ticks
			continue
		case fence != "" && len(ticks) >= len(fence) && strings.Trim(in, "`") == "":
			fence = ""
			continue
		case fence != "":
			continue
		}
		text := stripInlineCode(l)
		if strings.Contains(text, "<img") || strings.Contains(text, "[a](") {
			t.Errorf("live markup in %q", l)
		}
	}
	if fence != "" {
		t.Error("a block of code is not closed")
	}
}

// stripInlineCode removes code spans: a run of backticks, not escaped, up to the next run of the same length.
func stripInlineCode(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] == '\\' && i+1 < len(s) {
			b.WriteString(s[i : i+2])
			i += 2
			continue
		}
		if s[i] != '`' {
			b.WriteByte(s[i])
			i++
			continue
		}
		n := 1
		for i+n < len(s) && s[i+n] == '`' {
			n++
		}
		end := -1
		for k := i + n; k < len(s); {
			m := 0
			for k+m < len(s) && s[k+m] == '`' {
				m++
			}
			if m == n {
				end = k + m
				break
			}
			k += max(m, 1)
		}
		if end < 0 {
			b.WriteString(s[i : i+n])
			end = i + n
		}
		i = end
	}
	return b.String()
}

func TestWarning(t *testing.T) {
	var b bytes.Buffer
	if err := Warning(&b, Style{}, "the ledger\x1b is old"); err != nil || b.String() != "warning: the ledger\\x1b is old\n" {
		t.Errorf("got %q, %v", b.String(), err)
	}
}

func TestHostileError(t *testing.T) {
	var b bytes.Buffer
	if err := Error(&b, Style{}, astern.Errorf(astern.Invalid, "%s", "a\nhint: run rm -rf /\x1b[2J").WithHint("b\nerror: c")); err != nil {
		t.Fatal(err)
	}
	harmless(t, b.String())
	want := "error: a\n  hint: run rm -rf /\\x1b[2J\nhint: b\n  error: c\n"
	if b.String() != want {
		t.Errorf("got %q, want %q", b.String(), want)
	}
}

// JSON and YAML keep hostile values exactly, without a character that a terminal obeys.
func TestDocumentsKeepValues(t *testing.T) {
	values := []string{evil[:len("x\x1b[2J\x1b[31m\nerror: forged\r\t\u009b2J\u202egnp\u2028")], "yes", "null", "~", "1.10", "0777", "1e3", "", " a ", "a: b", "- a", "# a", "'", "\"", "\\",
		"2025-03-04", "<&>", "\U000e0001tag", "日本", "😀", "a\nb\n", "!!int 3", "*a", "%", "@", "`", "\u0085", "\ufeff", "\x7f", "{", "true"}
	l := LatchesReport{}
	for _, v := range values {
		l.Latches = append(l.Latches, Latch{Reason: v, Since: now.In(time.FixedZone("CET", 3600))})
	}
	var j, y bytes.Buffer
	if err := JSON(&j, l); err != nil {
		t.Fatal(err)
	}
	if err := YAML(&y, l); err != nil {
		t.Fatal(err)
	}
	harmless(t, j.String())
	harmless(t, y.String())
	if strings.Contains(j.String(), "+01:00") || !strings.Contains(j.String(), `"since": "2025-03-04T03:12:00Z"`) {
		t.Errorf("times are not in UTC:\n%s", j.String())
	}
	var fromJSON struct {
		Kind    string
		Version int
		Latches []Latch
	}
	if err := json.Unmarshal(j.Bytes(), &fromJSON); err != nil {
		t.Fatal(err)
	}
	var fromYAML struct {
		Kind    string
		Version int
		Latches []struct{ Reason, Since any }
	}
	if err := yaml.Unmarshal(y.Bytes(), &fromYAML); err != nil {
		t.Fatalf("%v\n%s", err, y.String())
	}
	if fromJSON.Kind != "Latches" || fromJSON.Version != 1 || fromYAML.Kind != "Latches" || fromYAML.Version != 1 {
		t.Errorf("kind and version are missing: %v %v", fromJSON, fromYAML)
	}
	for i, v := range values {
		if got := fromJSON.Latches[i].Reason; got != v {
			t.Errorf("JSON: %q became %q", v, got)
		}
		if got := fromYAML.Latches[i].Reason; got != v {
			t.Errorf("YAML: %q became %#v", v, got)
		}
	}
}
